#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/load/setup_load.h"
#include "bench/text.h"

namespace rtpool::bench {
namespace {

double ms(std::int64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

std::string times_row(const char* name, const Histogram& times) {
  return format("%-8s %9llu %9.2f %9.2f %9.2f %9.2f\n", name,
                static_cast<unsigned long long>(times.count()), ms(times.quantile_ns(0.5)),
                ms(times.quantile_ns(0.99)), ms(times.quantile_ns(0.999)), ms(times.max_ns()));
}

nlohmann::json times_json(const Histogram& times) {
  return {{"count", times.count()},
          {"p50_ms", ms(times.quantile_ns(0.5))},
          {"p99_ms", ms(times.quantile_ns(0.99))},
          {"p99.9_ms", ms(times.quantile_ns(0.999))},
          {"max_ms", ms(times.max_ns())}};
}

}  // namespace

std::string setup_table(const SetupOptions& options, const SetupResult& result) {
  const std::string how = options.saturate
                              ? format("%zu at a time", options.outstanding)
                              : format("%g calls/s, each held %g s", options.rate, options.hold);
  std::string text = format("%s, %s, %zu standing calls\n\n%-8s %9s %9s %9s %9s %9s\n",
                            name_of(options.contender), how.c_str(), options.standing, "",
                            "replies", "p50 ms", "p99 ms", "p99.9 ms", "max ms");
  text += times_row("offer", result.times.offer);
  text += times_row("answer", result.times.answer);
  text += times_row("delete", result.times.remove);
  text += format(
      "\n%.0f calls/s set up and torn down; %.0f us of CPU per call; relay busy %.0f %% of a core "
      "(%.0f %% before)\n",
      static_cast<double>(result.over) / result.seconds, result.cpu_us_per_call, 100 * result.busy,
      100 * result.idle_busy);
  if (options.standing > 0) {
    text +=
        format("media of the standing calls: %llu packets, %llu lost, p50 %.0f us, p99 %.0f us\n",
               static_cast<unsigned long long>(result.media.sent),
               static_cast<unsigned long long>(result.media.lost()),
               static_cast<double>(result.media.latency.quantile_ns(0.5)) / 1e3,
               static_cast<double>(result.media.latency.quantile_ns(0.99)) / 1e3);
  }
  if (result.failed > 0 || result.repeated > 0 || result.starved > 0) {
    text += format("%llu failed, %llu requests repeated, %llu not begun in time\n",
                   static_cast<unsigned long long>(result.failed),
                   static_cast<unsigned long long>(result.repeated),
                   static_cast<unsigned long long>(result.starved));
  }
  if (!result.problem.empty()) text += "first problem: " + result.problem + "\n";
  return text;
}

nlohmann::json setup_json(const SetupOptions& options, const SetupResult& result,
                          const Machine& machine) {
  return {
      {"what", "setup"},
      {"machine",
       {{"processor", machine.processor}, {"kernel", machine.kernel}, {"cores", machine.cores}}},
      {"options",
       {{"contender", name_of(options.contender)},
        {"rate", options.rate},
        {"saturate", options.saturate},
        {"outstanding", options.outstanding},
        {"seconds", options.seconds},
        {"hold", options.hold},
        {"standing", options.standing},
        {"rtcp_mux", options.rtcp_mux},
        {"relay_core", options.relay.core},
        {"threads", options.relay.threads},
        {"port_rest_ms", options.relay.port_rest_ms},
        {"rtpool_arguments", options.relay.rtpool_arguments}}},
      {"seconds", result.seconds},
      {"begun", result.begun},
      {"up", result.up},
      {"over", result.over},
      {"failed", result.failed},
      {"repeated", result.repeated},
      {"starved", result.starved},
      {"problem", result.problem},
      {"calls_per_second", static_cast<double>(result.over) / std::max(result.seconds, 1e-9)},
      {"offer", times_json(result.times.offer)},
      {"answer", times_json(result.times.answer)},
      {"delete", times_json(result.times.remove)},
      {"cpu_us_per_call", result.cpu_us_per_call},
      {"busy", result.busy},
      {"idle_busy", result.idle_busy},
      {"media",
       {{"sent", result.media.sent},
        {"lost", result.media.lost()},
        {"late", result.media.late},
        {"p50_us", static_cast<double>(result.media.latency.quantile_ns(0.5)) / 1e3},
        {"p99_us", static_cast<double>(result.media.latency.quantile_ns(0.99)) / 1e3}}}};
}

}  // namespace rtpool::bench
