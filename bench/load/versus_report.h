// What a comparison found, for people (table), programs (JSON) and documents (SVG). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/load/statistics.h"
#include "bench/load/versus.h"

namespace rtpool::bench {

// The medians of a contender's rounds, and its ratios to others round by round.
struct ContenderSummary {
  Contender contender = Contender::rtpool;
  std::size_t rounds = 0;
  Spread cpu, busy, p50, p99, p999, memory, process_memory, calls, rate;
  std::uint64_t sent = 0, lost = 0, reordered = 0, duplicated = 0, foreign = 0, late = 0;
  double max = 0;
  bool beyond = false;
};
std::vector<ContenderSummary> summarize(const VersusOptions& options,
                                        const std::vector<Round>& rounds);

// A line of the comparison: how many times `base` a contender needed, by rounds.
struct Ratio {
  Contender contender, base;
  std::string what;
  Spread spread;
};
std::vector<Ratio> ratios(const VersusOptions& options, const std::vector<Round>& rounds);

std::string versus_table(const VersusOptions& options, const std::vector<Round>& rounds);
nlohmann::json versus_json(const VersusOptions& options, const std::vector<Round>& rounds,
                           const Machine& machine);
std::string versus_svg(const VersusOptions& options, const std::vector<Round>& rounds,
                       const Machine& machine);

}  // namespace rtpool::bench
