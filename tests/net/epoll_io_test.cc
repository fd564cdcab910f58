// What epoll does in its own way. What it has in common with io_uring is in packet_io_test.cc.
#include "relay/io/epoll_io.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <map>

#include "relay/io/clock.h"
#include "tests/support/udp_phone.h"

namespace rtpool::io {
namespace {

using namespace std::chrono_literals;
using test::kLoopback;
using test::rtp;
using test::sequence_of;
using test::UdpPhone;

constexpr Wait kPlain{.at_most = 100ms};
constexpr Wait kTick{.at_most = 100ms, .gather = 2ms};

class Epoll : public testing::Test {
 protected:
  void make(const EpollOptions& options) {
    auto made = EpollIo::create(options);
    ASSERT_TRUE(made) << made.error().message();
    io_ = std::move(*made);
  }
  LocalEndpoint attach() {
    auto socket = UdpSocket::bind(LocalEndpoint{{kLoopback, 0}}, {.receive_buffer_bytes = 1 << 20});
    EXPECT_TRUE(socket) << socket.error().message();
    const LocalEndpoint local = socket->local();
    slots_.push_back(io_->attach(std::move(*socket)));
    return local;
  }
  std::unique_ptr<EpollIo> io_;
  std::vector<SocketSlot> slots_;
};

TEST_F(Epoll, WithoutAWindowForwardsWhatIsThereAtOnce) {
  make({.sockets = 4});
  const LocalEndpoint here = attach();
  UdpPhone alice;
  for (std::uint16_t i = 0; i < 3; ++i) alice.send(here, rtp(i));
  // One of each socket, so that nobody waits behind another's burst.
  for (std::uint16_t i = 0; i < 3; ++i) {
    const Batch batch = io_->receive(kPlain);
    ASSERT_EQ(batch.packets.size(), 1U);
    EXPECT_EQ(sequence_of(batch.packets[0].datagram), i);
  }
}

TEST_F(Epoll, WithAWindowTakesAllThatHasCome) {
  make({.sockets = 4});
  const LocalEndpoint one = attach();
  const LocalEndpoint other = attach();
  UdpPhone alice;
  for (std::uint16_t i = 0; i < 100; ++i) alice.send(i % 3 == 0 ? other : one, rtp(i));
  const Batch batch = io_->receive(kTick);
  EXPECT_EQ(batch.packets.size(), 100U);
  // In the order of each socket, and each in bytes of its own.
  std::map<std::uint32_t, int> last{{0, -1}, {1, -1}};
  for (const Received& packet : batch.packets) {
    const int sequence = sequence_of(packet.datagram);
    EXPECT_GT(sequence, last[packet.socket.index]);
    last[packet.socket.index] = sequence;
  }
}

TEST_F(Epoll, ABatchIsBoundedAndTheNextOneDoesNotWait) {
  // Given more packets than a batch of 512 and one of two buffers hold.
  for (const std::uint32_t buffers : {4096U, 2U}) {
    make({.sockets = 4, .buffers = buffers});
    const std::size_t batch_size = std::min(buffers, 512U);
    const LocalEndpoint here = attach();
    UdpPhone alice;
    for (std::uint16_t i = 0; i < batch_size + 1; ++i) alice.send(here, rtp(i));
    EXPECT_EQ(io_->receive(kTick).packets.size(), batch_size);
    // Then what is left comes at once, however long the window.
    const SystemClock clock;
    const Instant before = clock.now();
    EXPECT_EQ(io_->receive({.at_most = 5s, .gather = 5s}).packets.size(), 1U);
    EXPECT_LT(clock.now() - before, 2s);
    EXPECT_EQ(io_->counts().buffers_exhausted, buffers < 512 ? 1U : 0U);
  }
}

TEST_F(Epoll, TheWindowEndsWithTheTimeThatTheOwnerHas) {
  make({.sockets = 4});
  const SystemClock clock;
  const Instant before = clock.now();
  EXPECT_TRUE(io_->receive({.at_most = 5ms, .gather = 30s}).packets.empty());
  EXPECT_LT(clock.now() - before, 10s);
}

// Exit status 0 when it says that there are too few descriptors.
[[noreturn]] void make_without_descriptors() {
  // Compared once before: UBSan opens a pipe to check a type that it has not seen yet.
  const Error expected{IoErrc::out_of_descriptors};
  if (expected.code == make_error_code(IoErrc::bind_failed)) _exit(3);
  const rlimit low{3, 3};
  if (setrlimit(RLIMIT_NOFILE, &low) != 0) _exit(2);
  const auto io = EpollIo::create({});
  _exit(!io && io.error().code == expected.code ? 0 : 1);
}

TEST(EpollLimitsDeathTest, TooFewDescriptorsAreNamed) {
  EXPECT_EXIT(make_without_descriptors(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace rtpool::io
