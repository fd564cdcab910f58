#include "bench/load/setup_load.h"

#include <algorithm>
#include <deque>
#include <stdexcept>

#include "bench/net.h"

namespace rtpool::bench {
namespace {

constexpr std::size_t kSharedSockets = 16, kOutstandingStanding = 16;
constexpr std::size_t kMostSlots = 20'000;
constexpr std::int64_t kSecond = 1'000'000'000;

// The rise and fall of calls: says when each begins and ends.
class Churn {
 public:
  Churn(const SetupOptions& options, Calls& calls, std::size_t slots)
      : options_(options), calls_(calls) {
    for (std::size_t i = 0; i < slots; ++i) free_.push_back(i);
  }

  void start(std::int64_t now) {
    next_ns_ = now;
    starting_ = true;
  }
  void stop_starting() { starting_ = false; }
  void begin_count() {
    counted_ = {};
    calls_.forget_times();
  }
  void tick(std::int64_t now);
  [[nodiscard]] bool quiet() const { return active_ == 0; }
  [[nodiscard]] const SetupResult& counted() const { return counted_; }

 private:
  void begin_due(std::int64_t now);
  void begin();
  void settle(const CallEvent& event, std::int64_t now);

  const SetupOptions& options_;
  Calls& calls_;
  std::deque<std::size_t> free_;
  struct Standing {
    std::int64_t until_ns;
    std::size_t call;
  };
  std::deque<Standing> standing_;  // by time: all are held equally long
  std::int64_t next_ns_ = 0;
  std::size_t active_ = 0;
  bool starting_ = false;
  SetupResult counted_;
};

void Churn::begin() {
  calls_.begin(free_.front());
  free_.pop_front();
  ++active_;
  ++counted_.begun;
}

void Churn::begin_due(std::int64_t now) {
  if (options_.saturate) {
    while (active_ < options_.outstanding && !free_.empty()) begin();
    return;
  }
  const auto interval = static_cast<std::int64_t>(1e9 / options_.rate);
  for (; next_ns_ <= now; next_ns_ += interval) {
    if (free_.empty()) {
      ++counted_.starved;
    } else {
      begin();
    }
  }
}

void Churn::settle(const CallEvent& event, std::int64_t now) {
  if (event.what == CallEvent::What::up) {
    ++counted_.up;
    const double hold = options_.saturate ? 0 : options_.hold;
    standing_.push_back({now + static_cast<std::int64_t>(hold * 1e9), event.call});
    return;
  }
  if (event.what == CallEvent::What::over) ++counted_.over;
  if (event.what == CallEvent::What::failed) ++counted_.failed;
  free_.push_back(event.call);
  --active_;
}

void Churn::tick(std::int64_t now) {
  while (const auto event = calls_.poll()) settle(*event, now);
  while (!standing_.empty() && standing_.front().until_ns <= now) {
    calls_.end(standing_.front().call);
    standing_.pop_front();
  }
  if (starting_) begin_due(now);
}

// A relay under churn, with or without media beside it.
class SetupStage {
 public:
  explicit SetupStage(const SetupOptions& options)
      : options_(options),
        relay_(options.contender, room(options)),
        standing_phones_(
            {.calls = std::max<std::size_t>(options.standing, 1), .rtcp_mux = options.rtcp_mux}),
        churn_phones_({.calls = slots(options),
                       .rtcp_mux = options.rtcp_mux,
                       .shared_sockets = kSharedSockets}),
        standing_ng_(relay_.ng(), options.relay.encoding, options.seed),
        churn_ng_(relay_.ng(), options.relay.encoding, options.seed + 1),
        standing_calls_(standing_ng_, standing_phones_, options.seed, true),
        churn_calls_(churn_ng_, churn_phones_, options.seed + 1, false),
        churn_(options, churn_calls_, churn_phones_.calls()) {}

  SetupResult run(const Progress& progress);

 private:
  static std::size_t slots(const SetupOptions& options) {
    if (options.saturate) return options.outstanding;
    const double wanted = options.rate * (options.hold + 2) + 100;
    return std::min(static_cast<std::size_t>(wanted), kMostSlots);
  }
  static ContenderOptions room(const SetupOptions& options) {
    ContenderOptions relay = options.relay;
    relay.calls = options.standing + slots(options) + 100;
    return relay;
  }
  void spin(std::int64_t ns);
  double busy_for(std::int64_t ns);
  void check() {
    if (relay_.running()) return;
    throw std::runtime_error(std::string(name_of(options_.contender)) + " died under load\n" +
                             relay_.output_tail());
  }

  const SetupOptions& options_;
  RunningRelay relay_;
  Telephones standing_phones_, churn_phones_;
  NgClient standing_ng_, churn_ng_;
  Calls standing_calls_, churn_calls_;
  Churn churn_;
  std::unique_ptr<MediaLoad> media_;
};

void SetupStage::spin(std::int64_t ns) {
  if (media_) {
    media_->run(ns, [this] { churn_.tick(wall_ns()); });
    return;
  }
  const std::int64_t end = wall_ns() + ns;
  for (std::int64_t now = wall_ns(); now < end; now = wall_ns()) churn_.tick(now);
}

// The share of a core that the relay used in so long.
double SetupStage::busy_for(std::int64_t ns) {
  const std::int64_t since = wall_ns();
  const CpuTime before = cpu_time(relay_.pid());
  spin(ns);
  const CpuTime after = cpu_time(relay_.pid());
  check();
  return static_cast<double>(after.threads_ns - before.threads_ns) /
         static_cast<double>(wall_ns() - since);
}

SetupResult SetupStage::run(const Progress& progress) {
  const auto ns = [](double seconds) { return static_cast<std::int64_t>(seconds * 1e9); };
  if (options_.standing > 0) {
    progress("setting up " + std::to_string(options_.standing) + " standing calls");
    if (!standing_calls_.set_up(0, options_.standing, kOutstandingStanding)) {
      throw std::runtime_error("a standing call failed: " + standing_calls_.problem());
    }
    media_ = std::make_unique<MediaLoad>(standing_phones_, MediaOptions{.seed = options_.seed});
  }
  spin(ns(options_.warm_up));
  progress("measuring without calls being set up");
  const double idle = busy_for(ns(std::clamp(options_.seconds / 2, 0.5, 5.0)));
  progress("setting up and tearing down");
  churn_.start(wall_ns());
  spin(ns(options_.warm_up + (options_.saturate ? 0 : options_.hold)));
  churn_.begin_count();
  if (media_) media_->begin_count();
  const std::int64_t since = wall_ns();
  const double busy = busy_for(ns(options_.seconds));
  SetupResult result = churn_.counted();
  result.seconds = static_cast<double>(wall_ns() - since) / 1e9;
  result.times = churn_calls_.times();
  churn_.stop_starting();
  if (media_) {
    media_->end_count();
    media_->drain(kSecond / 2);
    result.media = media_->result();
    media_.reset();
  }
  const std::int64_t patience = wall_ns() + ns(options_.hold) + 6 * kSecond;
  while (!churn_.quiet() && wall_ns() < patience) churn_.tick(wall_ns());
  result.problem = churn_calls_.problem();
  result.repeated = churn_ng_.repeated();
  result.busy = busy;
  result.idle_busy = idle;
  const double calls = static_cast<double>(std::max<std::uint64_t>(result.over, 1));
  result.cpu_us_per_call = std::max(busy - idle, 0.0) * result.seconds * 1e6 / calls;
  if (!relay_.stop() && result.problem.empty()) result.problem = "the relay had to be killed";
  return result;
}

}  // namespace

SetupResult run_setup(const SetupOptions& options, const Progress& progress) {
  const int core = options.load_core < 0 ? last_core() : options.load_core;
  if (!pin_this_thread(core)) {
    throw std::runtime_error("this thread can't be pinned to core " + std::to_string(core));
  }
  raise_file_limit();
  return SetupStage(options).run(progress);
}

}  // namespace rtpool::bench
