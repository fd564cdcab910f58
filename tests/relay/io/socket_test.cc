#include "relay/io/socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace rtpool::io {
namespace {

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
const IpAddress kLoopback6 = *IpAddress::parse("::1");

int option(const UdpSocket& socket, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(getsockopt(socket.fd(), level, name, &value, &length), 0);
  return value;
}

TEST(Socket, CarriesItsOptions) {
  const auto v4 =
      UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {.tos = 0xb8, .path_mtu = PathMtu::probe});
  ASSERT_TRUE(v4);
  EXPECT_EQ(option(*v4, IPPROTO_IP, IP_TOS), 0xb8);
  EXPECT_EQ(option(*v4, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
  const auto v6 =
      UdpSocket::bind(LocalEndpoint{{kLoopback6, 0}}, {.tos = 0xb8, .path_mtu = PathMtu::probe});
  ASSERT_TRUE(v6);
  EXPECT_EQ(option(*v6, IPPROTO_IPV6, IPV6_TCLASS), 0xb8);
  EXPECT_EQ(option(*v6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_EQ(option(*v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_PROBE);
}

TEST(Socket, AskedForASmallerBufferHasOne) {
  const auto usual = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {});
  const auto small = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {.receive_buffer_bytes = 8192});
  EXPECT_LT(option(*small, SOL_SOCKET, SO_RCVBUF), option(*usual, SOL_SOCKET, SO_RCVBUF));
}

TEST(Socket, SaysWhyAPortCannotBeHad) {
  const auto first = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {});
  const auto second = UdpSocket::bind(first->local(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, IoErrc::bind_failed);
  EXPECT_NE(second.error().message().find(first->local().to_string()), std::string::npos);
}

// A packet on loopback is with its receiver, or dropped, when sendto() returns.
bool has_packet(const UdpSocket& socket) {
  char byte = 0;
  return recv(socket.fd(), &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0;
}

void send_to(const LocalEndpoint& there, const IpAddress& from) {
  const auto sender = UdpSocket::bind(LocalEndpoint{{from, 0}}, {});
  ASSERT_TRUE(sender);
  sockaddr_storage address{};
  const socklen_t length = there.to_sockaddr(address);
  ASSERT_EQ(sendto(sender->fd(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), length),
            1);
}

TEST(Socket, DeafItHasThePortAndNoPackets) {
  for (const IpAddress& here : {kLoopback, kLoopback6}) {
    const auto socket = UdpSocket::bind_deaf(LocalEndpoint{{here, 0}}, {});
    ASSERT_TRUE(socket) << socket.error().message();
    EXPECT_FALSE(UdpSocket::bind(socket->local(), {}));
    for (int i = 0; i < 3; ++i) send_to(socket->local(), here);
    ASSERT_TRUE(socket->set(here.family, {.tos = 0xb8}));
    ASSERT_TRUE(socket->open_ears());
    EXPECT_FALSE(has_packet(*socket)) << "from before its ears were open";
    send_to(socket->local(), here);
    EXPECT_TRUE(has_packet(*socket));
    EXPECT_EQ(here.is_v4() ? option(*socket, IPPROTO_IP, IP_TOS)
                           : option(*socket, IPPROTO_IPV6, IPV6_TCLASS),
              0xb8);
    EXPECT_FALSE(socket->open_ears()) << "they are open";
  }
}

TEST(Socket, ClosesWhenItIsReplacedOrEnds) {
  LocalEndpoint here;
  {
    auto socket = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {});
    here = socket->local();
    *socket = UdpSocket();
    EXPECT_TRUE(UdpSocket::bind(here, {}));
  }
  EXPECT_TRUE(UdpSocket::bind(here, {}));
}

}  // namespace
}  // namespace rtpool::io
