// What a run of calls measured, for people (a table of both directions) and for programs (JSON).
// Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/call_run.h"

namespace rtpool::bench {

struct LatencySummary {
  double p50_ms = 0, p99_ms = 0, max_ms = 0;
};
LatencySummary summarize_latency(std::vector<std::uint32_t> latencies_us);

struct TableStyle {
  bool colour = false;  // also says that it is a terminal
};
// Lines that each end in a line feed; as many for every report of one run.
std::string call_table(const CallOptions& options, const RunReport& report, TableStyle style);
// One sentence: whether all is well, or the first thing that is not.
std::string verdict(const RunReport& report);
nlohmann::json call_json(const CallOptions& options, const RunReport& report);

}  // namespace rtpool::bench
