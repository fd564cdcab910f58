// Each implementation of PacketIo against the kernel, on loopback. Each trap here once silenced or
// stalled somebody's call.
#include "relay/io/packet_io.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <map>
#include <thread>

#include "relay/io/clock.h"
#include "relay/io/epoll_io.h"
#include "relay/io/uring_io.h"
#include "tests/support/udp_phone.h"

namespace rtpool::io {
namespace {

using namespace std::chrono_literals;
using test::kLoopback;
using test::rtp;
using test::sequence_of;
using test::UdpPhone;

constexpr Wait kPatient{.at_most = 1s};

enum class Made : std::uint8_t { uring, uring_6_1, epoll };

struct Sizes {
  std::uint32_t sockets = 1024;
  std::uint32_t buffers = 4096;
  std::uint32_t buffer_bytes = 2048;
};

// io_uring as this kernel can do it and as an older one would have to, and epoll.
class PacketIoOn : public testing::TestWithParam<Made> {
 protected:
  static std::unique_ptr<PacketIo> make(const Sizes& sizes = {}) {
    if (GetParam() == Made::epoll) {
      auto io = EpollIo::create(
          {.sockets = sizes.sockets, .buffers = sizes.buffers, .buffer_bytes = sizes.buffer_bytes});
      EXPECT_TRUE(io) << io.error().message();
      return std::move(*io);
    }
    const bool current = GetParam() == Made::uring;
    auto io = UringIo::create({.sockets = sizes.sockets,
                               .buffers = sizes.buffers,
                               .buffer_bytes = sizes.buffer_bytes,
                               .allow_fixed_files = current,
                               .allow_min_wait = current});
    EXPECT_TRUE(io) << io.error().message();
    return std::move(*io);
  }
  struct Attached {
    SocketSlot slot;
    LocalEndpoint local;
  };
  static Attached attach(PacketIo& io, const IpAddress& address = kLoopback,
                         std::uint16_t port = 0) {
    auto socket =
        UdpSocket::bind(LocalEndpoint{{address, port}}, {.receive_buffer_bytes = 1 << 20});
    EXPECT_TRUE(socket) << socket.error().message();
    const LocalEndpoint local = socket->local();
    return {io.attach(std::move(*socket)), local};
  }
  // Sequence numbers of what comes, until nothing has for a while.
  static std::map<std::uint16_t, int> hear(PacketIo& io, std::size_t enough) {
    std::map<std::uint16_t, int> heard;
    for (int quiet = 0; quiet < 5 && heard.size() < enough;) {
      const Batch batch = io.receive({.at_most = 100ms});
      for (const Received& packet : batch.packets) ++heard[sequence_of(packet.datagram)];
      quiet = batch.packets.empty() ? quiet + 1 : 0;
    }
    return heard;
  }
  static bool closes(PacketIo& io, SocketSlot slot) {
    for (int i = 0; i < 20; ++i) {
      for (const SocketSlot closed : io.receive({.at_most = 100ms}).closed) {
        if (closed == slot) return true;
      }
    }
    return false;
  }
};

TEST_P(PacketIoOn, ReceivesAndSendsOutOfTheReceiveBuffer) {
  // Given two sockets of the relay and two phones.
  auto io = make();
  const Attached a = attach(*io);
  const Attached b = attach(*io);
  UdpPhone alice;
  UdpPhone bob;
  // When Alice's packet comes in at one and is sent on from the other.
  alice.send(a.local, rtp(7));
  const Batch batch = io->receive(kPatient);
  ASSERT_EQ(batch.packets.size(), 1U);
  const Received& packet = batch.packets[0];
  EXPECT_EQ(packet.socket, a.slot);
  EXPECT_EQ(packet.source, alice.endpoint());
  EXPECT_FALSE(packet.truncated);
  io->send(b.slot, bob.endpoint(), packet.datagram);
  io->flush();
  // Then Bob has it, byte for byte, from the other socket.
  const auto heard = bob.receive();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->packet, rtp(7));
  EXPECT_EQ(heard->source, b.local);
}

TEST_P(PacketIoOn, SpeaksIpv6) {
  auto io = make();
  const Attached a = attach(*io, test::kLoopback6);
  UdpPhone alice(test::kLoopback6);
  alice.send(a.local, rtp(9));
  const Batch batch = io->receive(kPatient);
  ASSERT_EQ(batch.packets.size(), 1U);
  EXPECT_EQ(batch.packets[0].source, alice.endpoint());
  io->send(a.slot, alice.endpoint(), batch.packets[0].datagram);
  io->flush();
  const auto heard = alice.receive();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->packet, rtp(9));
}

TEST_P(PacketIoOn, ADatagramWithoutPayloadDoesNotSilenceTheSocket) {
  // Given a socket that receives.
  auto io = make();
  const Attached a = attach(*io);
  UdpPhone alice;
  // When somebody sends empty datagrams between good ones.
  for (std::uint16_t i = 1; i <= 20; ++i) {
    alice.send(a.local, {});
    alice.send(a.local, rtp(i));
  }
  // Then every good one arrives all the same.
  std::map<std::uint16_t, int> heard;
  std::size_t empty = 0;
  for (int rounds = 0; rounds < 100 && heard.size() < 20; ++rounds) {
    for (const Received& packet : io->receive({.at_most = 100ms}).packets) {
      if (packet.datagram.empty()) {
        ++empty;
      } else {
        ++heard[sequence_of(packet.datagram)];
      }
    }
  }
  EXPECT_EQ(heard.size(), 20U);
  EXPECT_EQ(empty, 20U);
  if (GetParam() != Made::epoll) {
    EXPECT_GE(io->counts().receive_rearmed, 1U);
  }
}

TEST_P(PacketIoOn, ABurstBeyondTheBuffersLosesNothing) {
  // Given a ring of no more than 16 buffers.
  auto io = make({.buffers = 16});
  const Attached a = attach(*io);
  UdpPhone alice;
  // When 400 packets come before any is read.
  for (std::uint16_t i = 0; i < 400; ++i) alice.send(a.local, rtp(i));
  // Then all of them are heard, once each.
  const auto heard = hear(*io, 400);
  EXPECT_EQ(heard.size(), 400U);
  for (const auto& [sequence, times] : heard) EXPECT_EQ(times, 1) << sequence;
  // Epoll without a window takes one packet of a socket at a time, and needs no more buffers.
  if (GetParam() != Made::epoll) {
    EXPECT_GE(io->counts().buffers_exhausted, 1U);
  }
}

TEST_P(PacketIoOn, BuffersExhaustedOnOneSocketDoNotStarveAnother) {
  auto io = make({.buffers = 16});
  const Attached loud = attach(*io);
  const Attached quiet = attach(*io);
  UdpPhone alice;
  for (std::uint16_t i = 0; i < 300; ++i) alice.send(loud.local, rtp(i));
  alice.send(quiet.local, rtp(1000));
  const auto heard = hear(*io, 301);
  EXPECT_EQ(heard.size(), 301U);
  EXPECT_EQ(heard.count(1000), 1U);
}

TEST_P(PacketIoOn, AnIcmpErrorIsNoEnd) {
  // Given a connected socket, the kind that hears of ICMP errors, whose peer is not there yet.
  auto io = make();
  std::optional<UdpPhone> peer{std::in_place};
  const RemoteEndpoint there = peer->endpoint();
  auto socket = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {});
  const LocalEndpoint here = socket->local();
  sockaddr_storage address{};
  const socklen_t length = there.to_sockaddr(address);
  ASSERT_EQ(::connect(socket->fd(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  const SocketSlot slot = io->attach(std::move(*socket));
  peer.reset();
  // When what we send there is answered by "port unreachable", several times.
  const auto packet = rtp(1);
  std::size_t failures = 0;
  for (int i = 0; i < 10; ++i) {
    io->send(slot, there, packet);
    io->flush();
    failures += io->receive({.at_most = 20ms}).failures.size();
  }
  EXPECT_GE(io->counts().soft_errors + failures, 1U);
  // Then, once the peer is back, its packets are heard.
  auto back = UdpSocket::bind(LocalEndpoint{there}, {});
  ASSERT_TRUE(back) << back.error().message();
  sockaddr_storage relay{};
  const socklen_t relay_length = here.to_sockaddr(relay);
  std::size_t heard = 0;
  for (int i = 0; i < 40 && heard == 0; ++i) {
    ::sendto(back->fd(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&relay),
             relay_length);
    heard += io->receive({.at_most = 50ms}).packets.size();
    io->tick();
  }
  EXPECT_GE(heard, 1U);
}

TEST_P(PacketIoOn, AClosedSocketGivesItsPortBack) {
  // Given a socket that receives.
  auto io = make();
  const Attached a = attach(*io);
  UdpPhone alice;
  alice.send(a.local, rtp(1));
  ASSERT_EQ(io->receive(kPatient).packets.size(), 1U);
  // When it is detached, with a packet still on its way,
  alice.send(a.local, rtp(2));
  io->detach(a.slot);
  // then no packet of it is heard any more, and when it is reported closed its port can be bound
  // again.
  bool closed = false;
  for (int i = 0; i < 20 && !closed; ++i) {
    const Batch batch = io->receive({.at_most = 100ms});
    EXPECT_TRUE(batch.packets.empty());
    closed = !batch.closed.empty();
  }
  ASSERT_TRUE(closed);
  EXPECT_TRUE(UdpSocket::bind(a.local, {}));
}

TEST_P(PacketIoOn, AReusedSlotHearsOnlyItsOwnSocket) {
  // Given a ring with one place, whose user goes while packets for it are under way.
  auto io = make({.sockets = 1});
  UdpPhone alice;
  for (int round = 0; round < 50; ++round) {
    const Attached a = attach(*io);
    const auto own = static_cast<std::uint16_t>(1000 + round);
    alice.send(a.local, rtp(own));
    // Then its successor in that place never sees them.
    const Batch batch = io->receive(kPatient);
    ASSERT_EQ(batch.packets.size(), 1U);
    EXPECT_EQ(sequence_of(batch.packets[0].datagram), own);
    for (std::uint16_t late = 0; late < 5; ++late) alice.send(a.local, rtp(late));
    io->detach(a.slot);
    ASSERT_TRUE(closes(*io, a.slot));
  }
}

TEST_P(PacketIoOn, ALongDatagramIsMarkedTruncated) {
  auto io = make({.buffer_bytes = 512});
  const Attached a = attach(*io);
  UdpPhone alice;
  alice.send(a.local, rtp(1, 0x1234, 1400));
  alice.send(a.local, rtp(2));
  std::map<std::uint16_t, bool> truncated;
  for (int i = 0; i < 10 && truncated.size() < 2; ++i) {
    for (const Received& packet : io->receive({.at_most = 100ms}).packets) {
      truncated[sequence_of(packet.datagram)] = packet.truncated;
      EXPECT_LE(packet.datagram.size(), 512U);
    }
  }
  ASSERT_EQ(truncated.size(), 2U);
  EXPECT_TRUE(truncated[1]);
  EXPECT_FALSE(truncated[2]);
}

TEST_P(PacketIoOn, ARefusedSendIsReported) {
  auto io = make();
  const Attached a = attach(*io);
  // 65,535 bytes do not fit into an IPv4 datagram with its headers.
  const std::vector<std::byte> huge(65'535);
  io->send(a.slot, RemoteEndpoint{{kLoopback, 9}}, huge);
  io->flush();
  const Batch batch = io->receive({.at_most = 100ms});
  ASSERT_EQ(batch.failures.size(), 1U);
  EXPECT_EQ(batch.failures[0].socket, a.slot);
  EXPECT_EQ(batch.failures[0].bytes, huge.size());
}

TEST_P(PacketIoOn, MoreSendsThanTheQueueHoldsAllGoOut) {
  auto io = make();
  const Attached a = attach(*io);
  UdpPhone bob;
  const auto packet = rtp(1);
  for (int i = 0; i < 3000; ++i) io->send(a.slot, bob.endpoint(), packet);
  io->flush();
  EXPECT_EQ(bob.drain(100ms), 3000U);
}

TEST_P(PacketIoOn, GatheringDoesNotStallAQuietStream) {
  // Given a ring told to gather, as under load.
  auto io = make();
  const Attached a = attach(*io);
  UdpPhone alice;
  const SystemClock clock;
  io->receive({});
  // When a single packet comes, it is there after the window, not after the time-out.
  alice.send(a.local, rtp(1));
  const Instant sent = clock.now();
  std::size_t heard = 0;
  while (heard == 0 && clock.now() - sent < 2s) {
    heard = io->receive({.at_most = 1s, .gather = 500us}).packets.size();
  }
  EXPECT_EQ(heard, 1U);
  EXPECT_LT(clock.now() - sent, 200ms);
}

TEST_P(PacketIoOn, WakesFromAnotherThread) {
  auto io = make();
  io->receive({});
  const SystemClock clock;
  for (int round = 0; round < 10; ++round) {
    const Instant began = clock.now();
    std::thread other([&] {
      std::this_thread::sleep_for(5ms);
      io->wake();
      io->wake();
    });
    bool woken = false;
    while (!woken && clock.now() - began < 5s) woken = io->receive({.at_most = 5s}).woken;
    other.join();
    EXPECT_TRUE(woken);
    EXPECT_LT(clock.now() - began, 2s);
    io->receive({.at_most = 1ms});
  }
}

TEST_P(PacketIoOn, ChangesTheTrafficClassOfAStandingSocket) {
  auto io = make();
  const Attached a = attach(*io);
  UdpPhone bob;
  const int on = 1;
  ASSERT_EQ(setsockopt(bob.fd(), IPPROTO_IP, IP_RECVTOS, &on, sizeof on), 0);
  io->set_tos(a.slot, IpFamily::v4, 0xb8);
  io->send(a.slot, bob.endpoint(), rtp(1));
  io->flush();
  pollfd ready{bob.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, 1000), 1);
  std::array<char, 512> data{};
  std::array<char, 64> control{};
  iovec vector{data.data(), data.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ASSERT_GT(recvmsg(bob.fd(), &message, 0), 0);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header->cmsg_type, IP_TOS);
  EXPECT_EQ(*CMSG_DATA(header), 0xb8);
}

INSTANTIATE_TEST_SUITE_P(Loopback, PacketIoOn,
                         testing::Values(Made::uring, Made::uring_6_1, Made::epoll),
                         [](const auto& made) {
                           return made.param == Made::uring       ? "Uring"
                                  : made.param == Made::uring_6_1 ? "UringOfLinux6_1"
                                                                  : "Epoll";
                         });

}  // namespace
}  // namespace rtpool::io
