// Pairs of ports bound ahead of need, with real sockets on loopback.
#include "relay/port_book.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

#include "relay/io/clock.h"
#include "relay/io/entropy.h"
#include "relay/port_filler.h"

namespace rtpool {
namespace {

using namespace std::chrono_literals;

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
const IpAddress kSecond = IpAddress::v4(127, 0, 0, 2);

// A range of this test's own, so that tests side by side seldom meet.
PortRange some_ports(std::uint16_t pairs) {
  Random random(io::random_seed());
  const auto first = static_cast<std::uint16_t>(10'000 + 2 * random.below(10'000));
  return {first, static_cast<std::uint16_t>(first + 2 * pairs - 1)};
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

bool heard(const io::UdpSocket& socket) {
  char byte = 0;
  return recv(socket.fd(), &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0;
}

void send_to(const IpAddress& address, std::uint16_t port) {
  const auto sender = io::UdpSocket::bind(LocalEndpoint{{address, 0}}, {});
  ASSERT_TRUE(sender);
  sockaddr_storage storage{};
  const socklen_t length = Endpoint{address, port}.to_sockaddr(storage);
  sendto(sender->fd(), "stray", 5, 0, reinterpret_cast<const sockaddr*>(&storage), length);
}

TEST(PortBook, BindsAheadAtMostAQuarter) {
  // Given two addresses with 40 pairs each,
  PortBook book(some_ports(40), 1s);
  book.add(kLoopback);
  book.add(kSecond);
  const std::size_t before = open_descriptors();
  // when 256 pairs are wanted,
  book.bind_ahead(256, {}, [] {});
  EXPECT_EQ(book.wanted_ahead(), 20U);
  EXPECT_TRUE(book.fill({}));
  EXPECT_TRUE(book.fill({}));
  // then ten of each are bound, which are no call's.
  EXPECT_EQ(open_descriptors() - before, 40U);
  EXPECT_EQ(book.counts({}).ahead, 20U);
  EXPECT_EQ(book.counts({}).leased, 0U);
}

TEST(PortBook, WhatCameBeforeTheLeaseIsNotHeard) {
  const PortRange range = some_ports(16);
  PortBook book(range, 1s);
  book.add(kLoopback);
  book.bind_ahead(4, {}, [] {});
  ASSERT_TRUE(book.fill({}));
  // Given strays to every port of the range,
  for (std::uint32_t port = range.first; port <= range.last; ++port) {
    send_to(kLoopback, static_cast<std::uint16_t>(port));
  }
  // when pairs that were bound then are leased,
  for (int i = 0; i < 4; ++i) {
    const auto lease = book.lease(0, true, {.tos = 0xb8}, {});
    ASSERT_TRUE(lease) << lease.error().message();
    // then nothing of that is in their sockets, and what comes now is.
    EXPECT_FALSE(heard(lease->sockets.rtp));
    EXPECT_FALSE(heard(lease->sockets.rtcp));
    send_to(kLoopback, lease->sockets.ports.even);
    send_to(kLoopback, lease->sockets.ports.odd());
    EXPECT_TRUE(heard(lease->sockets.rtp));
    EXPECT_TRUE(heard(lease->sockets.rtcp));
  }
  EXPECT_EQ(book.counts({}).ahead, 0U);
}

TEST(PortBook, APairForRtpAloneLetsGoOfItsOddPort) {
  PortBook book(some_ports(16), 1s);
  book.add(kLoopback);
  book.bind_ahead(4, {}, [] {});
  ASSERT_TRUE(book.fill({}));
  const auto lease = book.lease(0, false, {}, {});
  ASSERT_TRUE(lease);
  const Endpoint odd{kLoopback, lease->sockets.ports.odd()};
  EXPECT_FALSE(book.owns(odd));
  EXPECT_TRUE(book.owns(Endpoint{kLoopback, lease->sockets.ports.even}));
  EXPECT_TRUE(book.open_rtcp(lease->key, {}));
  EXPECT_TRUE(book.owns(odd));
}

TEST(PortBook, EveryPairOfTheRangeCanBeLeased) {
  const PortRange range = some_ports(32);
  PortBook book(range, 1s);
  book.add(kLoopback);
  book.bind_ahead(8, {}, [] {});
  ASSERT_TRUE(book.fill({}));
  std::vector<PortBook::Lease> leases;
  std::set<std::uint16_t> ports;
  Result<PortBook::Lease> next = book.lease(0, true, {}, {});
  for (; next; next = book.lease(0, true, {}, {})) {
    ports.insert(next->sockets.ports.even);
    leases.push_back(std::move(*next));
  }
  EXPECT_EQ(next.error().code, EngineErrc::out_of_ports);
  // Another program may have some.
  EXPECT_GE(ports.size(), 28U);
  EXPECT_EQ(ports.size(), leases.size());
  EXPECT_FALSE(book.fill({})) << "nothing is left to bind ahead";
  EXPECT_EQ(book.counts({}).leased, leases.size());
}

TEST(PortBook, PairsAreDrawnAtRandom) {
  PortBook book(some_ports(256), 1s);
  book.add(kLoopback);
  book.bind_ahead(64, {}, [] {});
  ASSERT_TRUE(book.fill({}));
  std::vector<PortBook::Lease> leases;
  int rising = 0;
  for (int i = 0; i < 64; ++i) {
    auto lease = book.lease(0, true, {}, {});
    ASSERT_TRUE(lease);
    if (!leases.empty() && lease->key.even > leases.back().key.even) ++rising;
    leases.push_back(std::move(*lease));
  }
  // Of 63 steps about half go up; all but never fewer than 10 or more than 53.
  EXPECT_GE(rising, 10);
  EXPECT_LE(rising, 53);
}

TEST(PortBook, APairThatAnotherProgramHasIsPassedOver) {
  const PortRange range = some_ports(16);
  std::vector<io::UdpSocket> others;
  for (std::uint16_t i = 0; i < 8; ++i) {
    const auto odd = static_cast<std::uint16_t>(range.first + 4 * i + 1);
    auto other = io::UdpSocket::bind(LocalEndpoint{{kLoopback, odd}}, {});
    if (other) others.push_back(std::move(*other));
  }
  PortBook book(range, 1s);
  book.add(kLoopback);
  book.bind_ahead(4, {}, [] {});
  EXPECT_TRUE(book.fill({}));
  const auto lease = book.lease(0, true, {}, {});
  ASSERT_TRUE(lease);
  for (const auto& other : others) EXPECT_NE(lease->sockets.ports.odd(), other.local().port);
}

// Calls that come faster than ports are bound take theirs as they would without.
TEST(PortBook, ManyThreadsAndTheFillerEachGetPairsOfTheirOwn) {
  const io::SystemClock clock;
  PortBook book(some_ports(2'000), 0s);
  book.add(kLoopback);
  PortFiller filler(book, clock);
  book.bind_ahead(32, {}, [&] { filler.wake(); });
  filler.start();
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  std::vector<std::vector<std::uint16_t>> taken(4);
  std::vector<std::vector<PortBook::Lease>> leases(4);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        auto lease = book.lease(0, i % 3 != 0, {}, clock.now());
        if (!lease) {
          ++failed;
          continue;
        }
        taken[t].push_back(lease->key.even);
        leases[t].push_back(std::move(*lease));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  std::set<std::uint16_t> all;
  for (const auto& some : taken) all.insert(some.begin(), some.end());
  EXPECT_EQ(all.size(), 800U);
  EXPECT_EQ(book.counts(clock.now()).leased, 800U);
  // And soon as many are bound ahead again as are wanted, but for the few that are not worth a
  // wake-up.
  const auto until = std::chrono::steady_clock::now() + 3s;
  while (book.counts(clock.now()).ahead <= 24 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_GT(book.counts(clock.now()).ahead, 24U);
  EXPECT_LE(book.counts(clock.now()).ahead, 32U);
}

// The last pair may be in the filler's hands; whoever needs it waits for that one bind().
TEST(PortBook, TheFillerNeverMakesALeaseFail) {
  const io::SystemClock clock;
  PortBook book(some_ports(8), 0s);
  book.add(kLoopback);
  PortFiller filler(book, clock);
  book.bind_ahead(2, {}, [&] { filler.wake(); });
  filler.start();
  for (int round = 0; round < 300; ++round) {
    std::vector<PortBook::Lease> leases;
    for (int i = 0; i < 6; ++i) {
      auto lease = book.lease(0, true, {}, clock.now());
      ASSERT_TRUE(lease) << "round " << round << ": " << lease.error().message();
      leases.push_back(std::move(*lease));
    }
    for (auto& lease : leases) {
      lease.sockets = {};
      book.abandon(lease.key);
    }
  }
}

TEST(PortBook, WithoutDescriptorsNothingIsBoundAhead) {
  PortBook book(some_ports(64), 1s);
  book.add(kLoopback);
  book.bind_ahead(16, {}, [] {});
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  const rlimit tight{open_descriptors() + 4, usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  EXPECT_FALSE(book.fill({}));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_LT(book.counts({}).ahead, 16U);
  EXPECT_TRUE(book.fill({})) << "what could not be had is had later";
  EXPECT_EQ(book.counts({}).ahead, 16U);
}

}  // namespace
}  // namespace rtpool
