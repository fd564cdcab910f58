// Connected sends of a busy shard, against the kernel on loopback: whatever the twin does, the
// media socket hears everybody, and sends reach their target.
#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "relay/io/uring_io.h"
#include "tests/support/udp_phone.h"

namespace rtpool::io {
namespace {

using namespace std::chrono_literals;
using test::kLoopback;
using test::rtp;
using test::sequence_of;
using test::UdpPhone;

constexpr Wait kBusy{.at_most = 20ms, .gather = 100us};
constexpr Wait kQuiet{.at_most = 20ms};
constexpr int kLong = 300;  // packets, more than a stream needs to count as steady

class Twins : public testing::TestWithParam<IpAddress> {
 protected:
  Twins() {
    auto made = UringIo::create({.sockets = 16});
    EXPECT_TRUE(made) << made.error().message();
    io_ = std::move(*made);
    auto socket = UdpSocket::bind(LocalEndpoint{{GetParam(), 0}}, {.tos = 0xb8});
    EXPECT_TRUE(socket) << socket.error().message();
    local_ = socket->local();
    slot_ = io_->attach(std::move(*socket));
  }
  // Whether this kernel lends descriptors of fixed files. An older one sends unconnected for good.
  [[nodiscard]] bool has_twins() const { return io_->features().connected_sends; }

  void send(const RemoteEndpoint& to, int packets, const Wait& wait = kBusy) {
    const auto packet = rtp(7);
    for (int i = 0; i < packets; ++i) {
      io_->send(slot_, to, packet);
      io_->flush();
      if (i % 8 == 0) take(io_->receive({.at_most = 0ms, .gather = wait.gather}));
    }
    for (int i = 0; i < 5; ++i) take(io_->receive(wait));
  }
  void take(const Batch& batch) {
    failures_ += batch.failures.size();
    for (const SocketSlot slot : batch.closed) closed_ += slot == slot_ ? 1 : 100;
    for (const Received& packet : batch.packets) {
      EXPECT_EQ(packet.socket, slot_);
      ++heard_[{packet.source.to_string(), sequence_of(packet.datagram)}];
    }
  }
  void tick(int times) {
    for (int i = 0; i < times; ++i) io_->tick();
  }
  [[nodiscard]] std::size_t heard_from(const UdpPhone& phone) const {
    std::size_t count = 0;
    for (const auto& [key, times] : heard_) {
      EXPECT_EQ(times, 1) << key.second << " from " << key.first;
      if (key.first == phone.endpoint().to_string()) ++count;
    }
    return count;
  }
  void listen(std::size_t packets) {
    for (int quiet = 0; quiet < 10 && heard_.size() < packets;) {
      const std::size_t before = heard_.size();
      take(io_->receive(kBusy));
      quiet = heard_.size() == before ? quiet + 1 : 0;
    }
  }
  [[nodiscard]] std::uint64_t connected() const { return io_->counts().connected; }

  std::unique_ptr<UringIo> io_;
  LocalEndpoint local_;
  SocketSlot slot_;
  std::map<std::pair<std::string, std::uint16_t>, int> heard_;
  std::size_t failures_ = 0;
  int closed_ = 0;
};

TEST_P(Twins, ASteadyStreamOfABusyShardIsConnectedAndHearsEverybody) {
  // Given a stream that has sent to Bob for a while.
  UdpPhone bob(GetParam());
  UdpPhone stranger(GetParam());
  send(bob.endpoint(), kLong);
  EXPECT_EQ(connected(), has_twins() ? 1U : 0U);
  EXPECT_EQ(bob.drain(100ms), static_cast<std::size_t>(kLong));
  // When Bob and somebody else send to the port,
  for (std::uint16_t i = 0; i < 50; ++i) {
    bob.send(local_, rtp(i));
    stranger.send(local_, rtp(i));
  }
  listen(100);
  // then both are heard, once each, and Bob hears us from the same port.
  EXPECT_EQ(heard_from(bob), 50U);
  EXPECT_EQ(heard_from(stranger), 50U);
  send(bob.endpoint(), 1);
  const auto heard = bob.receive();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->source, local_);
  EXPECT_EQ(failures_, 0U);
}

TEST_P(Twins, AQuietShardConnectsNothing) {
  UdpPhone bob(GetParam());
  send(bob.endpoint(), kLong, kQuiet);
  EXPECT_EQ(connected(), 0U);
  EXPECT_EQ(bob.drain(100ms), static_cast<std::size_t>(kLong));
}

TEST_P(Twins, NothingIsLostWhileATwinIsOpened) {
  UdpPhone bob(GetParam());
  const auto packet = rtp(7);
  for (std::uint16_t i = 0; i < 400; ++i) {
    bob.send(local_, rtp(i));
    io_->send(slot_, bob.endpoint(), packet);
    io_->flush();
    take(io_->receive(kBusy));
  }
  listen(400);
  EXPECT_EQ(heard_from(bob), 400U);
  EXPECT_EQ(connected(), has_twins() ? 1U : 0U);
}

TEST_P(Twins, ATargetThatMovesIsFollowed) {
  // Given a stream that is connected to Bob.
  UdpPhone bob(GetParam());
  send(bob.endpoint(), kLong);
  ASSERT_EQ(connected(), has_twins() ? 1U : 0U);
  // When Bob's NAT gives him another port, he is heard and reached there at once,
  UdpPhone moved(GetParam());
  moved.send(local_, rtp(1));
  listen(1);
  EXPECT_EQ(heard_from(moved), 1U);
  send(moved.endpoint(), kLong);
  EXPECT_EQ(moved.drain(100ms), static_cast<std::size_t>(kLong));
  EXPECT_EQ(bob.drain(100ms), static_cast<std::size_t>(kLong));
  // then the stream is connected to the new one, and what comes from either is heard.
  EXPECT_EQ(connected(), has_twins() ? 1U : 0U);
  for (std::uint16_t i = 10; i < 30; ++i) {
    bob.send(local_, rtp(i));
    moved.send(local_, rtp(i));
  }
  listen(41);
  EXPECT_EQ(heard_from(bob), 20U);
  EXPECT_EQ(heard_from(moved), 21U);
}

TEST_P(Twins, TargetsThatAlternateAreBothReached) {
  UdpPhone one(GetParam());
  UdpPhone other(GetParam());
  for (int i = 0; i < 10; ++i) {
    send(one.endpoint(), 100);
    send(other.endpoint(), 10);
  }
  EXPECT_EQ(one.drain(100ms), 1000U);
  EXPECT_EQ(other.drain(100ms), 100U);
  EXPECT_EQ(failures_, 0U);
}

TEST_P(Twins, APeerThatIsGoneForAWhileIsReachedWhenItReturns) {
  // Given a stream that is connected to Bob, whose program ends.
  std::optional<UdpPhone> bob(std::in_place, GetParam());
  const RemoteEndpoint there = bob->endpoint();
  send(there, kLong);
  ASSERT_EQ(connected(), has_twins() ? 1U : 0U);
  bob.reset();
  // When "port unreachable" answers, the twin goes, and the stream stays without one for a while.
  send(there, kLong);
  tick(2);
  send(there, kLong);
  EXPECT_EQ(connected(), 0U);
  EXPECT_LE(failures_, 2U);
  // Then, with Bob back, both directions work at once, and later the stream is connected again.
  auto back = UdpSocket::bind(LocalEndpoint{there}, {.receive_buffer_bytes = 1 << 20});
  ASSERT_TRUE(back) << back.error().message();
  sockaddr_storage relay{};
  const socklen_t length = local_.to_sockaddr(relay);
  const auto packet = rtp(9);
  ASSERT_EQ(::sendto(back->fd(), packet.data(), packet.size(), 0,
                     reinterpret_cast<const sockaddr*>(&relay), length),
            static_cast<ssize_t>(packet.size()));
  listen(1);
  EXPECT_EQ(heard_.size(), 1U);
  failures_ = 0;
  tick(100);
  send(there, kLong);
  EXPECT_EQ(failures_, 0U);
  EXPECT_EQ(connected(), has_twins() ? 1U : 0U);
}

TEST_P(Twins, ASocketWithATwinIsClosedOnceAndItsPortIsFree) {
  UdpPhone bob(GetParam());
  send(bob.endpoint(), kLong);
  ASSERT_EQ(connected(), has_twins() ? 1U : 0U);
  for (std::uint16_t i = 0; i < 10; ++i) bob.send(local_, rtp(i));
  io_->detach(slot_);
  for (int i = 0; i < 20 && closed_ == 0; ++i) take(io_->receive(kQuiet));
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(connected(), 0U);
  EXPECT_TRUE(heard_.empty());
  EXPECT_TRUE(UdpSocket::bind(local_, {}));
}

TEST_P(Twins, NobodyElseCanTakeThePort) {
  UdpPhone bob(GetParam());
  send(bob.endpoint(), kLong);
  // Not even a socket that is ready to share.
  UdpSocket thief(::socket(GetParam().is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
  const int on = 1;
  ASSERT_EQ(setsockopt(thief.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  sockaddr_storage address{};
  const socklen_t length = local_.to_sockaddr(address);
  EXPECT_NE(::bind(thief.fd(), reinterpret_cast<const sockaddr*>(&address), length), 0);
}

TEST_P(Twins, TheTrafficClassFollows) {
  UdpPhone bob(GetParam());
  const bool v4 = GetParam().is_v4();
  const int on = 1;
  ASSERT_EQ(setsockopt(bob.fd(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVTOS : IPV6_RECVTCLASS,
                       &on, sizeof on),
            0);
  const auto traffic_class = [&] {
    std::array<char, 512> data{};
    alignas(cmsghdr) std::array<char, 64> control{};
    iovec vector{data.data(), data.size()};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(bob.fd(), &message, 0) <= 0) return -1;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    return header == nullptr ? -2 : static_cast<int>(*CMSG_DATA(header));
  };
  send(bob.endpoint(), kLong);
  for (int i = 0; i < kLong; ++i) ASSERT_EQ(traffic_class(), 0xb8) << i;
  io_->set_tos(slot_, GetParam().family, 0x28);
  send(bob.endpoint(), 1);
  EXPECT_EQ(traffic_class(), 0x28);
}

INSTANTIATE_TEST_SUITE_P(Families, Twins, testing::Values(test::kLoopback, test::kLoopback6),
                         [](const auto& family) { return family.param.is_v4() ? "Ipv4" : "Ipv6"; });

}  // namespace
}  // namespace rtpool::io
