#include "relay/io/socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

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
