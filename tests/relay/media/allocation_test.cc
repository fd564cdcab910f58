// Receiving allocates nothing, whatever comes: this binary's operator new counts, and so does
// OpenSSL's allocator.
#include <openssl/crypto.h>

#include <cstdlib>
#include <new>

#include "tests/relay/media/scene.h"

namespace {

std::size_t allocations = 0;

// Not inlined: a compiler that sees malloc() behind one operator and free() behind the other takes
// them for a mismatch.
[[gnu::noinline]] void* count_and_allocate(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void release(void* memory) {
  std::free(memory);
}

void* crypto_malloc(std::size_t size, const char*, int) {
  ++allocations;
  return std::malloc(size);
}
void* crypto_realloc(void* memory, std::size_t size, const char*, int) {
  ++allocations;
  return std::realloc(memory, size);
}
void crypto_free(void* memory, const char*, int) {
  std::free(memory);
}

// Must come before OpenSSL's first allocation.
const int counting_crypto = CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);

}  // namespace

void* operator new(std::size_t size) {
  return count_and_allocate(size);
}
void* operator new[](std::size_t size) {
  return count_and_allocate(size);
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete[](void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  release(memory);
}

namespace rtpool::media::testing {
namespace {

class AllocationTest : public CallTest {
 protected:
  // How many allocations receiving the packet `times` times makes; the verdict of the last one is
  // kept.
  std::size_t cost(StreamId at, ComponentKind component, const RemoteEndpoint& source,
                   const Packet& packet, bool truncated = false) {
    const std::uint16_t index = *call().index_of(at);
    const std::size_t before = allocations;
    for (int i = 0; i < 100; ++i) {
      verdict = call().receive(index, component, now, source, packet, truncated);
    }
    return allocations - before;
  }
  Verdict verdict;
};

TEST_F(AllocationTest, TheCounterCounts) {
  const std::size_t before = allocations;
  delete new int(1);
  EXPECT_EQ(allocations - before, 1u);
  EXPECT_EQ(counting_crypto, 1);
}

TEST_F(AllocationTest, ForwardingRtpAndRtcpIsFree) {
  start();
  EXPECT_EQ(cost(kAliceId, ComponentKind::rtp, kAlice, rtp()), 0u);
  EXPECT_EQ(verdict.action, Action::forward);
  EXPECT_EQ(cost(kAliceId, ComponentKind::rtcp, kAliceRtcp, rtcp()), 0u);
  EXPECT_EQ(verdict.action, Action::forward);
}

TEST_F(AllocationTest, RefusingIsFree) {
  start();
  for (const Packet& packet : {rtp(), rtcp(), dtls(), Packet{}, bytes({0x80}), bytes({0, 1, 2}),
                               check({.username = "a:b", .password = "c"})}) {
    EXPECT_EQ(cost(kAliceId, ComponentKind::rtp, kMallory, packet), 0u);
    EXPECT_EQ(verdict.reason, Drop::source_refused);
    EXPECT_EQ(cost(kAliceId, ComponentKind::rtp, kAlice, packet), 0u);
  }
  EXPECT_EQ(cost(kAliceId, ComponentKind::rtp, kAlice, rtp(), true), 0u);
  EXPECT_EQ(verdict.reason, Drop::truncated);
}

TEST_F(AllocationTest, RelatchingAndNewSsrcsAreFree) {
  start();
  const Packet packets[] = {rtp({.sequence = 1}), rtp({.sequence = 2}), rtp({.sequence = 3})};
  std::vector<Packet> many;
  for (std::uint32_t ssrc = 0; ssrc < 20; ++ssrc) many.push_back(rtp({.ssrc = ssrc}));
  const std::size_t before = allocations;
  std::uint16_t port = 4000;
  for (const Packet& packet : packets) {
    verdict = call().receive(0, ComponentKind::rtp, now, {{kAlice.address, port++}}, packet, false);
    EXPECT_EQ(verdict.action, Action::forward);
  }
  for (const Packet& packet : many) {
    wait(6s);
    call().receive(0, ComponentKind::rtp, now, {{kAlice.address, 4002}}, packet, false);
  }
  EXPECT_EQ(allocations - before, 0u);
}

TEST_F(AllocationTest, AnsweringChecksIsFree) {
  alice().ice =
      IceSpec{.local_ufrag = "relay", .local_pwd = "p", .remote_ufrag = "a", .remote_pwd = "q"};
  start();
  EXPECT_EQ(cost(kAliceId, ComponentKind::rtp, kAlice,
                 check({.username = "relay:a", .password = "p", .use_candidate = true})),
            0u);
  EXPECT_EQ(verdict.action, Action::reply);
  EXPECT_EQ(
      cost(kAliceId, ComponentKind::rtp, kMallory, check({.username = "relay:a", .password = "x"})),
      0u);
}

TEST_F(AllocationTest, ExpiryIsFree) {
  start();
  const std::size_t before = allocations;
  EXPECT_EQ(call().expired(now), std::nullopt);
  EXPECT_EQ(allocations - before, 0u);
}

}  // namespace
}  // namespace rtpool::media::testing
