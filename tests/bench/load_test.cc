// The load generator must be right before what it measures can be: its schedule, its account of
// what arrived, its percentiles, medians and search, and that it sees a relay that loses, repeats
// or mixes up packets.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "bench/load/bisection.h"
#include "bench/load/histogram.h"
#include "bench/load/scale_load.h"
#include "bench/load/schedule.h"
#include "bench/load/sequence_check.h"
#include "bench/load/statistics.h"
#include "bench/load/svg_chart.h"

namespace rtpool::bench {
namespace {

TEST(Histogram, GivesPercentilesWithinAHundredth) {
  Histogram histogram;
  for (int us = 1; us <= 10'000; ++us) histogram.record(us * 1000);
  EXPECT_EQ(histogram.count(), 10'000U);
  EXPECT_NEAR(static_cast<double>(histogram.quantile_ns(0.5)), 5e6, 5e4);
  EXPECT_NEAR(static_cast<double>(histogram.quantile_ns(0.99)), 9.9e6, 9.9e4);
  EXPECT_NEAR(static_cast<double>(histogram.quantile_ns(0.999)), 9.99e6, 9.99e4);
  EXPECT_EQ(histogram.quantile_ns(1), histogram.max_ns());
  EXPECT_EQ(histogram.max_ns(), 10'000'000);
}

TEST(Histogram, TellsSmallValuesApartAndTakesAbsurdOnes) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile_ns(0.5), 0);
  histogram.record(-5);
  histogram.record(255);
  EXPECT_EQ(histogram.quantile_ns(0.5), 0);
  EXPECT_EQ(histogram.quantile_ns(1), 255);
  histogram.record(std::int64_t{1} << 60);
  EXPECT_EQ(histogram.max_ns(), std::int64_t{1} << 60);
  EXPECT_GT(histogram.quantile_ns(1), std::int64_t{1} << 39);
}

TEST(Histogram, CountsWhatWasLongerAndMerges) {
  Histogram one, other;
  for (int ms = 1; ms <= 10; ++ms) one.record(ms * 1'000'000);
  other.record(50'000'000);
  one.merge(other);
  EXPECT_EQ(one.count(), 11U);
  EXPECT_EQ(one.longer_than(9'500'000), 2U);
  EXPECT_EQ(one.longer_than(60'000'000), 0U);
  EXPECT_EQ(one.max_ns(), 50'000'000);
}

TEST(Schedule, EveryStreamSendsOnceAnIntervalAtItsOwnPhase) {
  Random random(7);
  constexpr std::size_t kStreams = 100;
  constexpr std::int64_t kInterval = 20'000'000, kStart = 5'000;
  Schedule schedule(kStreams, kInterval, kStart, random);
  std::map<std::uint32_t, std::int64_t> last;
  std::int64_t before = kStart;
  for (std::size_t i = 0; i < 3 * kStreams; ++i) {
    EXPECT_GE(schedule.due_ns(), before);
    before = schedule.due_ns();
    const auto [known, first] = last.try_emplace(schedule.stream(), before);
    if (!first) {
      EXPECT_EQ(before - known->second, kInterval);
      known->second = before;
    }
    schedule.advance();
  }
  EXPECT_EQ(last.size(), kStreams);
}

TEST(Schedule, PhasesAreSpreadOverTheInterval) {
  Random random(3);
  constexpr std::int64_t kInterval = 20'000'000;
  Schedule schedule(1000, kInterval, 0, random);
  std::array<int, 10> tenths{};
  for (int i = 0; i < 1000; ++i, schedule.advance()) {
    ++tenths[static_cast<std::size_t>(schedule.due_ns() * 10 / kInterval)];
  }
  for (const int count : tenths) EXPECT_NEAR(count, 100, 50);
}

TEST(Schedule, AfterAPauseNothingIsMadeUpFor) {
  Random random(1);
  Schedule schedule(10, 20'000'000, 0, random);
  for (int i = 0; i < 7; ++i) schedule.advance();
  schedule.resume(1'007'000'000);
  std::set<std::uint32_t> streams;
  std::int64_t last = 0;
  EXPECT_GE(schedule.due_ns(), 1'007'000'000);
  for (int i = 0; i < 10; ++i, schedule.advance()) {
    streams.insert(schedule.stream());
    last = schedule.due_ns();
  }
  EXPECT_EQ(streams.size(), 10U);
  EXPECT_LT(last, 1'027'000'001);
}

TEST(SequenceCheck, TellsLostRepeatedAndReorderedApart) {
  SequenceCheck check;
  EXPECT_EQ(check.note(0), Seen::first_time);
  EXPECT_EQ(check.note(2), Seen::first_time);
  EXPECT_EQ(check.note(1), Seen::reordered);
  EXPECT_EQ(check.note(1), Seen::duplicate);
  EXPECT_EQ(check.note(5), Seen::first_time);
  EXPECT_EQ(check.received(), 4U);  // 3 and 4 are missing
}

TEST(SequenceCheck, CountsFromAMarkOn) {
  SequenceCheck check;
  EXPECT_EQ(check.note(9), Seen::first_time);
  check.count_from(10);
  EXPECT_EQ(check.note(8), Seen::uncounted);  // sent before the mark, came after
  EXPECT_EQ(check.note(8), Seen::uncounted);
  EXPECT_EQ(check.note(10), Seen::first_time);
  EXPECT_EQ(check.received(), 1U);
}

TEST(SequenceCheck, ForgetsWhatLiesFarBehind) {
  SequenceCheck check;
  check.note(3);
  EXPECT_EQ(check.note(3 + SequenceCheck::kWindow), Seen::first_time);
  EXPECT_EQ(check.note(3), Seen::stale);
  EXPECT_EQ(check.note(4), Seen::reordered);
  EXPECT_EQ(check.note(10'000), Seen::first_time);
  EXPECT_EQ(check.note(10'000 - SequenceCheck::kWindow), Seen::stale);
  EXPECT_EQ(check.note(9'999), Seen::reordered);
}

TEST(Statistics, MedianAndRatiosRoundByRound) {
  const Spread spread = spread_of({3, 1, 2});
  EXPECT_EQ(spread.median, 2);
  EXPECT_EQ(spread.low, 1);
  EXPECT_EQ(spread.high, 3);
  EXPECT_EQ(spread_of({4, 2}).median, 3);
  EXPECT_EQ(spread_of({}).median, 0);
  // The second round was slow for both: its ratio is as good as the others.
  EXPECT_EQ(ratio_of({1, 10, 1}, {2, 20, 2}).low, 0.5);
  EXPECT_EQ(ratio_of({1, 10, 1}, {2, 20, 0}).high, 0.5);
}

std::size_t search(std::size_t truth, std::size_t start, std::size_t limit, int& steps) {
  Bisection bisection(start, limit, 0.02);
  for (steps = 0; bisection.next() != 0; ++steps) bisection.report(bisection.next() <= truth);
  return bisection.best();
}

TEST(Bisection, FindsTheLimitFromBelowAndAbove) {
  int steps = 0;
  for (const std::size_t truth : {1U, 2U, 37U, 400U, 1234U, 3999U}) {
    const std::size_t found = search(truth, 400, 4000, steps);
    EXPECT_LE(found, truth);
    EXPECT_GE(static_cast<double>(found), static_cast<double>(truth) * 0.97 - 1);
    EXPECT_LE(steps, 16);
  }
  EXPECT_EQ(search(0, 400, 4000, steps), 0U);
}

TEST(Bisection, SaysWhenNothingFailed) {
  Bisection bisection(100, 150, 0.05);
  while (bisection.next() != 0) bisection.report(true);
  EXPECT_TRUE(bisection.unbounded());
  EXPECT_EQ(bisection.best(), 150U);
}

TEST(Scale, StepsEndAtWhatWasAskedFor) {
  EXPECT_EQ(scale_steps(1), (std::vector<std::size_t>{1}));
  EXPECT_EQ(scale_steps(1500), (std::vector<std::size_t>{1, 10, 100, 1000, 1500}));
  EXPECT_EQ(scale_steps(10'000), (std::vector<std::size_t>{1, 10, 100, 1000, 2000, 5000, 10'000}));
}

TEST(SvgChart, AxesHoldAllAndAreMarkedRoundly) {
  EXPECT_EQ(linear_axis(7.3).high, 8);
  EXPECT_EQ(linear_axis(7.3).marks, (std::vector<double>{0, 2, 4, 6, 8}));
  EXPECT_EQ(linear_axis(1234).marks, (std::vector<double>{0, 500, 1000, 1500}));
  EXPECT_EQ(linear_axis(0).high, 1);
  EXPECT_EQ(logarithmic_axis(20, 9000).marks, (std::vector<double>{10, 100, 1000, 10'000}));
  EXPECT_EQ(logarithmic_axis(0, 5).low, 1);
}

TEST(SvgChart, NamesEveryBarAndEscapesText) {
  SvgPage page("a < b & c", "caption");
  page.add(BarChart{.title = "CPU", .bars = {{"one", 1.25, {1, 1.5}, 0}, {"two", 3, {}, 1}}});
  const std::string text = page.text();
  EXPECT_NE(text.find("a &lt; b &amp; c"), std::string::npos);
  for (const char* wanted : {">one<", ">two<", ">1.2<", ">3.0<", "<circle", "</svg>"}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted;
  }
}

}  // namespace
}  // namespace rtpool::bench
