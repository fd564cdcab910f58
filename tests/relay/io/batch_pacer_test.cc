#include "relay/io/batch_pacer.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace rtpool::io {
namespace {

using namespace std::chrono_literals;

class Pacer : public testing::Test {
 protected:
  // One second of packets at an even rate, as batches of `batch`.
  void load(std::size_t packets_per_second, std::size_t batch = 1) {
    const Duration gap = Duration(1s) * batch / packets_per_second;
    for (Duration passed{}; passed < 1s; passed += gap) {
      clock.advance(gap);
      pacer.on_batch(clock.now(), batch);
    }
  }
  test::FakeClock clock;
  BatchPacer pacer{500us};
};

TEST_F(Pacer, AQuietShardAnswersAtOnce) {
  EXPECT_EQ(pacer.gather({}), 0us);
  load(500);
  EXPECT_EQ(pacer.gather({}), 0us);
}

TEST_F(Pacer, ABusyOneGathersUntilItIsQuietAgain) {
  load(20'000);
  EXPECT_EQ(pacer.gather({}), 500us);
  load(20'000, 10);
  EXPECT_EQ(pacer.gather({}), 500us);
  load(500);
  EXPECT_EQ(pacer.gather({}), 0us);
}

TEST_F(Pacer, ARateInBetweenDoesNotFlap) {
  load(6'000);  // three packets a window: too few to begin with
  EXPECT_EQ(pacer.gather({}), 0us);
  load(20'000);
  load(6'000);  // enough to go on
  EXPECT_EQ(pacer.gather({}), 500us);
}

TEST_F(Pacer, WhatWorkTookIsPartOfTheWindow) {
  load(20'000);
  EXPECT_EQ(pacer.gather(200us), 300us);
  // A saturated shard does not wait, but gathers all the same.
  EXPECT_EQ(pacer.gather(2ms), 1us);
}

TEST_F(Pacer, AWindowOfZeroTurnsItOff) {
  pacer = BatchPacer{0us};
  load(100'000);
  EXPECT_EQ(pacer.gather({}), 0us);
}

}  // namespace
}  // namespace rtpool::io
