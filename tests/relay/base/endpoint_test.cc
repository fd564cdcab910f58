#include "relay/base/endpoint.h"

#include <gtest/gtest.h>

namespace rtpool {
namespace {

TEST(IpAddress, parses_what_it_writes) {
  for (const char* text :
       {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
}

TEST(IpAddress, refuses_what_is_no_address) {
  for (const char* text :
       {"", "1.2.3", "1.2.3.256", "01.2.3.4", "example.org", "[::1]", "::1%eth0", " 1.2.3.4",
        "2001:db8:::1", "1.2.3.4.5", "::ffff:1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(IpAddress, knows_its_kind) {
  EXPECT_TRUE(IpAddress::parse("127.9.9.9")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("169.254.1.1")->is_link_local());
  EXPECT_TRUE(IpAddress::parse("febf::1")->is_link_local());
  EXPECT_FALSE(IpAddress::parse("fec0::1")->is_link_local());
  EXPECT_TRUE(IpAddress::parse("239.1.1.1")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("ff02::1")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("255.255.255.255")->is_broadcast());
  EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
}

TEST(IpAddress, a_mapped_address_is_its_ipv4_one_inside) {
  EXPECT_EQ(IpAddress::parse("::ffff:127.0.0.1")->unmapped(), IpAddress::v4(127, 0, 0, 1));
  EXPECT_EQ(IpAddress::parse("2001:db8::1")->unmapped(), *IpAddress::parse("2001:db8::1"));
}

TEST(Endpoint, parses_what_it_writes) {
  for (const char* text : {"192.0.2.1:5060", "[2001:db8::1]:30000", "[::]:0"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
}

TEST(Endpoint, refuses_what_is_none) {
  for (const char* text :
       {"", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4: 1", "::1:5060",
        "[1.2.3.4]:5060", "[::1]5060", "1.2.3.4:50x"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(Endpoint, goes_through_a_socket_address_unchanged) {
  for (const char* text : {"192.0.2.1:5060", "[2001:db8::1]:30000"}) {
    sockaddr_storage storage;
    const auto length = Endpoint::parse(text)->to_sockaddr(storage);
    EXPECT_GT(length, 0U);
    EXPECT_EQ(Endpoint::from_sockaddr(reinterpret_cast<sockaddr*>(&storage)).to_string(), text);
  }
}

}  // namespace
}  // namespace rtpool
