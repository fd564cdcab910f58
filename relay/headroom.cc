#include "relay/headroom.h"

#include <algorithm>
#include <cmath>

namespace rtpool {
namespace {

constexpr double kHeaderBytes = 28;  // IPv4 and UDP
// Refusing ends below so much of a limit.
constexpr double kResume = 0.95;
// An average over fewer calls says nothing. Then a call is taken to be two parties with G.711 in
// packets of 20 ms; how long a core is busy with that can't be known.
constexpr std::uint64_t kEnoughCalls = 8;
constexpr double kPacketsPerCall = 100;
constexpr double kBitsPerCall = 160'000;
// A core's cost per packet falls as load rises, and setting up calls costs, too. So the average
// over a few calls is believed for a few times as many.
constexpr double kBelieved = 4;
// Shards closer to each other than this are equally busy: then the number of calls decides.
constexpr double kSteps = 32;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double share(double used, double all) {
  return all <= 0 ? 1.0 : std::clamp(used / all, 0.0, 1.0);
}

double since(std::uint64_t from, std::uint64_t to) {
  return to > from ? static_cast<double>(to - from) : 0.0;
}

// Calls whose media is still to come.
double expected(const ShardDemand& shard) {
  return since(shard.measured.settled, shard.calls);
}

// What a call costs is told by what those that talk now cost now: the larger rate may be that of
// calls that are gone.
double busy_per_call(const ShardDemand& shard) {
  if (shard.measured.talking < kEnoughCalls) return 0;
  return shard.measured.lately.busy / static_cast<double>(shard.measured.talking);
}

double busy_soon(const ShardDemand& shard) {
  const double believed = kBelieved * static_cast<double>(shard.measured.talking);
  return shard.measured.rates.busy + busy_per_call(shard) * std::min(expected(shard), believed);
}

void add(ShardRates& sum, const ShardRates& rates) {
  sum.packets_per_second += rates.packets_per_second;
  sum.bits_received_per_second += rates.bits_received_per_second;
  sum.bits_sent_per_second += rates.bits_sent_per_second;
}

double bits(const ShardRates& rates) {
  return std::max(rates.bits_received_per_second, rates.bits_sent_per_second);
}

// A rate over all shards, now, with what is expected, and with one call more.
struct Forecast {
  double soon = 0;
  double with_one_more = 0;
};

Forecast forecast(double measured, double lately, double talking, double expected, double usual) {
  const double per_call = talking < static_cast<double>(kEnoughCalls) ? usual : lately / talking;
  const double soon = measured + per_call * expected;
  return {soon, soon + per_call};
}

}  // namespace

std::string_view to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "none";
    case Refusal::calls:
      return "calls";
    case Refusal::sockets:
      return "sockets";
    case Refusal::ports:
      return "ports";
    case Refusal::packets:
      return "packets";
    case Refusal::bandwidth:
      return "bandwidth";
    case Refusal::busy:
      return "cpu";
  }
  return "unknown";
}

// ---- one shard ---------------------------------------------------------------------------------

const ShardReading& ShardMeter::back(std::size_t steps) const {
  return readings_[(taken_ - 1 - steps) % kKept];
}

void ShardMeter::read(const ShardReading& reading) {
  readings_[taken_++ % kKept] = reading;
  if (taken_ == 1) return;
  const std::size_t known = std::min(taken_, kKept) - 1;
  load_.lately = between(back(std::min(kQuick, known)), reading);
  const ShardRates steady = between(back(known), reading);
  const auto larger = [&](double ShardRates::*rate) {
    load_.rates.*rate = std::max(load_.lately.*rate, steady.*rate);
  };
  larger(&ShardRates::busy);
  larger(&ShardRates::packets_per_second);
  larger(&ShardRates::bits_received_per_second);
  larger(&ShardRates::bits_sent_per_second);
}

ShardRates ShardMeter::between(const ShardReading& from, const ShardReading& to) const {
  ShardRates load;
  const double wall = seconds(to.at - from.at);
  if (wall <= 0) return load_.rates;
  const auto bits = [&](double bytes, double packets) {
    return 8 * (bytes + kHeaderBytes * packets) / wall;
  };
  const double received = since(from.packets_received, to.packets_received);
  load.packets_per_second = received / wall;
  load.bits_received_per_second = bits(since(from.bytes_received, to.bytes_received), received);
  load.bits_sent_per_second =
      bits(since(from.bytes_sent, to.bytes_sent), since(from.packets_sent, to.packets_sent));
  // A thread that others keep from the core has less of it to use: it is as near to its end as if
  // it were alone and slower.
  const double had = wall - seconds(to.waiting - from.waiting);
  load.busy = share(seconds(to.running - from.running), std::max(had, wall / 1000));
  // Packets waited in their sockets because every buffer was full: it could not keep up.
  if (to.buffers_exhausted > from.buffers_exhausted) load.busy = 1;
  return load;
}

bool ShardMeter::quiet() const {
  return taken_ >= kKept && back(0).packets_received == back(kKept - 1).packets_received &&
         back(0).packets_sent == back(kKept - 1).packets_sent;
}

// ---- all of them -------------------------------------------------------------------------------

bool Headroom::over(Refusal limit, double now, double with_one_more) {
  bool& refusing = refusing_[static_cast<std::size_t>(limit)];
  refusing = with_one_more > 1 || now >= (refusing ? kResume : 1);
  return refusing;
}

Assessment Headroom::assess(const Demand& demand) {
  Assessment result;
  const auto used = [&](Refusal limit) -> double& {
    return result.used[static_cast<std::size_t>(limit)];
  };
  ShardRates sum, lately;
  double talking = 0, coming = 0, sockets = 0, busy = 0;
  const auto weight = [](const ShardDemand& shard) {
    return std::floor(busy_soon(shard) * kSteps);
  };
  const ShardDemand* lightest = demand.shards.data();
  for (const ShardDemand& shard : demand.shards) {
    add(sum, shard.measured.rates);
    add(lately, shard.measured.lately);
    busy += busy_soon(shard);
    talking += static_cast<double>(shard.measured.talking);
    coming += expected(shard);
    sockets += static_cast<double>(shard.sockets);
    const double a = weight(shard), b = weight(*lightest);
    if (a < b || (a == b && shard.calls < lightest->calls)) lightest = &shard;
  }
  const auto shards = static_cast<double>(demand.shards.size());
  result.lightest = static_cast<std::size_t>(lightest - demand.shards.data());

  used(Refusal::calls) =
      share(static_cast<double>(demand.calls), static_cast<double>(limits_.calls));
  used(Refusal::ports) =
      share(static_cast<double>(demand.ports_used), static_cast<double>(demand.ports));
  used(Refusal::sockets) = share(sockets, shards * static_cast<double>(demand.sockets_per_shard));
  for (const Refusal exact : {Refusal::sockets, Refusal::ports, Refusal::calls}) {
    if (used(exact) >= 1) result.refusal = exact;
  }
  const auto rate = [&](Refusal limit, const Forecast& is, double most) {
    used(limit) = share(is.soon, most);
    if (over(limit, is.soon / most, is.with_one_more / most) && result.refusal == Refusal::none) {
      result.refusal = limit;
    }
  };
  if (limits_.packets_per_second > 0) {
    rate(Refusal::packets,
         forecast(sum.packets_per_second, lately.packets_per_second, talking, coming,
                  kPacketsPerCall),
         static_cast<double>(limits_.packets_per_second));
  }
  if (limits_.bits_per_second > 0) {
    rate(Refusal::bandwidth, forecast(bits(sum), bits(lately), talking, coming, kBitsPerCall),
         static_cast<double>(limits_.bits_per_second));
  }
  if (limits_.busy > 0) {
    // The call goes to the lightest shard, but all of them say how full the relay is.
    const double soon = busy_soon(*lightest);
    rate(Refusal::busy, {soon, soon + busy_per_call(*lightest)}, limits_.busy);
    used(Refusal::busy) = share(busy / shards, limits_.busy);
  }
  const double most = *std::max_element(result.used.begin(), result.used.end());
  result.load = result.refusal != Refusal::none ? 1.0 : std::min(most, 0.999);
  return result;
}

std::string describe_limit(Refusal refusal, const LoadLimits& limits) {
  switch (refusal) {
    case Refusal::calls:
      return "the limit is " + std::to_string(limits.calls);
    case Refusal::packets:
      return "the limit is " + std::to_string(limits.packets_per_second) + " packets per second";
    case Refusal::bandwidth:
      return "the limit is " + std::to_string(limits.bits_per_second) + " bits per second";
    case Refusal::busy:
      return "the limit is " + std::to_string(std::lround(100 * limits.busy)) +
             " % of every shard's core";
    case Refusal::sockets:
      return "the limit of sockets is reached";
    case Refusal::ports:
      return "every media port is in use or rests";
    case Refusal::none:
      break;
  }
  return {};
}

}  // namespace rtpool
