// Which media ports are whose: even/odd pairs (RFC 3550, 11) of a range, drawn at random so that
// nobody can tell the next call's ports, and resting after use so that late packets of an old call
// don't reach a new one.
//
// PortPairAllocator is sans-IO and may be used from any thread; there is one for each media
// address. lease_sockets() joins it with real sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/random.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/io/socket.h"

namespace rtpool::io {

struct PortPair {
  std::uint16_t even = 0;
  [[nodiscard]] std::uint16_t odd() const { return static_cast<std::uint16_t>(even + 1); }
  auto operator<=>(const PortPair&) const = default;
};

class PortPairAllocator {
 public:
  struct Options {
    std::uint16_t first = 0;  // rounded up to even
    std::uint16_t last = 0;   // inclusive
    Duration rest{};
    std::uint64_t seed = 0;
  };
  explicit PortPairAllocator(const Options& options);

  // A pair drawn uniformly from those that are free, or nullopt when there is none.
  std::optional<PortPair> lease(Instant now);
  // After use: free again when it has rested.
  void release(PortPair pair, Instant now);
  // Never used, nobody was told of it: free at once.
  void give_back(PortPair pair);

  [[nodiscard]] std::size_t total() const { return state_.size(); }
  [[nodiscard]] std::size_t leased() const;
  [[nodiscard]] std::size_t resting(Instant now);
  // Another program has one of its ports: not tried again for as long as a rest, but not ours
  // meanwhile.
  void set_aside(PortPair pair, Instant now);
  // Whether the port belongs to a pair that is leased, or rests after use.
  [[nodiscard]] bool in_use(std::uint16_t port) const;

 private:
  enum class State : std::uint8_t { free, leased, resting, taken };
  struct Resting {
    Instant until;
    std::uint16_t index;
  };
  void rest(PortPair pair, State state, Instant now);
  [[nodiscard]] std::uint16_t index_of(PortPair pair) const;
  void wake_rested(Instant now);

  const std::uint16_t first_;
  const Duration rest_;

  mutable std::mutex mutex_;  // guards what follows, but the length of state_
  Random random_;
  std::vector<State> state_;         // by (port - first) / 2
  std::vector<std::uint16_t> free_;  // indices, in no order: a draw swaps the last one into the gap
  std::deque<Resting> resting_;      // in order of time, for all rest equally long
  std::size_t leased_ = 0;
};

struct LeasedSockets {
  PortPair ports;
  UdpSocket rtp;
  UdpSocket rtcp;  // not valid where only RTP was asked for
};

// Leases a pair and binds it, or its even port alone. A pair of which one port is taken by another
// program is put to rest and another one tried, a bounded number of times. Fails with out_of_ports,
// or with what bind said.
Result<LeasedSockets> lease_sockets(PortPairAllocator& allocator, const IpAddress& address,
                                    bool with_rtcp, const SocketOptions& options, Instant now);

}  // namespace rtpool::io
