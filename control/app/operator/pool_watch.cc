// `rtpool pool watch`: a table that is drawn anew on a terminal, a line for each change elsewhere.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/app/operator/commands.h"
#include "control/app/operator/pool_changes.h"
#include "control/app/operator/pool_table.h"
#include "control/app/operator/terminal.h"
#include "control/app/roles/pool_json.h"
#include "control/app/roles/role.h"
#include "pool/client.h"

namespace rtpool::control {
namespace {

using nlohmann::json;
using View = pool::PoolUserClient::View;

constexpr int kRedrawMs = 500;           // loads and ages change without news
constexpr std::size_t kMaxPending = 64;  // views; beyond, what lies between is passed over
constexpr std::size_t kNewsKept = 8;     // lines under the table

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text.data() + size, text.size() - size, ".%03dZ", static_cast<int>(ms));
  return text.data();
}

// Views as the client has them at each change of membership, so that nothing between two looks of
// ours is missed, and a descriptor that says so.
class Views {
 public:
  Views() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Views() { ::close(event_); }
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  [[nodiscard]] int descriptor() const { return event_; }
  // On the client's thread.
  void changed() {
    const pool::PoolUserClient* client = client_;
    if (client == nullptr) return;
    {
      const std::lock_guard lock(mutex_);
      if (pending_.size() < kMaxPending) pending_.push_back(client->view());
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
  }
  void follow(const pool::PoolUserClient* client) { client_ = client; }
  // What has changed since, and how things are now.
  std::deque<View> take() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(event_, &count, sizeof count);
    std::deque<View> views;
    const std::lock_guard lock(mutex_);
    views.swap(pending_);
    views.push_back(client_.load()->view());
    return views;
  }

 private:
  int event_;
  std::atomic<const pool::PoolUserClient*> client_{nullptr};
  std::mutex mutex_;
  std::deque<View> pending_;
};

// Where the news goes.
class Display {
 public:
  Display(std::string pool, bool as_json) : pool_(std::move(pool)), json_(as_json) {}
  ~Display() {
    if (drawn_) print("\x1b[?25h");
  }
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;

  void begin(const View& view) {
    if (json_) {
      json relays = json::array();
      for (const auto& element : view.elements) relays.push_back(element_json(element));
      line({{"event", "view"},
            {"policy", pool::name_of(view.policy)},
            {"panic", view.panic},
            {"registrars", view.registrars},
            {"registrars_in_contact", view.registrars_in_contact},
            {"relays", std::move(relays)}});
    } else if (!is_terminal()) {
      print(now_text() + " watching " + pool_ + ": " + counted(view.elements.size(), "relay") +
            ", " + std::to_string(view.registrars_in_contact) + " of " +
            std::to_string(view.registrars) + " registrars in contact\n");
      for (const auto& element : view.elements)
        print(now_text() + " " + element.name + " is " + std::string(state_of(element)) + " at " +
              element.endpoint + "\n");
    }
  }

  void tell(const PoolChange& change) {
    if (json_) {
      json object = change.element.name.empty() ? json::object() : element_json(change.element);
      if (object.contains("id")) {
        object["relay"] = object["id"];
        object.erase("id");
      }
      object["event"] = change.event;
      object["text"] = change.text;
      return line(std::move(object));
    }
    const std::string text = now_text() + " " + printable(change.text);
    if (!is_terminal()) return print(text + "\n");
    news_.push_back(text);
    if (news_.size() > kNewsKept) news_.pop_front();
  }

  void draw(const View& view) {
    if (json_ || !is_terminal()) return;
    const bool colours = colours_wanted();
    std::vector<SeenElement> elements;
    for (const auto& element : view.elements) elements.push_back({.element = element});
    std::sort(elements.begin(), elements.end(),
              [](const auto& a, const auto& b) { return a.element.name < b.element.name; });
    auto lines = relay_table(elements, false).lines(colours);
    const std::size_t taken = 4 + news_.size();
    const std::size_t room = std::max<std::size_t>(terminal_lines(), taken + 3) - taken;
    if (lines.size() > room) {
      const std::size_t left_out = lines.size() - room + 1;
      lines.resize(room - 1);
      lines.push_back("(" + std::to_string(left_out) + " more)");
    }
    std::string out = std::string(drawn_ ? "" : "\x1b[?25l\x1b[2J") + "\x1b[H" + head(view) + "\n";
    for (const auto& text : lines) out += text + "\x1b[K\n";
    out += "\x1b[K\n";
    for (const auto& text : news_) out += painted(text, Colour::dim, colours) + "\x1b[K\n";
    print(out + "\x1b[J");
    drawn_ = true;
  }

 private:
  [[nodiscard]] std::string head(const View& view) const {
    const bool alone = view.registrars_in_contact == 0;
    std::string text = "Pool " + pool_ + ": " + counted(view.elements.size(), "relay") +
                       ", policy " + std::string(pool::name_of(view.policy)) + ", " +
                       std::to_string(view.registrars_in_contact) + " of " +
                       std::to_string(view.registrars) + " registrars in contact";
    if (alone && view.ever_filled) text += ", view kept for " + rough(view.age);
    if (view.panic) text += ", PANIC";
    const bool bad = alone || view.panic;
    return painted(text, bad ? Colour::red : Colour::bold, colours_wanted()) + "\x1b[K\n\x1b[K";
  }
  void line(json object) {
    object["time"] = now_text();
    object["pool"] = pool_;
    print(object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  }
  // Whoever reads a pipe has the line at once.
  static void print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  std::string pool_;
  bool json_;
  bool drawn_ = false;
  std::deque<std::string> news_;
};

// The signals that end it, as a descriptor; blocked before any thread is started.
int ends_descriptor() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  return ::signalfd(-1, &ends, SFD_CLOEXEC);
}

// The first picture is of all registrars, if they answer soon.
void wait_for_all(const pool::PoolUserClient& client) {
  const auto until = std::chrono::steady_clock::now() + kRegistrarPatience;
  while (std::chrono::steady_clock::now() < until) {
    const View view = client.view();
    if (view.registrars_in_contact == view.registrars) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

int watch_pool(const ClientOptions& options) {
  const int ends = ends_descriptor();
  Views views;
  auto client = pool::PoolUserClient::start({.registrars = options.registrars,
                                             .pool = options.subject,
                                             .zone = {},
                                             .on_change = [&views] { views.changed(); },
                                             .log = {},
                                             .tls = options.tls});
  if (!client) return fail("pool watch", client.error().message());
  views.follow(client->get());
  wait_for_all(**client);
  Display display(options.subject, options.json);
  View last = std::move(views.take().back());
  display.begin(last);
  display.draw(last);
  while (true) {
    std::array<pollfd, 2> wait{{{ends, POLLIN, 0}, {views.descriptor(), POLLIN, 0}}};
    ::poll(wait.data(), wait.size(), kRedrawMs);
    if ((wait[0].revents & POLLIN) != 0) break;
    for (View& view : views.take()) {
      for (const PoolChange& change : changes_between(last, view)) display.tell(change);
      last = std::move(view);
    }
    display.draw(last);
  }
  views.follow(nullptr);
  (*client)->stop();
  ::close(ends);
  return 0;
}

}  // namespace rtpool::control
