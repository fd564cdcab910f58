// A pool in simulated time: two registrars with stores of their own, relays and controllers, and a
// network that delays, loses heartbeats and cuts; processes crash, freeze, restart and leave. Each
// seed is one history.
//
//   pool_sim                 a hundred seeds from 1
//   pool_sim --seeds 1000    that many
//   pool_sim --seed 42       that one, with its events
//
// Named checks, after every millisecond:
//   dead-not-chosen   no controller chooses a relay that has been dead for longer than the bound,
//   while another
//                     can be chosen
//   live-not-removed  no registrar that runs drops a live relay whose stream is up, under one lost
//   heartbeat or
//                     a stall of 50 ms
//   views-converge    with everything healed, each controller's view is exactly the live relays
//   epochs-agree      ... and all registrars carry the same epoch of each
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "pool/ledger.h"
#include "pool/memory_store.h"
#include "pool/policy.h"
#include "pool/pool_view.h"
#include "pool/registrar.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInterval(50);
constexpr milliseconds kFaultTime(5'000);
constexpr milliseconds kHealTime(3'000);
// Fence, tick and delay for a crash; silence, grace, tick and delay for a hang, once more where the
// registrar itself was stalled meanwhile.
constexpr milliseconds kCrashBound(100);
constexpr milliseconds kHangBound(350);
constexpr std::size_t kRegistrars = 2;

class World {
 public:
  World(std::uint64_t seed, bool verbose) : random_(seed), verbose_(verbose) {
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      registrars_.emplace_back();
      boot(i);
    }
    const std::size_t relays = 4 + random_.below(5);
    for (std::size_t i = 0; i < relays; ++i) {
      relays_.emplace_back().name = "r" + std::to_string(i);
      start_relay(i);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      controllers_.push_back(std::make_unique<Controller>(random_()));
    }
  }

  // Empty, or the name of the property that failed and how.
  std::string run() {
    while (now_ < Instant(kFaultTime + kHealTime)) {
      now_ += milliseconds(1);
      deliver();
      if (now_ < Instant(kFaultTime)) inject();
      if (now_ == Instant(kFaultTime)) heal();
      for (std::size_t i = 0; i < relays_.size(); ++i) step_relay(i);
      for (std::size_t i = 0; i < kRegistrars; ++i) step_registrar(i);
      for (std::size_t i = 0; i < controllers_.size(); ++i) step_controller(i);
      if (!failure_.empty()) return failure_;
    }
    return converged();
  }

 private:
  struct RegistrarHost {
    std::unique_ptr<Registrar> core;
    std::unique_ptr<MemoryStore> store;
    Instant stalled_until{};
    std::uint64_t boots = 0;
  };
  struct Stream {
    StreamId id;
    bool up = false;  // registered as far as the relay knows
    Instant next_beat{};
    Instant retry_at{};
    unsigned lost_in_row = 0;
    bool ever_attached = false;
  };
  struct Relay {
    std::string name;
    std::uint64_t incarnation = 0;
    std::uint64_t epoch = 0;
    bool running = false;
    Instant frozen_until{};
    Instant dead_since{};  // when it stopped to be of use
    bool crashed = false;
    Instant restart_at{};
    Stream streams[kRegistrars];
  };
  struct Controller {
    explicit Controller(std::uint64_t seed) : selector(Policy::least_used_degradation, seed) {}
    PoolView view{kRegistrars};
    Selector selector;
    WatcherId watch[kRegistrars];
    Instant heard[kRegistrars];
    Instant arrives[kRegistrars];  // of the last message on its way: a stream keeps order
    Instant started{};
  };
  struct Event {
    Instant due;
    std::uint64_t number;
    std::function<void()> action;
    bool operator>(const Event& other) const {
      return due != other.due ? due > other.due : number > other.number;
    }
  };

  void say(const std::string& text) {
    if (verbose_) {
      const auto ms = std::chrono::duration_cast<milliseconds>(now_.time_since_epoch()).count();
      std::printf("%6lld ms  %s\n", static_cast<long long>(ms), text.c_str());
    }
  }
  bool chance(std::uint32_t in) { return random_.below(in) == 0; }
  void fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }
  void at(Instant due, std::function<void()> action) {
    events_.push({.due = due, .number = ++event_number_, .action = std::move(action)});
  }
  Duration delay() { return std::chrono::microseconds(200 + random_.below(4'000)); }
  void deliver() {
    while (!events_.empty() && events_.top().due <= now_) {
      const auto action = events_.top().action;
      events_.pop();
      action();
    }
  }
  bool runs(const RegistrarHost& host) const {
    return host.core != nullptr && now_ >= host.stalled_until;
  }

  void boot(std::size_t index) {
    RegistrarHost& host = registrars_[index];
    ++host.boots;
    host.store = std::make_unique<MemoryStore>();
    host.core = std::make_unique<Registrar>(Registrar::Options{}, now_, random_());
    host.stalled_until = now_;
  }
  void crash_registrar(std::size_t index) {
    say("registrar " + std::to_string(index) + " crashes");
    registrars_[index].core.reset();
    for (Relay& relay : relays_) {
      relay.streams[index].up = false;
      relay.streams[index].retry_at = now_ + milliseconds(20 + random_.below(200));
    }
    for (auto& controller : controllers_) drop_watch(*controller, index);
    at(now_ + milliseconds(100 + random_.below(900)), [this, index] {
      if (registrars_[index].core) return;
      say("registrar " + std::to_string(index) + " is back");
      boot(index);
    });
  }
  void drop_watch(Controller& controller, std::size_t index) {
    if (registrars_[index].core) registrars_[index].core->unwatch(controller.watch[index]);
    controller.watch[index] = WatcherId{};
    PoolView::Changes changes;
    controller.view.lost_contact(index, changes);
    apply(controller, changes);
  }

  void start_relay(std::size_t index) {
    Relay& relay = relays_[index];
    relay.incarnation = random_() | 1;
    relay.epoch = 0;
    relay.running = true;
    relay.crashed = false;
    relay.frozen_until = now_;
    for (Stream& stream : relay.streams) {
      stream = Stream{};
      stream.retry_at = now_ + milliseconds(random_.below(20));
    }
  }
  void end_relay(std::size_t index, bool restart) {
    Relay& relay = relays_[index];
    relay.running = false;
    relay.crashed = true;
    relay.dead_since = now_;
    relay.restart_at =
        restart ? now_ + milliseconds(20 + random_.below(1'500)) : Instant(kFaultTime);
    for (std::size_t i = 0; i < kRegistrars; ++i) end_stream(relay, i);
  }
  // The kernel of the dead side tells the other; the message takes its time.
  void end_stream(Relay& relay, std::size_t index) {
    Stream& stream = relay.streams[index];
    const StreamId id = stream.id;
    const auto boots = registrars_[index].boots;
    stream.up = false;
    stream.id = StreamId{};
    at(now_ + delay(), [this, index, id, boots] { ended(index, id, boots); });
  }
  void ended(std::size_t index, StreamId id, std::uint64_t boots) {
    RegistrarHost& host = registrars_[index];
    if (host.core == nullptr || host.boots != boots) return;
    if (!runs(host)) {
      at(host.stalled_until, [this, index, id, boots] { ended(index, id, boots); });
      return;
    }
    host.core->stream_ended(now_, id);
  }

  void inject() {
    for (std::size_t i = 0; i < relays_.size(); ++i) {
      Relay& relay = relays_[i];
      if (!relay.running) {
        if (now_ >= relay.restart_at) {
          say(relay.name + " starts");
          start_relay(i);
        }
        continue;
      }
      if (now_ < relay.frozen_until) continue;
      if (chance(6'000)) {
        say(relay.name + " crashes");
        end_relay(i, true);
      } else if (chance(6'000)) {
        const auto time = milliseconds(400 + random_.below(1'200));
        say(relay.name + " freezes for " + std::to_string(time.count()) + " ms");
        relay.frozen_until = now_ + time;
        relay.dead_since = now_;
      } else if (chance(1'000)) {
        relay.frozen_until = now_ + milliseconds(random_.below(51));  // a stall: nobody may notice
        relay.dead_since = Instant::max();
      }
    }
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      if (registrars_[i].core == nullptr) continue;
      if (chance(8'000)) {
        crash_registrar(i);
      } else if (chance(4'000)) {
        say("registrar " + std::to_string(i) + " stalls");
        registrars_[i].stalled_until = now_ + milliseconds(20 + random_.below(300));
      }
    }
  }

  void heal() {
    say("everything heals");
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      if (registrars_[i].core == nullptr) boot(i);
      registrars_[i].stalled_until = now_;
    }
    for (std::size_t i = 0; i < relays_.size(); ++i) {
      relays_[i].frozen_until = now_;
      if (!relays_[i].running) start_relay(i);
    }
    // One stays away for good.
    end_relay(0, false);
    relays_[0].restart_at = Instant::max();
  }

  void step_relay(std::size_t index) {
    Relay& relay = relays_[index];
    if (!relay.running || now_ < relay.frozen_until) return;
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      Stream& stream = relay.streams[i];
      RegistrarHost& host = registrars_[i];
      if (!stream.up) {
        if (now_ < stream.retry_at || !runs(host)) continue;
        register_at(relay, i);
      } else if (now_ >= stream.next_beat) {
        stream.next_beat = now_ + kInterval;
        // At most one in a row is lost: what TCP loses it brings later, which is what a delay is
        // here.
        if (stream.lost_in_row == 0 && chance(50)) {
          ++stream.lost_in_row;
          continue;
        }
        stream.lost_in_row = 0;
        send_beat(relay, i);
      }
    }
  }

  static std::optional<Result<std::uint64_t>> claim(RegistrarHost& host,
                                                    const Registration& registration) {
    std::optional<Result<std::uint64_t>> granted;
    claim_epoch(*host.store,
                {.registration = registration,
                 .first_epoch = host.boots * 1'000,
                 .pool_is_empty = host.core->pool_is_empty("media")},
                [&](Result<std::uint64_t> epoch) { granted = std::move(epoch); });
    return granted;
  }

  void register_at(Relay& relay, std::size_t index) {
    RegistrarHost& host = registrars_[index];
    Stream& stream = relay.streams[index];
    if (!stream.id.valid()) stream.id = StreamId{++next_id_};
    Registration registration;
    registration.pool = "media";
    registration.name = relay.name;
    registration.endpoint = "127.0.0.1:7410";
    registration.incarnation = relay.incarnation;
    registration.epoch = relay.epoch;
    auto granted = claim(host, registration);
    if (!*granted && !stream.ever_attached) {
      registration.epoch = 0;  // new to this registrar, which remembers an earlier process
      granted = claim(host, registration);
    }
    if (!*granted || !host.core->attach(now_, stream.id, registration, **granted)) {
      fail("a registration of the newest process of " + relay.name + " was refused");
      return;
    }
    stream.up = true;
    stream.ever_attached = true;
    stream.next_beat = now_ + kInterval;
    if (**granted <= relay.epoch) return;
    relay.epoch = **granted;
    for (std::size_t other = 0; other < kRegistrars; ++other) {
      if (other != index && relay.streams[other].up) {
        relay.streams[other].up = false;
        relay.streams[other].retry_at = now_;
      }
    }
  }

  void lose(Stream& stream, milliseconds pause) const {
    stream = Stream{.retry_at = now_ + pause, .ever_attached = stream.ever_attached};
  }

  void send_beat(Relay& relay, std::size_t index) {
    const StreamId id = relay.streams[index].id;
    const auto boots = registrars_[index].boots;
    const std::uint32_t load = random_.below(1'000'000);
    at(now_ + delay(),
       [this, &relay, index, id, boots, load] { beat(relay, index, id, boots, load); });
  }
  void beat(Relay& relay, std::size_t index, StreamId id, std::uint64_t boots, std::uint32_t load) {
    RegistrarHost& host = registrars_[index];
    if (host.core == nullptr || host.boots != boots) return;
    if (!runs(host)) {
      at(host.stalled_until,
         [this, &relay, index, id, boots, load] { beat(relay, index, id, boots, load); });
      return;
    }
    if (host.core->heartbeat(now_, id, {.load = load}) || relay.streams[index].id != id) return;
    lose(relay.streams[index], milliseconds(10));
  }

  void step_registrar(std::size_t index) {
    RegistrarHost& host = registrars_[index];
    if (!runs(host)) return;
    if ((now_.time_since_epoch() % milliseconds(5)).count() == 0) host.core->tick(now_);
    auto out = host.core->take_outbox();
    for (const auto& message : out.updates) send_update(index, message);
    for (const auto& notice : out.notices) {
      if (notice.what == Registrar::Notice::What::dead) declared_dead(index, notice.element);
    }
    for (const auto& closed : out.closed) stream_closed(index, closed);
  }

  void stream_closed(std::size_t index, const Registrar::StreamClosed& closed) {
    for (Relay& relay : relays_) {
      Stream& stream = relay.streams[index];
      if (stream.id == closed.stream) lose(stream, milliseconds(20));
    }
  }

  void declared_dead(std::size_t index, const std::string& name) {
    say("registrar " + std::to_string(index) + " removes " + name);
    const auto relay = std::find_if(relays_.begin(), relays_.end(),
                                    [&](const Relay& candidate) { return candidate.name == name; });
    const bool useful =
        relay->running && (now_ >= relay->frozen_until || relay->dead_since == Instant::max());
    // One that has only just thawed was silent for long enough.
    const bool thawed_long_ago = now_ - relay->frozen_until > kHangBound;
    if (useful && thawed_long_ago && relay->streams[index].up) {
      fail("live-not-removed: " + name + " by registrar " + std::to_string(index));
    }
  }

  void send_update(std::size_t index, const Registrar::WatchMessage& message) {
    for (auto& controller : controllers_) {
      if (controller->watch[index] != message.watcher) continue;
      Instant& arrives = controller->arrives[index];
      arrives = std::max(arrives, now_ + delay());
      at(arrives,
         [this, index, message, target = controller.get()] { receive(*target, index, message); });
    }
  }

  void receive(Controller& controller, std::size_t index, const Registrar::WatchMessage& message) {
    if (controller.watch[index] != message.watcher) return;
    controller.heard[index] = now_;
    PoolView::Changes changes;
    // Now and then an update gets lost on the way through a full queue: the gap must heal.
    if (!message.update->snapshot && chance(200)) return;
    if (!controller.view.apply(index, *message.update, changes)) {
      drop_watch(controller, index);
      return;
    }
    apply(controller, changes);
  }

  static void apply(Controller& controller, const PoolView::Changes& changes) {
    controller.selector.set_policy(controller.view.policy());
    for (const PoolElement& element : changes.put) controller.selector.put(element);
    for (const PoolElementId id : changes.removed) controller.selector.remove(id);
  }

  void step_controller(std::size_t index) {
    Controller& controller = *controllers_[index];
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      RegistrarHost& host = registrars_[i];
      if (controller.watch[i].valid()) {
        if (now_ - controller.heard[i] > milliseconds(350)) drop_watch(controller, i);
      } else if (runs(host) && chance(20)) {
        controller.watch[i] = WatcherId{++next_id_};
        controller.heard[i] = now_;
        if (!host.core->watch(now_, controller.watch[i], "media")) fail("a watch was refused");
      }
    }
    check_choice(controller);
  }

  // A controller that has heard from a running, settled registrar for a while must not choose the
  // dead.
  void check_choice(Controller& controller) {
    bool informed = false;
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      const bool steady = runs(registrars_[i]) && now_ - registrars_[i].stalled_until > kHangBound;
      informed = informed || (steady && controller.view.in_contact(i));
      // A stalled registrar that is not yet known as such still vouches for all it knew.
      if (!steady && controller.view.in_contact(i)) return;
    }
    if (!informed) return;
    const auto chosen = controller.selector.select(now_, {.exclude = {}, .zone = {}});
    if (!chosen) return;
    const auto relay = std::find_if(relays_.begin(), relays_.end(), [&](const Relay& candidate) {
      return candidate.name == (*chosen)->name;
    });
    if ((*chosen)->suspect || controller.view.panic()) return;
    const bool frozen = relay->running && now_ < relay->frozen_until;
    if (!relay->crashed && !frozen) return;
    if (frozen && relay->dead_since == Instant::max()) return;
    const milliseconds bound = relay->crashed ? kCrashBound : kHangBound;
    if (now_ - relay->dead_since > bound && settled_contact(controller)) {
      fail("dead-not-chosen: " + relay->name);
    }
  }
  bool settled_contact(const Controller& controller) const {
    for (std::size_t i = 0; i < kRegistrars; ++i) {
      if (!controller.view.in_contact(i)) continue;
      if (now_ - registrars_[i].core->started_at() < milliseconds(1'200)) return false;
    }
    return true;
  }

  std::string converged() {
    std::vector<std::string> live;
    for (const Relay& relay : relays_) {
      if (relay.running) live.push_back(relay.name);
    }
    for (const auto& controller : controllers_) {
      std::vector<std::string> seen;
      for (const auto& [id, element] : controller->view.elements()) {
        if (!element.suspect) seen.push_back(element.name);
      }
      std::sort(seen.begin(), seen.end());
      if (seen != live) {
        return "views-converge: " + std::to_string(seen.size()) + " of " +
               std::to_string(live.size()) + " seen";
      }
    }
    for (const Relay& relay : relays_) {
      if (!relay.running) continue;
      for (const RegistrarHost& host : registrars_) {
        const auto pools = host.core->list(now_, "media");
        for (const auto& listed : pools.at(0).elements) {
          if (listed.element.name == relay.name && listed.element.epoch != relay.epoch) {
            return "epochs-agree: " + relay.name;
          }
        }
      }
    }
    return {};
  }

  Random random_;
  bool verbose_;
  Instant now_{};
  std::vector<RegistrarHost> registrars_;
  std::vector<Relay> relays_;
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t event_number_ = 0;
  std::uint64_t next_id_ = 0;
  std::string failure_;
};

bool read_number(const char* text, std::uint64_t& number) {
  const char* end = text + std::strlen(text);
  const auto result = std::from_chars(text, end, number);
  return result.ec == std::errc{} && result.ptr == end;
}

}  // namespace
}  // namespace rtpool::pool

int main(int argc, char** argv) {
  std::uint64_t first = 1;
  std::uint64_t count = 100;
  bool verbose = false;
  if (argc == 3) {
    std::uint64_t number = 0;
    const std::string_view flag = argv[1];
    if (!rtpool::pool::read_number(argv[2], number) || (flag != "--seed" && flag != "--seeds")) {
      std::fprintf(stderr, "usage: pool_sim [--seed N | --seeds COUNT]\n");
      return 2;
    }
    verbose = flag == "--seed";
    (verbose ? first : count) = number;
    if (verbose) count = 1;
  }
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const std::string failure = rtpool::pool::World(seed, verbose).run();
    if (failure.empty()) continue;
    std::printf("seed %llu: %s\nrepeat with: pool_sim --seed %llu\n",
                static_cast<unsigned long long>(seed), failure.c_str(),
                static_cast<unsigned long long>(seed));
    return 1;
  }
  std::printf("%llu histories from seed %llu: all properties held\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(first));
  return 0;
}
