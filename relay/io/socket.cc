#include "relay/io/socket.h"

#include <linux/filter.h>
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

// A socket filter (socket(7), SO_ATTACH_FILTER) that takes no byte of any packet.
bool drop_everything(int fd) {
  sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{.len = 1, .filter = &nothing};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

bool set_options(int fd, bool v4, const SocketOptions& options) {
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

// Before the socket has a port: IPV6_V6ONLY can't be set later.
bool configure(int fd, bool v4, const SocketOptions& options) {
  if (!v4 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return false;
  return set_options(fd, v4, options);
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

namespace {

Result<UdpSocket> open(const LocalEndpoint& local, const SocketOptions& options, bool deaf) {
  const bool v4 = local.address.is_v4();
  UdpSocket socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!socket.valid()) {
    const bool limit = errno == EMFILE || errno == ENFILE;
    return system_error(limit ? IoErrc::out_of_descriptors : IoErrc::bind_failed, local, "socket");
  }
  if (!configure(socket.fd(), v4, options)) {
    return system_error(IoErrc::bind_failed, local, "socket option");
  }
  // Before it has a port: no packet may come in between.
  if (deaf && !drop_everything(socket.fd())) {
    return system_error(IoErrc::bind_failed, local, "filter");
  }
  sockaddr_storage address{};
  const socklen_t length = local.to_sockaddr(address);
  if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return system_error(errc_of_bind(errno), local, "bind");
  }
  return socket;
}

}  // namespace

Result<UdpSocket> UdpSocket::bind(const LocalEndpoint& local, const SocketOptions& options) {
  return open(local, options, false);
}

Result<UdpSocket> UdpSocket::bind_deaf(const LocalEndpoint& local, const SocketOptions& options) {
  return open(local, options, true);
}

bool UdpSocket::open_ears() const {
  return set_option(fd_, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

bool UdpSocket::set(IpFamily family, const SocketOptions& options) const {
  return set_options(fd_, family == IpFamily::v4, options);
}

namespace {

int option_of(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

// Two sockets may share a port while both say so. It is said for the moment of the second bind
// alone: otherwise any program could take our ports.
class PortShared {
 public:
  PortShared(int first, int second) : first_(first), second_(second) { set(1); }
  ~PortShared() { set(0); }
  PortShared(const PortShared&) = delete;
  PortShared& operator=(const PortShared&) = delete;

 private:
  void set(int value) const {
    set_option(first_, SOL_SOCKET, SO_REUSEADDR, value);
    set_option(second_, SOL_SOCKET, SO_REUSEADDR, value);
  }
  int first_, second_;
};

}  // namespace

Result<UdpSocket> UdpSocket::twin(int descriptor, const RemoteEndpoint& remote) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return system_error(IoErrc::bind_failed, {}, "getsockname");
  }
  const LocalEndpoint local{Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address))};
  const bool v4 = address.ss_family == AF_INET;
  UdpSocket socket(::socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!socket.valid()) return system_error(IoErrc::out_of_descriptors, local, "socket");
  // The kernel doubles what SO_RCVBUF is set to, and tells the double.
  const int buffer = option_of(descriptor, SOL_SOCKET, SO_RCVBUF) / 2;
  const int tos = v4 ? option_of(descriptor, IPPROTO_IP, IP_TOS)
                     : option_of(descriptor, IPPROTO_IPV6, IPV6_TCLASS);
  const int mtu = v4 ? option_of(descriptor, IPPROTO_IP, IP_MTU_DISCOVER)
                     : option_of(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER);
  const bool probes = mtu == (v4 ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE);
  const SocketOptions options{.tos = static_cast<std::uint8_t>(tos),
                              .path_mtu = probes ? PathMtu::probe : PathMtu::kernel,
                              .receive_buffer_bytes = buffer};
  if (!configure(socket.fd(), v4, options)) {
    return system_error(IoErrc::bind_failed, local, "socket option");
  }
  {
    const PortShared shared(descriptor, socket.fd());
    if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      return system_error(errc_of_bind(errno), local, "bind");
    }
  }
  length = remote.to_sockaddr(address);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return system_error(IoErrc::bind_failed, local, "connect");
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
