// How much a relay has left: what its shards are measured to do, what the calls just accepted will
// add to that, and whether one more call fits.
//
// Sans-IO, not synchronised. ShardMeter belongs to a shard's worker and is fed at each of its
// ticks; Headroom belongs to the engine. Shares are of 1; rates are per second; bits count UDP
// payload and 28 bytes of IPv4 and UDP headers a packet.
//
// Measured load comes late: a call that was accepted now sends media when somebody has answered.
// Until its first packet (or kExpected, after which it is not expected any more) it therefore
// counts with what an average call costs. Roughly so: calls differ, and few say little about many.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "relay/base/time.h"
#include "relay/media/verdict.h"

namespace rtpool {

// What a shard's thread has done since it began.
struct ShardReading {
  Instant at;
  Duration running{};  // its CPU time
  Duration waiting{};  // time that it could have run and others had the core
  std::uint64_t packets_received = 0, packets_sent = 0;
  std::uint64_t bytes_received = 0, bytes_sent = 0;  // UDP payload
  std::uint64_t buffers_exhausted = 0;
};

struct ShardRates {
  double busy = 0;                // share of the time that it had the core for
  double packets_per_second = 0;  // received
  double bits_received_per_second = 0, bits_sent_per_second = 0;
};

// What it does now.
struct ShardLoad {
  ShardRates rates;           // of the last fifth of a second or the last second: the larger
  ShardRates lately;          // of the last fifth of a second: what the calls that talk now cost
  std::uint64_t talking = 0;  // calls that have had media lately
  std::uint64_t settled = 0;  // calls of which no first packet is expected any more
};

// Smooths readings, so that a rise shows at once and a fall is believed when it lasts.
class ShardMeter {
 public:
  void read(const ShardReading& reading);
  // `talking` and `settled` are the owner's to fill in.
  [[nodiscard]] const ShardLoad& load() const { return load_; }
  // Nothing has come or gone for as long as it looks back.
  [[nodiscard]] bool quiet() const;

 private:
  static constexpr std::size_t kKept = 11;  // of 100 ms: a second
  static constexpr std::size_t kQuick = 2;

  [[nodiscard]] const ShardReading& back(std::size_t steps) const;
  [[nodiscard]] ShardRates between(const ShardReading& from, const ShardReading& to) const;

  std::array<ShardReading, kKept> readings_{};
  std::size_t taken_ = 0;
  ShardLoad load_;
};

// What a relay may take on; 0 is no limit, but for calls.
struct LoadLimits {
  std::uint64_t calls = 0;
  std::uint64_t packets_per_second = 0;  // received, over all shards
  std::uint64_t bits_per_second = 0;     // the greater of received and sent, over all shards
  double busy = 0;                       // of a shard, share
};

// Why a new call is refused.
enum class Refusal : std::uint8_t { none, calls, sockets, ports, packets, bandwidth, busy };
inline constexpr std::size_t kRefusals = 7;
std::string_view to_string(Refusal refusal);

struct ShardDemand {
  ShardLoad measured;
  std::uint64_t calls = 0;
  std::uint64_t sockets = 0;
};
struct Demand {
  std::span<const ShardDemand> shards;  // at least one
  std::uint64_t calls = 0;
  std::uint64_t ports_used = 0, ports = 0;
  std::uint64_t sockets_per_shard = 0;  // limit
};

struct Assessment {
  std::array<double, kRefusals> used{};  // share of each limit, by Refusal; 0 without a limit
  double load = 0;                       // the greatest of them, at most 1; 1 exactly when refusing
  Refusal refusal = Refusal::none;
  std::size_t lightest = 0;  // the shard for the next call
};

// Refusing begins when one more call would pass a rate and ends well below it, so that it does not
// flap; calls, sockets and ports are counted exactly and need no such thing.
class Headroom {
 public:
  static constexpr Duration kExpected = std::chrono::seconds(30);

  explicit Headroom(const LoadLimits& limits) : limits_(limits) {}

  // The state now; whether the relay refuses is remembered for the next time.
  Assessment assess(const Demand& demand);
  [[nodiscard]] const LoadLimits& limits() const { return limits_; }

 private:
  bool over(Refusal limit, double now, double with_one_more);

  LoadLimits limits_;
  std::array<bool, kRefusals> refusing_{};
};

// One line for an operator: what is used and what the limit is.
std::string describe_limit(Refusal refusal, const LoadLimits& limits);

}  // namespace rtpool
