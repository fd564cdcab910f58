// UDP sockets as the telephones use them: non-blocking, with the kernel's own arrival times. Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "relay/base/bytes.h"
#include "relay/base/endpoint.h"
#include "relay/base/time.h"

namespace rtpool::bench {

struct Arrival {
  Endpoint source;
  std::int64_t at_ns = 0;  // CLOCK_REALTIME
  std::size_t bytes = 0;
};

// A bound socket, or -1 with errno set. Port 0: any.
int open_udp_socket(const IpAddress& address, std::uint16_t port);
std::uint16_t bound_port(int descriptor);
// A failure is a loss, and found by the one who waits for the datagram.
void send_datagram(int descriptor, Bytes datagram, const Endpoint& to);
// The next datagram that waits; nothing when none does.
std::optional<Arrival> receive_datagram(int descriptor, std::span<std::byte> into);
std::int64_t wall_ns();  // CLOCK_REALTIME
Instant monotonic_now();

}  // namespace rtpool::bench
