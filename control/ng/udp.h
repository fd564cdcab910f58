// Datagrams of the server: batches in, single replies out from the address that was asked. Thin
// over recvmmsg and sendmsg, since Asio's own calls give neither the local address nor batches.
// Never blocks; one thread at a time.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace rtpool::ng {

// The largest UDP payload over IPv4.
inline constexpr std::size_t kMaxDatagramBytes = 65507;

// Both ends of one datagram as the kernel gave them. The peer stays a sockaddr for its IPv6 zone.
struct UdpPath {
  sockaddr_storage peer{};
  socklen_t peer_size = 0;
  bool has_local = false;  // whether `local` is known: on sockets bound to a wildcard only
  IpAddress local;         // what the datagram was sent to, in the socket's family
  unsigned interface = 0;  // index, for link-local addresses

  // The peer as a value; an IPv4 peer of an IPv6 socket as IPv4.
  [[nodiscard]] Endpoint source() const;
};

// A bound socket; the caller closes it. Errors name the endpoint. `[::]` takes IPv4 too.
Result<int> open_udp(const Endpoint& endpoint, std::size_t receive_buffer_bytes);
Endpoint local_endpoint(int socket);

class UdpBatch {
 public:
  explicit UdpBatch(std::size_t datagrams);
  ~UdpBatch();
  UdpBatch(const UdpBatch&) = delete;
  UdpBatch& operator=(const UdpBatch&) = delete;

  // How many came; 0 when there is nothing (more).
  std::size_t receive(int socket);
  // Of the last receive(), valid until the next.
  [[nodiscard]] std::string_view datagram(std::size_t index) const;
  [[nodiscard]] UdpPath path(std::size_t index) const;
  [[nodiscard]] std::size_t capacity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// False when the kernel did not take it.
bool send_udp(int socket, const UdpPath& path, std::string_view datagram);

}  // namespace rtpool::ng
