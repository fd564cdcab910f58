#include "relay/io/port_lease.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "relay/io/entropy.h"
#include "tests/support/fake_clock.h"

namespace rtpool::io {
namespace {

using namespace std::chrono_literals;

constexpr PortPairAllocator::Options kRange{
    .first = 30'000, .last = 30'199, .rest = 5s, .seed = 42};
const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

TEST(PortPairs, AreEvenAndOddWithinTheRange) {
  // Given a range that begins odd and ends even.
  PortPairAllocator ports({.first = 30'001, .last = 30'010, .rest = 5s, .seed = 1});
  // Then 30002/3 to 30008/9 are its pairs, each leased once.
  EXPECT_EQ(ports.total(), 4U);
  std::set<std::uint16_t> leased;
  while (const auto pair = ports.lease({})) {
    EXPECT_EQ(pair->even % 2, 0);
    EXPECT_EQ(pair->odd(), pair->even + 1);
    leased.insert(pair->even);
  }
  EXPECT_EQ(leased, (std::set<std::uint16_t>{30'002, 30'004, 30'006, 30'008}));
}

TEST(PortPairs, ARangeWithoutAPairHasNone) {
  for (const auto& [first, last] :
       std::vector<std::pair<std::uint16_t, std::uint16_t>>{{30'001, 30'001},
                                                            {30'000, 30'000},
                                                            {30'001, 30'002},
                                                            {30'010, 30'000},
                                                            {65'535, 65'535}}) {
    PortPairAllocator ports({.first = first, .last = last, .rest = 5s, .seed = 1});
    EXPECT_EQ(ports.total(), 0U) << first << "-" << last;
    EXPECT_FALSE(ports.lease({}));
  }
}

TEST(PortPairs, TheLastPortsOfAllCanBeLeased) {
  PortPairAllocator ports({.first = 65'534, .last = 65'535, .rest = 5s, .seed = 1});
  ASSERT_EQ(ports.total(), 1U);
  EXPECT_EQ(ports.lease({})->odd(), 65'535);
}

TEST(PortPairs, AreDrawnUniformly) {
  // Given 100 pairs and 20,000 draws of one at a time.
  PortPairAllocator ports(kRange);
  std::map<std::uint16_t, int> drawn;
  std::size_t neighbours = 0;
  std::uint16_t last = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto pair = ports.lease({});
    ++drawn[pair->even];
    if (pair->even == last + 2 || pair->even == last) ++neighbours;
    last = pair->even;
    ports.give_back(*pair);
  }
  // Then each comes about 200 times: chi squared of 99 degrees of freedom is below 149 in 999 cases
  // of 1,000.
  double chi_squared = 0;
  for (const auto& [port, times] : drawn) chi_squared += (times - 200.0) * (times - 200.0) / 200.0;
  EXPECT_EQ(drawn.size(), 100U);
  EXPECT_LT(chi_squared, 149.0);
  // And one tells nothing of the next: the same or the following pair comes in 2 of 100 draws.
  EXPECT_NEAR(static_cast<double>(neighbours), 400.0, 100.0);
}

TEST(PortPairs, RestBeforeTheyServeAgain) {
  test::FakeClock clock;
  PortPairAllocator ports({.first = 30'000, .last = 30'001, .rest = 5s, .seed = 1});
  const auto pair = ports.lease(clock.now());
  ASSERT_TRUE(pair);
  EXPECT_TRUE(ports.in_use(30'001));
  // When it is released, it is still ours, but nobody gets it for five seconds.
  ports.release(*pair, clock.now());
  EXPECT_EQ(ports.leased(), 0U);
  EXPECT_EQ(ports.resting(clock.now()), 1U);
  EXPECT_TRUE(ports.in_use(30'000));
  clock.advance(4999ms);
  EXPECT_FALSE(ports.lease(clock.now()));
  clock.advance(1ms);
  EXPECT_EQ(ports.resting(clock.now()), 0U);
  EXPECT_FALSE(ports.in_use(30'000));
  EXPECT_TRUE(ports.lease(clock.now()));
}

TEST(PortPairs, OnesGivenBackUnusedNeedNoRest) {
  PortPairAllocator ports({.first = 30'000, .last = 30'001, .rest = 5s, .seed = 1});
  ports.give_back(*ports.lease({}));
  EXPECT_TRUE(ports.lease({}));
}

// A port that is free now, so that tests side by side don't meet.
std::uint16_t free_even_port() {
  while (true) {
    const auto socket = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {});
    const std::uint16_t port = socket->local().port;
    if (port % 2 == 0 &&
        UdpSocket::bind(LocalEndpoint{{kLoopback, static_cast<std::uint16_t>(port + 1)}}, {})) {
      return port;
    }
  }
}

TEST(LeasedSockets, AreBoundToThePair) {
  const std::uint16_t even = free_even_port();
  PortPairAllocator ports(
      {.first = even, .last = static_cast<std::uint16_t>(even + 1), .rest = 5s, .seed = 1});
  const auto leased = lease_sockets(ports, kLoopback, true, {}, {});
  ASSERT_TRUE(leased) << leased.error().message();
  EXPECT_EQ(leased->rtp.local().port, even);
  EXPECT_EQ(leased->rtcp.local().port, even + 1);
}

TEST(LeasedSockets, WithoutRtcpOnlyTheEvenOneIsBound) {
  const std::uint16_t even = free_even_port();
  PortPairAllocator ports(
      {.first = even, .last = static_cast<std::uint16_t>(even + 1), .rest = 5s, .seed = 1});
  const auto leased = lease_sockets(ports, kLoopback, false, {}, {});
  ASSERT_TRUE(leased);
  EXPECT_FALSE(leased->rtcp.valid());
  EXPECT_TRUE(
      UdpSocket::bind(LocalEndpoint{{kLoopback, static_cast<std::uint16_t>(even + 1)}}, {}));
}

TEST(LeasedSockets, TheEvenOneIsGivenBackWhenTheOddOneIsTaken) {
  // Given another program on the odd port of the only pair.
  const std::uint16_t even = free_even_port();
  const auto odd = static_cast<std::uint16_t>(even + 1);
  auto other = UdpSocket::bind(LocalEndpoint{{kLoopback, odd}}, {});
  ASSERT_TRUE(other);
  PortPairAllocator ports({.first = even, .last = odd, .rest = 5s, .seed = 1});
  test::FakeClock clock;
  const auto leased = lease_sockets(ports, kLoopback, true, {}, clock.now());
  // Then there is no pair, the even port is bound by nobody, and the pair is tried again later.
  ASSERT_FALSE(leased);
  EXPECT_EQ(leased.error().code, IoErrc::out_of_ports);
  EXPECT_TRUE(UdpSocket::bind(LocalEndpoint{{kLoopback, even}}, {}));
  EXPECT_EQ(ports.leased(), 0U);
  EXPECT_FALSE(ports.in_use(odd));  // it is the other program's, which may be a telephone of a call
  *other = UdpSocket();
  clock.advance(6s);
  EXPECT_TRUE(lease_sockets(ports, kLoopback, true, {}, clock.now()));
}

TEST(LeasedSockets, AnAddressThatIsNotOursSaysSoAndCostsNoPort) {
  PortPairAllocator ports(kRange);
  const auto leased = lease_sockets(ports, IpAddress::v4(192, 0, 2, 1), true, {}, {});
  ASSERT_FALSE(leased);
  EXPECT_EQ(leased.error().code, IoErrc::address_unavailable);
  EXPECT_NE(leased.error().detail.find("192.0.2.1"), std::string::npos);
  EXPECT_EQ(ports.leased() + ports.resting({}), 0U);
}

TEST(Entropy, DiffersFromCallToCall) {
  EXPECT_NE(random_seed(), random_seed());
}

}  // namespace
}  // namespace rtpool::io
