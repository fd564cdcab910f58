// Queues, readers and random numbers.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>

#include "relay/base/bytes.h"
#include "relay/base/random.h"
#include "relay/base/spsc_queue.h"

namespace rtpool {
namespace {

TEST(SpscQueue, gives_in_order_what_it_took_and_says_when_it_is_full) {
  SpscQueue<std::unique_ptr<int>> queue(3);  // rounded up to 4
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(queue.push(std::make_unique<int>(i)));
  auto fifth = std::make_unique<int>(4);
  EXPECT_FALSE(queue.push(std::move(fifth)));
  ASSERT_NE(fifth, nullptr) << "a refused item stays with its owner";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(**queue.pop(), i);
  EXPECT_FALSE(queue.pop());
}

TEST(SpscQueue, loses_and_doubles_nothing_between_two_threads) {
  constexpr int kItems = 200'000;
  SpscQueue<int> queue(64);
  std::thread producer([&] {
    for (int i = 1; i <= kItems; ++i) {
      while (!queue.push(int{i})) std::this_thread::yield();
    }
  });
  int next = 1;
  while (next <= kItems) {
    if (const auto item = queue.pop()) {
      ASSERT_EQ(*item, next);
      ++next;
    } else {
      std::this_thread::yield();
    }
  }
  producer.join();
}

TEST(ByteReader, reads_big_endian_and_stops_at_the_end) {
  const std::array<std::byte, 7> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                       std::byte{5}, std::byte{6}, std::byte{7}};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u16(), 0x0102);
  EXPECT_EQ(reader.u32(), 0x03040506U);
  EXPECT_FALSE(reader.u16());
  EXPECT_EQ(reader.remaining(), 1U) << "a read that does not fit takes nothing";
  EXPECT_EQ(reader.u8(), 7);
  EXPECT_FALSE(reader.take(1));
}

TEST(Random, repeats_itself_for_one_seed_and_spreads_evenly) {
  Random a(42), b(42);
  std::array<int, 10> hits{};
  for (int i = 0; i < 100'000; ++i) {
    const auto value = a.below(10);
    ASSERT_EQ(value, b.below(10));
    ++hits[value];
  }
  double chi_square = 0;
  for (const int hit : hits) chi_square += (hit - 10'000.0) * (hit - 10'000.0) / 10'000.0;
  EXPECT_LT(chi_square, 27.9) << "p > 0.001 with 9 degrees of freedom";
}

}  // namespace
}  // namespace rtpool
