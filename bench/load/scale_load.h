// Growing a relay call by call: at each step so many calls stand, every one of them carries media
// both ways, and what they hold in memory and what setting one more up costs is measured. One
// thread, which it pins to a core. The telephones share a few sockets, so that their own memory is
// not taken for the relay's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/load/contender.h"
#include "bench/load/versus.h"

namespace rtpool::bench {

struct ScaleOptions {
  Contender contender = Contender::rtpool;
  ContenderOptions relay;
  std::size_t most = 10'000;
  std::size_t probe = 200;             // calls set up and torn down beside those that stand
  double packets_per_second = 20'000;  // of the sample of media, all calls together
  bool with_mux = true, without_mux = true;
  int load_core = -1;
  std::uint64_t seed = 1;
};

// So many calls stand. Memory in KiB a call, against none standing.
struct ScaleStep {
  bool rtcp_mux = true;
  std::size_t calls = 0;
  double grow_ms = 0;          // to set up those that the step before lacked
  double cpu_us_per_call = 0;  // to set one more up and tear it down
  double offer_p50_ms = 0, offer_p99_ms = 0;
  double process_memory = 0, kernel_memory = 0;
  std::size_t descriptors = 0;                   // that the process holds
  std::uint64_t sent = 0, lost = 0, silent = 0;  // RTP; silent: streams of which nothing came
  std::uint64_t rtcp_sent = 0, rtcp_lost = 0;
};

struct ScaleResult {
  std::vector<ScaleStep> steps;
  std::string problem;  // why it, or its part with rtcp-mux, ended early; empty otherwise
};

// Throws std::runtime_error when a relay does not start.
ScaleResult run_scale(const ScaleOptions& options, const Progress& progress);

// 1, 10, 100, 1000, 2000, 5000, 10000 … up to `most`, which is the last.
std::vector<std::size_t> scale_steps(std::size_t most);
std::string scale_table(const ScaleResult& result);
nlohmann::json scale_json(const ScaleOptions& options, const ScaleResult& result,
                          const Machine& machine);
std::string scale_svg(const ScaleResult& result, const Machine& machine);

}  // namespace rtpool::bench
