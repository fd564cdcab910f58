#include "control/ng/udp.h"

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace rtpool::ng {
namespace {

constexpr std::size_t kBufferBytes = 65536;  // no datagram is longer
constexpr std::size_t kControlBytes =
    CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo));

Error system_error(const Endpoint& endpoint, std::string_view what) {
  const int code = errno;
  return {ErrorCode(code, boost::system::system_category()),
          std::string(what) + " " + endpoint.to_string()};
}

bool set_option(int socket, int level, int name, int value) {
  return ::setsockopt(socket, level, name, &value, sizeof value) == 0;
}

bool prepare(int socket, const Endpoint& endpoint, std::size_t receive_buffer_bytes) {
  // The kernel may give less than asked; without the privilege to pass its limit that is no error.
  const int bytes = static_cast<int>(std::min<std::size_t>(receive_buffer_bytes, 1U << 30U));
  if (!set_option(socket, SOL_SOCKET, SO_RCVBUFFORCE, bytes))
    set_option(socket, SOL_SOCKET, SO_RCVBUF, bytes);
  const bool wildcard = endpoint.address.is_unspecified();
  if (endpoint.address.is_v4()) return !wildcard || set_option(socket, IPPROTO_IP, IP_PKTINFO, 1);
  return set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, wildcard ? 0 : 1) &&
         (!wildcard || set_option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
}

void read_local(const msghdr& header, UdpPath& path) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      path.local.family = IpFamily::v4;
      std::memcpy(path.local.octets.data(), &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
      path.interface = static_cast<unsigned>(info.ipi_ifindex);
      path.has_local = true;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      path.local.family = IpFamily::v6;
      std::memcpy(path.local.octets.data(), &info.ipi6_addr, sizeof info.ipi6_addr);
      path.interface = info.ipi6_ifindex;
      path.has_local = true;
    }
  }
}

template <class Info>
void write_control(msghdr& header, int level, int type, const Info& info) {
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(control), &info, sizeof info);
  header.msg_controllen = CMSG_SPACE(sizeof info);
}

// The interface is left to the routing table, except where the address means nothing without it.
void write_local(msghdr& header, const UdpPath& path) {
  if (path.local.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, path.local.octets.data(), sizeof info.ipi_spec_dst);
    write_control(header, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, path.local.octets.data(), sizeof info.ipi6_addr);
    if (path.local.is_link_local()) info.ipi6_ifindex = path.interface;
    write_control(header, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

}  // namespace

Endpoint UdpPath::source() const {
  Endpoint endpoint = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&peer));
  endpoint.address = endpoint.address.unmapped();
  return endpoint;
}

Result<int> open_udp(const Endpoint& endpoint, std::size_t receive_buffer_bytes) {
  const int family = endpoint.address.is_v4() ? AF_INET : AF_INET6;
  const int socket = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return system_error(endpoint, "can't open a UDP socket for");
  sockaddr_storage address{};
  const socklen_t size = endpoint.to_sockaddr(address);
  if (!prepare(socket, endpoint, receive_buffer_bytes) ||
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    Error error = system_error(endpoint, "can't bind UDP");
    ::close(socket);
    return error;
  }
  return socket;
}

Endpoint local_endpoint(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address));
}

struct UdpBatch::Impl {
  explicit Impl(std::size_t n)
      : bytes(n * kBufferBytes), peers(n), vectors(n), controls(n), headers(n) {}

  std::vector<char> bytes;
  std::vector<sockaddr_storage> peers;
  std::vector<iovec> vectors;
  struct alignas(cmsghdr) Control {
    std::array<char, kControlBytes> bytes;
  };
  std::vector<Control> controls;
  std::vector<mmsghdr> headers;
};

UdpBatch::UdpBatch(std::size_t datagrams)
    : impl_(std::make_unique<Impl>(std::clamp<std::size_t>(datagrams, 1, 1024))) {}
UdpBatch::~UdpBatch() = default;

std::size_t UdpBatch::capacity() const {
  return impl_->headers.size();
}

std::size_t UdpBatch::receive(int socket) {
  for (std::size_t i = 0; i < impl_->headers.size(); ++i) {
    impl_->vectors[i] = {impl_->bytes.data() + i * kBufferBytes, kBufferBytes};
    msghdr& header = impl_->headers[i].msg_hdr;
    header = {};
    header.msg_name = &impl_->peers[i];
    header.msg_namelen = sizeof(sockaddr_storage);
    header.msg_iov = &impl_->vectors[i];
    header.msg_iovlen = 1;
    header.msg_control = impl_->controls[i].bytes.data();
    header.msg_controllen = impl_->controls[i].bytes.size();
  }
  const int count = ::recvmmsg(socket, impl_->headers.data(),
                               static_cast<unsigned>(impl_->headers.size()), MSG_DONTWAIT, nullptr);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

std::string_view UdpBatch::datagram(std::size_t index) const {
  return {impl_->bytes.data() + index * kBufferBytes, impl_->headers[index].msg_len};
}

UdpPath UdpBatch::path(std::size_t index) const {
  UdpPath path;
  path.peer = impl_->peers[index];
  path.peer_size = impl_->headers[index].msg_hdr.msg_namelen;
  read_local(impl_->headers[index].msg_hdr, path);
  return path;
}

bool send_udp(int socket, const UdpPath& path, std::string_view datagram) {
  iovec vector{const_cast<char*>(datagram.data()), datagram.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};
  header.msg_name = const_cast<sockaddr_storage*>(&path.peer);
  header.msg_namelen = path.peer_size;
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (path.has_local) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    write_local(header, path);
  }
  return ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(datagram.size());
}

}  // namespace rtpool::ng
