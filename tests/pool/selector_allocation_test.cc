// A choice allocates nothing: this binary's operator new counts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "pool/policy.h"

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

}  // namespace

void* operator new(std::size_t size) {
  return count_and_allocate(size);
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;

class SelectorAllocation : public testing::TestWithParam<Policy> {};

TEST_P(SelectorAllocation, ChoosingAllocatesNothing) {
  Selector selector(GetParam(), 1);
  std::vector<PoolElementId> tried;
  for (std::uint32_t i = 0; i < 100; ++i) {
    PoolElement element;
    element.name = "r" + std::to_string(i);
    element.id = element_id(element.name);
    element.zone =
        i % 3 == 0 ? "" : "zone-with-a-name-that-no-small-string-holds-" + std::to_string(i % 3);
    element.values.weight = i % 4;
    element.values.priority = i % 5;
    element.load = i * 1'000'000;
    selector.put(element);
    if (i % 10 == 0) tried.push_back(element.id);
  }
  Instant now{std::chrono::seconds(1)};
  for (std::uint32_t i = 0; i < 100; ++i) {
    selector.shun(element_id("r" + std::to_string(i)), now + milliseconds(i));
  }
  const std::string zone = "zone-with-a-name-that-no-small-string-holds-2";
  const std::size_t before = allocations;
  for (int i = 0; i < 5'000; ++i) {
    now += std::chrono::microseconds(500);  // shunned ones return, hand-outs are forgotten
    ASSERT_TRUE(selector.select(now, {.exclude = tried, .zone = zone}));
    ASSERT_TRUE(selector.select(now, {.exclude = {}, .zone = {}}));
  }
  EXPECT_EQ(allocations - before, 0U);
  EXPECT_GT(before, 0U) << "the count counts";
}

INSTANTIATE_TEST_SUITE_P(OfEachPolicy, SelectorAllocation,
                         testing::Values(Policy::round_robin, Policy::weighted_round_robin,
                                         Policy::random, Policy::weighted_random, Policy::priority,
                                         Policy::least_used, Policy::least_used_degradation,
                                         Policy::priority_least_used, Policy::randomized_least_used,
                                         Policy::srv));

}  // namespace
}  // namespace rtpool::pool
