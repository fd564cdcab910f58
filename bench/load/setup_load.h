// Call set-up measured: calls begun at a steady rate whatever the relay does (open loop), or as
// fast as it takes them with so many at a time (closed loop); each is offered, answered, held and
// deleted. Beside them calls may stand with media flowing. One thread, which it pins to a core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "bench/load/calls.h"
#include "bench/load/contender.h"
#include "bench/load/media_load.h"
#include "bench/load/versus.h"

namespace rtpool::bench {

struct SetupOptions {
  Contender contender = Contender::rtpool;
  ContenderOptions relay;
  double rate = 500;  // calls/s, open loop
  bool saturate = false;
  std::size_t outstanding = 16;  // calls at a time, closed loop; deleted at once
  double seconds = 10, warm_up = 2;
  double hold = 1;  // seconds from the answer to the delete, open loop
  std::size_t standing = 0;
  bool rtcp_mux = true;
  int load_core = -1;
  std::uint64_t seed = 1;
};

struct SetupResult {
  std::uint64_t begun = 0, up = 0, over = 0, failed = 0, repeated = 0;
  std::uint64_t starved = 0;  // due, but too many stood unanswered
  std::string problem;        // of the first that failed
  double seconds = 0;
  CallTimes times;
  double busy = 0, idle_busy = 0;  // shares of one core: in the window, and before any call began
  double cpu_us_per_call = 0;      // of offer, answer and delete together, less the idle share
  MediaResult media;               // of the standing calls
};

// Throws std::runtime_error when the relay fails to start or dies.
SetupResult run_setup(const SetupOptions& options, const Progress& progress);

std::string setup_table(const SetupOptions& options, const SetupResult& result);
nlohmann::json setup_json(const SetupOptions& options, const SetupResult& result,
                          const Machine& machine);

}  // namespace rtpool::bench
