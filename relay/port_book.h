// Who has which media port: the allocators of all media IPs, and what stands between a call's end
// and its ports' rest, for a port is free only when the shard has really closed its socket.
//
// Owned by the engine and used under its mutex. A pair goes: lease() -> [sockets handed to a shard]
// -> release() when no stream uses it any more, closed() for each socket that is gone, in any order
// -> rests -> free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"
#include "relay/io/port_lease.h"
#include "relay/shard_messages.h"

namespace rtpool {

class PortBook {
 public:
  PortBook(PortRange range, Duration rest) : range_(range), rest_(rest) {}

  // The place of a media IP in the book; two interfaces may share one.
  std::uint16_t add(const IpAddress& address);

  struct Lease {
    LeaseKey key;
    io::LeasedSockets sockets;
  };
  // The errors are the engine's: out_of_ports, bind_failed, too_many_calls (descriptors).
  Result<Lease> lease(std::uint16_t address, bool with_rtcp, const io::SocketOptions& options,
                      Instant now);
  // Binds the odd port of a standing lease that was taken for RTP alone.
  Result<io::UdpSocket> open_rtcp(LeaseKey key, const io::SocketOptions& options);
  // What lease() and open_rtcp() gave is not wanted after all; its sockets were closed by the
  // caller.
  void abandon(LeaseKey key);
  void abandon_rtcp(LeaseKey key);

  void release(LeaseKey key, Instant now);
  void closed(LeaseKey key, Instant now);  // one socket of the pair

  // Whether an endpoint is one of our ports that calls use, or that rests after use.
  [[nodiscard]] bool owns(const Endpoint& endpoint) const;

  struct Counts {
    std::uint64_t total = 0, leased = 0, resting = 0;  // pairs
  };
  [[nodiscard]] Counts counts(Instant now);

 private:
  struct Standing {
    std::uint8_t open = 0;  // sockets that exist
    bool released = false;
  };
  struct Address {
    IpAddress ip;
    io::PortPairAllocator allocator;
    std::unordered_map<std::uint16_t, Standing> standing;  // by even port
  };
  Standing& standing(LeaseKey key);
  void rest_if_done(LeaseKey key, Instant now);

  PortRange range_;
  Duration rest_;
  std::vector<Address> addresses_;
};

}  // namespace rtpool
