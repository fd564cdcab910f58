// UDP sockets for media: bound to one address and port, not connected, owning their descriptor.
//
// Any thread. Nothing here reads or writes packets; that is packet_io.h's. Sockets are blocking on
// purpose: io_uring would hand EAGAIN of a non-blocking socket back instead of waiting for the
// datagram.
#pragma once

#include <cstdint>
#include <utility>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/io/errc.h"

namespace rtpool::io {

// What path MTU discovery may do to what we send (ip(7), IP_MTU_DISCOVER).
enum class PathMtu : std::uint8_t {
  kernel,  // the system's default: DF until a router says "too big", then fragments (right for
           // video)
  probe,   // always DF, never fragments: a little cheaper, but loses packets over small MTUs in
           // silence
};

struct SocketOptions {
  std::uint8_t tos = 0;  // IPv4 TOS, IPv6 traffic class
  PathMtu path_mtu = PathMtu::kernel;
  int receive_buffer_bytes = 0;  // SO_RCVBUF; 0: the system's default

  bool operator==(const SocketOptions&) const = default;
};

class UdpSocket {
 public:
  UdpSocket() = default;
  explicit UdpSocket(int fd) : fd_(fd) {}
  ~UdpSocket();
  UdpSocket(UdpSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UdpSocket& operator=(UdpSocket&& other) noexcept;

  // Port 0 takes any free port. IPv6 sockets never carry IPv4 (IPV6_V6ONLY).
  static Result<UdpSocket> bind(const LocalEndpoint& local, const SocketOptions& options);

  // Has the port, but not its packets: until open_ears() the kernel drops what comes, so that a
  // socket that waits for its user collects nothing for it.
  static Result<UdpSocket> bind_deaf(const LocalEndpoint& local, const SocketOptions& options);
  // False, with nothing changed, where it was not deaf.
  [[nodiscard]] bool open_ears() const;
  // False where the kernel refuses; what was set before stays.
  [[nodiscard]] bool set(IpFamily family, const SocketOptions& options) const;

  // A second socket on the address and port of `descriptor`, with its options, connected to
  // `remote`: packets from there reach the new one, all others the old one.
  static Result<UdpSocket> twin(int descriptor, const RemoteEndpoint& remote);

  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  [[nodiscard]] LocalEndpoint local() const;

 private:
  int fd_ = -1;
};

}  // namespace rtpool::io
