// A proxy's side of NG in tests: a UDP socket on loopback that asks and reads answers.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "relay/base/endpoint.h"

namespace rtpool::ng {

class UdpPeer {
 public:
  explicit UdpPeer(IpAddress own = IpAddress::v4(127, 0, 0, 1))
      : socket_(::socket(own.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage address{};
    const socklen_t size = Endpoint{own, 0}.to_sockaddr(address);
    bound_ = ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) == 0;
    constexpr int kBytes = 1 << 20;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &kBytes, sizeof kBytes);
  }
  ~UdpPeer() { ::close(socket_); }
  UdpPeer(const UdpPeer&) = delete;
  UdpPeer& operator=(const UdpPeer&) = delete;

  [[nodiscard]] bool bound() const { return bound_; }

  void send(const Endpoint& to, std::string_view datagram) const {
    sockaddr_storage address{};
    const socklen_t size = to.to_sockaddr(address);
    ::sendto(socket_, datagram.data(), datagram.size(), 0,
             reinterpret_cast<const sockaddr*>(&address), size);
  }

  // The next answer and who sent it, if one comes in time.
  std::optional<std::pair<std::string, Endpoint>> receive(int timeout_ms) {
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, timeout_ms) <= 0) return std::nullopt;
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const ssize_t bytes = ::recvfrom(socket_, buffer_.data(), buffer_.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
    if (bytes < 0) return std::nullopt;
    return std::pair(std::string(buffer_.data(), static_cast<std::size_t>(bytes)),
                     Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&from)));
  }

 private:
  int socket_;
  bool bound_ = false;
  std::array<char, 65536> buffer_{};
};

}  // namespace rtpool::ng
