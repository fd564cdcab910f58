#include "bench/load/scale_load.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <stdexcept>

#include "bench/load/calls.h"
#include "bench/load/rtcp_sample.h"
#include "bench/net.h"

namespace rtpool::bench {
namespace {

constexpr std::size_t kSharedSockets = 64, kOutstanding = 16;
constexpr std::int64_t kSecond = 1'000'000'000, kInterval = 20'000'000;
constexpr int kPacketsEach = 3;  // about, of each stream's sample

std::size_t descriptors_of(pid_t pid) {
  std::error_code gone;
  const std::filesystem::directory_iterator folder("/proc/" + std::to_string(pid) + "/fd", gone);
  return gone ? 0 : static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

// One relay with or without rtcp-mux, growing.
class ScaleStage {
 public:
  ScaleStage(const ScaleOptions& options, bool rtcp_mux)
      : options_(options),
        rtcp_mux_(rtcp_mux),
        relay_(options.contender, room(options)),
        telephones_({.calls = options.most + options.probe,
                     .rtcp_mux = rtcp_mux,
                     .shared_sockets = kSharedSockets}),
        ng_(relay_.ng(), options.relay.encoding, options.seed),
        calls_(ng_, telephones_, options.seed, true),
        empty_(memory_of(relay_.pid())) {}

  // Throws std::runtime_error, which says at what.
  ScaleStep grow_to(std::size_t calls);
  void end();

 private:
  static ContenderOptions room(const ScaleOptions& options) {
    ContenderOptions relay = options.relay;
    relay.calls = options.most + options.probe + 1;
    return relay;
  }
  [[noreturn]] void fail(const std::string& what) {
    // What it printed says more only when it died: thousands of calls leave a line each.
    throw std::runtime_error(relay_.running() ? what
                                              : what + " (it ended)\n" + relay_.output_tail());
  }
  void probe(ScaleStep& step);
  void sample_media(ScaleStep& step);

  const ScaleOptions& options_;
  bool rtcp_mux_;
  RunningRelay relay_;
  Telephones telephones_;
  NgClient ng_;
  Calls calls_;
  Memory empty_;
  std::size_t up_ = 0;
};

ScaleStep ScaleStage::grow_to(std::size_t calls) {
  ScaleStep step{.rtcp_mux = rtcp_mux_, .calls = calls};
  const std::int64_t before = wall_ns();
  if (!calls_.set_up(up_, calls, kOutstanding)) fail(calls_.problem());
  step.grow_ms = static_cast<double>(wall_ns() - before) / 1e6;
  up_ = calls;
  sample_media(step);
  const Memory now = memory_of(relay_.pid());
  const double count = static_cast<double>(calls);
  step.process_memory = static_cast<double>(now.process_kib - empty_.process_kib) / count;
  step.kernel_memory = static_cast<double>(now.kernel_kib - empty_.kernel_kib) / count;
  step.descriptors = descriptors_of(relay_.pid());
  probe(step);
  return step;
}

// What one more call costs while the others stand, less what the relay uses anyway.
void ScaleStage::probe(ScaleStep& step) {
  const auto busy_since = [this](const CpuTime& before, std::int64_t since) {
    return static_cast<double>(cpu_time(relay_.pid()).threads_ns - before.threads_ns) /
           static_cast<double>(wall_ns() - since);
  };
  CpuTime before = cpu_time(relay_.pid());
  std::int64_t since = wall_ns();
  while (wall_ns() < since + kSecond / 2) {
  }
  const double idle = busy_since(before, since);
  calls_.forget_times();
  before = cpu_time(relay_.pid());
  since = wall_ns();
  const std::size_t last = up_ + options_.probe;
  if (!calls_.set_up(up_, last, kOutstanding) || !calls_.tear_down(up_, last, kOutstanding)) {
    fail(calls_.problem());
  }
  const double took_us = static_cast<double>(wall_ns() - since) / 1e3;
  const double busy = busy_since(before, since);
  step.cpu_us_per_call = std::max(busy - idle, 0.0) * took_us / static_cast<double>(options_.probe);
  step.offer_p50_ms = static_cast<double>(calls_.times().offer.quantile_ns(0.5)) / 1e6;
  step.offer_p99_ms = static_cast<double>(calls_.times().offer.quantile_ns(0.99)) / 1e6;
}

// Every stream sends a few packets, all together no faster than was asked for.
void ScaleStage::sample_media(ScaleStep& step) {
  const double streams = 2 * static_cast<double>(up_);
  const auto spread = static_cast<std::int64_t>(streams / options_.packets_per_second * 1e9);
  const std::int64_t interval = std::max(kInterval, spread);
  MediaLoad load(telephones_,
                 {.interval_ns = interval, .active_calls = up_, .seed = options_.seed + up_});
  load.run(interval);  // relays learn addresses from the first packets
  load.begin_count();
  load.run(kPacketsEach * interval);
  load.end_count();
  load.drain(kSecond);
  const MediaResult result = load.result();
  step.sent = result.sent;
  step.lost = result.lost();
  step.silent = result.silent;
  const RtcpSample rtcp = sample_rtcp(telephones_, up_, options_.packets_per_second, kSecond);
  step.rtcp_sent = rtcp.sent;
  step.rtcp_lost = rtcp.lost;
}

void ScaleStage::end() {
  if (!calls_.tear_down(0, up_, kOutstanding)) fail(calls_.problem());
  if (!relay_.stop()) fail("it had to be killed");
}

}  // namespace

std::vector<std::size_t> scale_steps(std::size_t most) {
  std::vector<std::size_t> steps;
  for (const std::size_t step : {1U, 10U, 100U, 1000U, 2000U, 5000U, 10'000U, 20'000U, 50'000U}) {
    if (step < most) steps.push_back(step);
  }
  steps.push_back(most);
  return steps;
}

ScaleResult run_scale(const ScaleOptions& options, const Progress& progress) {
  const int core = options.load_core < 0 ? last_core() : options.load_core;
  if (!pin_this_thread(core)) {
    throw std::runtime_error("this thread can't be pinned to core " + std::to_string(core));
  }
  raise_file_limit();
  ScaleResult result;
  for (const bool mux : {true, false}) {
    if (!(mux ? options.with_mux : options.without_mux)) continue;
    const std::string how = mux ? "with rtcp-mux" : "without rtcp-mux";
    ScaleStage stage(options, mux);
    std::string at;
    try {
      for (const std::size_t calls : scale_steps(options.most)) {
        at = std::to_string(calls) + " calls " + how;
        progress(at);
        result.steps.push_back(stage.grow_to(calls));
      }
      at = "ending them, " + how;
      progress(at);
      stage.end();
    } catch (const std::runtime_error& error) {
      result.problem += (result.problem.empty() ? "" : "\nand at ") + at + ": " + error.what();
    }
  }
  return result;
}

}  // namespace rtpool::bench
