#include "bench/net.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace rtpool::bench {

std::int64_t wall_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

Instant monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

int open_udp_socket(const IpAddress& address, std::uint16_t port) {
  const int made =
      socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) return -1;
  const int buffer = 1 << 20, on = 1;
  setsockopt(made, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt(made, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  sockaddr_storage storage{};
  const socklen_t length = Endpoint{address, port}.to_sockaddr(storage);
  if (bind(made, reinterpret_cast<sockaddr*>(&storage), length) == 0) return made;
  const int error = errno;
  close(made);
  errno = error;
  return -1;
}

std::uint16_t bound_port(int descriptor) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &length);
  return Endpoint::from_sockaddr(reinterpret_cast<sockaddr*>(&storage)).port;
}

void send_datagram(int descriptor, Bytes datagram, const Endpoint& to) {
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  (void)sendto(descriptor, datagram.data(), datagram.size(), 0,
               reinterpret_cast<sockaddr*>(&storage), length);
}

std::optional<Arrival> receive_datagram(int descriptor, std::span<std::byte> into) {
  sockaddr_storage storage{};
  iovec vector{into.data(), into.size()};
  alignas(cmsghdr) std::array<char, 64> control;
  msghdr message{};
  message.msg_name = &storage;
  message.msg_namelen = sizeof storage;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(descriptor, &message, 0);
  if (got < 0) return std::nullopt;
  Arrival arrival{Endpoint::from_sockaddr(reinterpret_cast<sockaddr*>(&storage)), wall_ns(),
                  static_cast<std::size_t>(got)};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec at{};
    std::memcpy(&at, CMSG_DATA(c), sizeof at);
    arrival.at_ns = at.tv_sec * 1'000'000'000LL + at.tv_nsec;
  }
  return arrival;
}

}  // namespace rtpool::bench
