// A forwarded packet allocates nothing, from the kernel to the kernel: the shard's thread is
// watched while packets pass.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>
#include <vector>

#include "relay/base/random.h"
#include "relay/engine.h"
#include "relay/io/entropy.h"
#include "tests/support/udp_phone.h"

namespace {

// Counts what every thread but the test's own allocates, while switched on.
std::atomic<bool> watching{false};
std::atomic<std::uint64_t> allocations{0};
thread_local bool test_thread = false;

void* counted(std::size_t size) {
  if (watching.load(std::memory_order_relaxed) && !test_thread) allocations.fetch_add(1);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace rtpool {
namespace {

using test::rtp;
using test::UdpPhone;

class Allocation : public testing::TestWithParam<io::IoKind> {};

TEST_P(Allocation, TenThousandForwardedPacketsNeedNone) {
  test_thread = true;
  allocations = 0;
  // Given a call, whose first packets have passed.
  rtpool::Random random(io::random_seed());
  const auto first = static_cast<std::uint16_t>(10'000 + 2 * random.below(10'000));
  EngineOptions options;
  options.media_addresses = {{"default", test::kLoopback, test::kLoopback}};
  options.ports = {first, static_cast<std::uint16_t>(first + 99)};
  options.io = GetParam();
  auto engine = Engine::start(options);
  ASSERT_TRUE(engine) << engine.error().message();
  UdpPhone alice;
  UdpPhone bob;
  media::CallSpec spec;
  spec.key = "call";
  spec.revision = 1;
  spec.answered = true;
  spec.streams.resize(2);
  spec.streams[0].id = spec.streams[1].forward_to = media::StreamId{1};
  spec.streams[1].id = spec.streams[0].forward_to = media::StreamId{2};
  spec.streams[0].remote_rtp = alice.endpoint();
  spec.streams[1].remote_rtp = bob.endpoint();
  const auto call = (*engine)->apply(spec);
  ASSERT_TRUE(call) << call.error().message();
  const LocalEndpoint port = call->streams[0].rtp.local;
  alice.send(port, rtp(1));
  ASSERT_TRUE(bob.receive());
  // When ten thousand more come in bursts, with empty ones and garbage among them.
  const std::vector<std::byte> garbage(40, std::byte{0x60});
  watching = true;
  std::size_t heard = 0;
  for (int burst = 0; burst < 100; ++burst) {
    for (int i = 0; i < 100; ++i) {
      alice.send(port, rtp(static_cast<std::uint16_t>(2 + burst * 100 + i)));
      if (i % 10 == 0) alice.send(port, {});
      if (i % 10 == 5) alice.send(port, garbage);
    }
    for (int i = 0; i < 100 && bob.receive(); ++i) ++heard;
  }
  watching = false;
  // Then all are forwarded and nothing was allocated but by the test.
  EXPECT_EQ(heard, 10'000U);
  EXPECT_EQ(allocations.load(), 0U);
  // And the counter counts: a query does allocate.
  watching = true;
  std::promise<void> done;
  (*engine)->query("call", [&](auto&&) { done.set_value(); });
  done.get_future().wait();
  watching = false;
  EXPECT_GT(allocations.load(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Over, Allocation, testing::Values(io::IoKind::uring, io::IoKind::epoll),
                         [](const auto& kind) { return std::string(io::to_string(kind.param)); });

}  // namespace
}  // namespace rtpool
