#include "bench/load/versus.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "bench/load/bisection.h"
#include "bench/load/calls.h"
#include "bench/net.h"

namespace rtpool::bench {
namespace {

constexpr std::size_t kOutstanding = 16;
constexpr std::int64_t kDrainNs = 500'000'000;
constexpr double kLimitResolution = 0.03;
// For find_limit: a packet that took so long waited in a queue that grows, and would be lost
// later; so many in a thousand are the machine's own pauses.
constexpr std::int64_t kQueuedNs = 20'000'000;
constexpr std::uint64_t kQueuedPerMille = 1;
constexpr std::uint64_t kLatePercent = 2;
constexpr int kLimitTries = 2;  // a pause of the machine is no limit of the relay

std::int64_t nanoseconds(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9);
}

// A relay with its calls up, or as many as were asked for so far.
class Stage {
 public:
  Stage(const VersusOptions& options, Contender contender, std::size_t most, std::uint64_t seed)
      : options_(options),
        relay_(contender, options.relay),
        telephones_({.calls = most, .rtcp_mux = options.rtcp_mux}),
        ng_(relay_.ng(), options.relay.encoding, seed),
        calls_(ng_, telephones_, seed, true),
        empty_(memory_of(relay_.pid())) {
    round_.contender = contender;
  }

  void set_up(std::size_t calls) {
    if (calls <= up_) return;
    const std::int64_t before = wall_ns();
    if (!calls_.set_up(up_, calls, kOutstanding)) fail(calls_.problem());
    up_ = calls;
    round_.set_up_ms += static_cast<double>(wall_ns() - before) / 1e6;
  }

  MediaResult measure(std::size_t calls, std::uint64_t seed);
  void account_memory();
  void ask_relay(const MediaResult& result);
  void end();
  Round& round() { return round_; }

 private:
  [[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(std::string(name_of(round_.contender)) + ": " + what +
                             (relay_.running() ? "" : " (it ended)") + "\n" + relay_.output_tail());
  }

  const VersusOptions& options_;
  RunningRelay relay_;
  Telephones telephones_;
  NgClient ng_;
  Calls calls_;
  Memory empty_;
  std::size_t up_ = 0;
  Round round_;
};

MediaResult Stage::measure(std::size_t calls, std::uint64_t seed) {
  const bool saturate = options_.load == LoadKind::saturate;
  MediaLoad load(
      telephones_,
      {.active_calls = calls, .in_flight = saturate ? options_.in_flight : 0, .seed = seed});
  load.run(nanoseconds(options_.warm_up));
  if (!relay_.running()) fail("it died under load");
  const MachineTime machine_before = machine_time();
  const CpuTime before = cpu_time(relay_.pid()), own_before = cpu_time(getpid());
  load.begin_count();
  load.run(nanoseconds(options_.seconds));
  const CpuTime after = cpu_time(relay_.pid());
  load.end_count();
  const MachineTime machine_after = machine_time();
  const CpuTime own_after = cpu_time(getpid());
  load.drain(kDrainNs);
  const MediaResult result = load.result();
  if (!relay_.running()) fail("it died under load");

  const double seconds = static_cast<double>(result.window_ns) / 1e9;
  const double packets = static_cast<double>(std::max<std::uint64_t>(result.sent, 1));
  const double ran = static_cast<double>(after.threads_ns - before.threads_ns);
  const double ran_process = static_cast<double>(after.process_ns - before.process_ns);
  const double own = static_cast<double>(own_after.threads_ns - own_before.threads_ns);
  const double busy = static_cast<double>(machine_after.busy_ns - machine_before.busy_ns);
  const double capacity =
      static_cast<double>(result.window_ns) * static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  round_.calls = calls;
  round_.sent = result.sent;
  round_.received = result.received;
  round_.lost = result.lost();
  round_.duplicated = result.duplicated;
  round_.reordered = result.reordered;
  round_.foreign = result.foreign;
  round_.send_errors = result.send_errors;
  round_.late = result.late;
  round_.silent = result.silent;
  round_.seconds = seconds;
  round_.cpu_per_packet = ran / packets / 1e3;
  round_.cpu_per_packet_process = ran_process / packets / 1e3;
  round_.busy = ran / static_cast<double>(result.window_ns);
  round_.stolen =
      static_cast<double>(machine_after.stolen_ns - machine_before.stolen_ns) / capacity;
  round_.others = std::max(busy - ran - own, 0.0) / capacity;
  round_.p50 = static_cast<double>(result.latency.quantile_ns(0.5)) / 1e3;
  round_.p99 = static_cast<double>(result.latency.quantile_ns(0.99)) / 1e3;
  round_.p999 = static_cast<double>(result.latency.quantile_ns(0.999)) / 1e3;
  round_.max = static_cast<double>(result.latency.max_ns()) / 1e3;
  return result;
}

void Stage::ask_relay(const MediaResult& result) {
  if (const auto counted = calls_.packets_by_relay(0, up_)) {
    round_.counted_by_relay = static_cast<double>(*counted) /
                              static_cast<double>(std::max<std::uint64_t>(result.sent_in_all, 1));
  }
}

void Stage::account_memory() {
  const Memory now = memory_of(relay_.pid());
  const double calls = static_cast<double>(std::max<std::size_t>(up_, 1));
  const auto process = static_cast<double>(now.process_kib - empty_.process_kib);
  const auto kernel = static_cast<double>(now.kernel_kib - empty_.kernel_kib);
  round_.process_memory_per_call = process / calls;
  round_.memory_per_call = (process + kernel) / calls;
}

void Stage::end() {
  if (!calls_.tear_down(0, up_, kOutstanding)) fail(calls_.problem());
  if (!relay_.stop()) fail("it had to be killed");
}

enum class Verdict : std::uint8_t { passed, lost, generator_behind };

Verdict judge(const MediaResult& result) {
  // A relay that is sent less than it should be is not tried.
  if (result.late * 100 > result.sent * kLatePercent) return Verdict::generator_behind;
  const std::uint64_t queued = result.latency.longer_than(kQueuedNs);
  const bool good = result.lost() == 0 && queued * 1000 <= result.sent * kQueuedPerMille;
  return good ? Verdict::passed : Verdict::lost;
}

Round find_limit(const VersusOptions& options, Contender contender, std::uint64_t seed,
                 const Progress& progress) {
  constexpr const char* kWords[] = {"pass", "lose packets", "are more than the generator can send"};
  Stage stage(options, contender, options.most_calls, seed);
  Bisection search(options.calls, options.most_calls, kLimitResolution);
  Round best;
  best.contender = contender;
  Verdict least_failure = Verdict::lost;  // why the fewest calls that did not pass did not
  while (const std::size_t calls = search.next()) {
    stage.set_up(calls);
    Verdict verdict = Verdict::lost;
    for (int i = 0; i < kLimitTries && verdict != Verdict::passed; ++i) {
      verdict = judge(stage.measure(calls, ++seed));
      progress(std::string(name_of(contender)) + ": " + std::to_string(calls) + " calls " +
               kWords[static_cast<std::size_t>(verdict)]);
    }
    if (verdict == Verdict::passed) best = stage.round();
    if (verdict != Verdict::passed) least_failure = verdict;
    search.report(verdict == Verdict::passed);
  }
  if (search.best() == 0) {
    best = stage.round();  // shows what the machine did meanwhile
    best.calls = 0;
  }
  best.beyond = search.unbounded() || least_failure == Verdict::generator_behind;
  stage.end();
  return best;
}

Round measure_round(const VersusOptions& options, Contender contender, std::uint64_t seed) {
  Stage stage(options, contender, options.calls, seed);
  stage.set_up(options.calls);
  const MediaResult result = stage.measure(options.calls, seed);
  stage.account_memory();
  stage.ask_relay(result);
  stage.end();
  return stage.round();
}

}  // namespace

std::vector<Round> run_versus(const VersusOptions& options, const Progress& progress) {
  const int core = options.load_core < 0 ? last_core() : options.load_core;
  if (!pin_this_thread(core)) {
    throw std::runtime_error("this thread can't be pinned to core " + std::to_string(core));
  }
  raise_file_limit();
  std::vector<Round> rounds;
  std::uint64_t seed = options.seed;
  for (int i = 0; i < options.rounds; ++i) {
    for (const Contender contender : options.contenders) {
      progress("round " + std::to_string(i + 1) + " of " + std::to_string(options.rounds) + ": " +
               name_of(contender));
      seed += 1000;
      rounds.push_back(options.load == LoadKind::find_limit
                           ? find_limit(options, contender, seed, progress)
                           : measure_round(options, contender, seed));
      rounds.back().round = i + 1;
    }
  }
  return rounds;
}

}  // namespace rtpool::bench
