// When the log speaks of refused calls, and when it does not.
#include "control/app/refusal_log.h"

#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;

const Instant kStart{1h};

TEST(RefusalLog, TellsTheBeginningAndTheEnd) {
  RefusalLog log;
  EXPECT_FALSE(log.look(kStart, Refusal::none, 0));
  const auto begins = log.look(kStart + 1s, Refusal::packets, 1);
  ASSERT_TRUE(begins);
  EXPECT_EQ(begins->refusal, Refusal::packets);
  EXPECT_FALSE(log.look(kStart + 2s, Refusal::packets, 900));
  EXPECT_FALSE(log.look(kStart + 20s, Refusal::busy, 1000)) << "it refuses, whatever for";
  const auto ends = log.look(kStart + 30s, Refusal::none, 1000);
  ASSERT_TRUE(ends);
  EXPECT_EQ(ends->refusal, Refusal::none);
  EXPECT_EQ(ends->refused, 999U) << "since the line before";
}

TEST(RefusalLog, SaysLittleWhenItFlaps) {
  RefusalLog log;
  int lines = 0;
  std::uint64_t refused = 0;
  std::uint64_t told = 0;
  for (Instant now = kStart; now < kStart + 60s; now += 50ms) {
    const bool refusing = (now - kStart) / 100ms % 2 == 0;
    refused += refusing ? 3 : 0;
    if (const auto line = log.look(now, refusing ? Refusal::busy : Refusal::none, refused)) {
      ++lines;
      told += line->refused;
    }
  }
  EXPECT_GE(lines, 10);
  EXPECT_LE(lines, 13);
  EXPECT_GT(told, refused * 8 / 10) << "what was not told is in the next line";
}

TEST(RefusalLog, TellsInTheEndHowItStands) {
  RefusalLog log;
  ASSERT_TRUE(log.look(kStart, Refusal::calls, 0));
  EXPECT_FALSE(log.look(kStart + 1s, Refusal::none, 5)) << "too soon after the first line";
  EXPECT_FALSE(log.look(kStart + 4s, Refusal::none, 5));
  EXPECT_TRUE(log.look(kStart + 5s, Refusal::none, 5));
}

}  // namespace
}  // namespace rtpool::control
