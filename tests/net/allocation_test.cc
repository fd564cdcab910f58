// A forwarded packet allocates nothing, takes no lock and reads no clock, from the ring to the
// ring: the shard's thread is watched while packets pass.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>
#include <thread>
#include <vector>

#include "relay/base/random.h"
#include "relay/engine.h"
#include "relay/io/entropy.h"
#include "relay/worker.h"
#include "tests/support/udp_phone.h"

namespace {

// Counts what every thread but the test's own allocates, while switched on.
std::atomic<bool> watching{false};
std::atomic<std::uint64_t> allocations{0};
std::atomic<std::uint64_t> locks{0};
std::atomic<std::uint64_t> clock_reads{0};
thread_local bool test_thread = false;

void count(std::atomic<std::uint64_t>& what) {
  if (watching.load(std::memory_order_relaxed) && !test_thread) what.fetch_add(1);
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void* counted(std::size_t size) {
  count(allocations);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// In place of the C library's, which they call.
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static auto* const lock = next<int(pthread_mutex_t*)>("pthread_mutex_lock");
  count(locks);
  return lock(mutex);
}
extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  static auto* const read = next<int(clockid_t, timespec*)>("clock_gettime");
  count(clock_reads);
  return read(clock, time);
}

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

std::uint64_t batches(const Engine& engine) {
  return engine.counts().shards.front().batches;
}

class Allocation : public testing::TestWithParam<io::IoKind> {};

TEST_P(Allocation, TenThousandForwardedPacketsNeedNoneAndNoLockAndNoClock) {
  test_thread = true;
  allocations = locks = clock_reads = 0;
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
  std::this_thread::sleep_for(Worker::kTick * 2);  // what is counted is published by ticks
  const std::uint64_t batches_before = batches(**engine);
  const auto began = std::chrono::steady_clock::now();
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
  const auto took = std::chrono::steady_clock::now() - began;
  const std::uint64_t ticks = static_cast<std::uint64_t>(took / Worker::kTick) + 2;
  EXPECT_LE(locks.load(), 2 * ticks) << "to publish counters, at a tick";
  std::this_thread::sleep_for(Worker::kTick * 2);
  EXPECT_LE(clock_reads.load(), 2 * (batches(**engine) - batches_before) + 2 * ticks)
      << "one when a batch comes, one when it is done";
  EXPECT_GT(clock_reads.load(), 0U);
  // And the counters count: a query does allocate, and lock.
  locks = 0;
  watching = true;
  std::promise<void> done;
  (*engine)->query("call", [&](auto&&) { done.set_value(); });
  done.get_future().wait();
  watching = false;
  EXPECT_GT(allocations.load(), 0U);
  EXPECT_GT(locks.load(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Over, Allocation, testing::Values(io::IoKind::uring, io::IoKind::epoll),
                         [](const auto& kind) { return std::string(io::to_string(kind.param)); });

}  // namespace
}  // namespace rtpool
