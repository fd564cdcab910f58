// Relays measured in turn under the same load: each round starts every contender afresh, sets up
// its calls, lets media flow and counts what it cost. One thread, which it pins to a core.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/load/contender.h"
#include "bench/load/media_load.h"

namespace rtpool::bench {

enum class LoadKind : std::uint8_t {
  paced,       // each stream 50 packets/s
  saturate,    // closed loop: as fast as the relay forwards
  find_limit,  // paced, and the most calls that lose nothing
};

struct VersusOptions {
  std::vector<Contender> contenders;
  ContenderOptions relay;
  LoadKind load = LoadKind::paced;
  std::size_t calls = 400;
  std::size_t most_calls = 4000;  // that find_limit tries
  double seconds = 10, warm_up = 2;
  int rounds = 5;
  int load_core = -1;  // -1: the last one
  unsigned in_flight = 2;
  bool rtcp_mux = true;
  std::uint64_t seed = 1;
};

// One contender in one round. Times in microseconds, memory in KiB.
struct Round {
  Contender contender = Contender::rtpool;
  int round = 0;
  std::size_t calls = 0;  // for find_limit: the most without loss
  bool beyond = false;    // for find_limit: what failed was the generator, or nothing did
  std::uint64_t sent = 0, received = 0, lost = 0;
  std::uint64_t duplicated = 0, reordered = 0, foreign = 0, send_errors = 0, late = 0, silent = 0;
  // What the relay itself says it received (query) over what was sent, warm-up included; 0 when it
  // does not say.
  double counted_by_relay = 0;
  double seconds = 0;
  double cpu_per_packet = 0;          // over all threads, by /proc/PID/task/*/schedstat
  double cpu_per_packet_process = 0;  // the same by /proc/PID/stat, for comparison
  double busy = 0;                    // share of one core that the relay used
  double stolen = 0;                  // share of all cores that the hypervisor took meanwhile
  double others = 0;                  // share of all cores that neither relay nor generator used
  double p50 = 0, p99 = 0, p999 = 0, max = 0;
  double memory_per_call = 0, process_memory_per_call = 0;
  double set_up_ms = 0;  // to set all calls up
};

// What is being done now, for people.
using Progress = std::function<void(const std::string&)>;

// Throws std::runtime_error when a relay fails to start, refuses a call or dies.
std::vector<Round> run_versus(const VersusOptions& options, const Progress& progress);

}  // namespace rtpool::bench
