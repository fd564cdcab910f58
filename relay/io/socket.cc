#include "relay/io/socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace rtpool::io {
namespace {

Error system_error(IoErrc errc, const LocalEndpoint& local, const char* what) {
  return {errc, local.to_string() + ": " + what + ": " + std::strerror(errno)};
}

IoErrc errc_of_bind(int error) {
  return error == EADDRNOTAVAIL ? IoErrc::address_unavailable : IoErrc::bind_failed;
}

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

bool configure(int fd, bool v4, const SocketOptions& options) {
  if (!v4 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return false;
  if (options.tos != 0) {
    const bool set = v4 ? set_option(fd, IPPROTO_IP, IP_TOS, options.tos)
                        : set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, options.tos);
    if (!set) return false;
  }
  if (options.path_mtu == PathMtu::probe) {
    const bool set = v4 ? set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
                        : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    if (!set) return false;
  }
  return options.receive_buffer_bytes == 0 ||
         set_option(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
}

}  // namespace

UdpSocket::~UdpSocket() {
  if (fd_ >= 0) ::close(fd_);
}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Result<UdpSocket> UdpSocket::bind(const LocalEndpoint& local, const SocketOptions& options) {
  const bool v4 = local.address.is_v4();
  UdpSocket socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!socket.valid()) {
    const bool limit = errno == EMFILE || errno == ENFILE;
    return system_error(limit ? IoErrc::out_of_descriptors : IoErrc::bind_failed, local, "socket");
  }
  if (!configure(socket.fd(), v4, options)) {
    return system_error(IoErrc::bind_failed, local, "socket option");
  }
  sockaddr_storage address{};
  const socklen_t length = local.to_sockaddr(address);
  if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return system_error(errc_of_bind(errno), local, "bind");
  }
  return socket;
}

LocalEndpoint UdpSocket::local() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return LocalEndpoint{Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address))};
}

}  // namespace rtpool::io
