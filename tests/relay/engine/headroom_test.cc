// From readings to the refusal of one call more.
#include "relay/headroom.h"

#include <gtest/gtest.h>

#include <vector>

namespace rtpool {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 100ms;

// A shard that forwards what it receives, and needs so much of its core.
class Shard {
 public:
  void pass(Duration time, double packets_per_second, double busy, double waiting = 0) {
    for (Duration passed{}; passed < time; passed += kTick) {
      const auto packets = static_cast<std::uint64_t>(packets_per_second / 10);
      reading.at += kTick;
      reading.running += std::chrono::duration_cast<Duration>(busy * kTick);
      reading.waiting += std::chrono::duration_cast<Duration>(waiting * kTick);
      reading.packets_received += packets;
      reading.packets_sent += packets;
      reading.bytes_received += 172 * packets;
      reading.bytes_sent += 172 * packets;
      meter.read(reading);
    }
  }
  ShardReading reading{.at = Instant(1h)};
  ShardMeter meter;
};

TEST(ShardMeter, SaysNothingBeforeItsSecondReading) {
  ShardMeter meter;
  meter.read({.at = Instant(1h), .running = 5s, .packets_received = 1'000'000});
  EXPECT_EQ(meter.load().rates.busy, 0);
  EXPECT_EQ(meter.load().rates.packets_per_second, 0);
  EXPECT_FALSE(meter.quiet());
}

TEST(ShardMeter, MeasuresASteadyLoad) {
  Shard shard;
  shard.pass(3s, 10'000, 0.4);
  EXPECT_NEAR(shard.meter.load().rates.busy, 0.4, 0.001);
  EXPECT_NEAR(shard.meter.load().rates.packets_per_second, 10'000, 1);
  // 172 bytes of payload and 28 of headers.
  EXPECT_NEAR(shard.meter.load().rates.bits_received_per_second, 16e6, 1e4);
  EXPECT_NEAR(shard.meter.load().rates.bits_sent_per_second, 16e6, 1e4);
}

TEST(ShardMeter, BelievesARiseAfterTwoTicksAndAFallWithinASecond) {
  Shard shard;
  shard.pass(3s, 1'000, 0.1);
  shard.pass(200ms, 9'000, 0.9);
  EXPECT_NEAR(shard.meter.load().rates.busy, 0.9, 0.001);
  EXPECT_NEAR(shard.meter.load().rates.packets_per_second, 9'000, 1);
  shard.pass(2s, 9'000, 0.9);
  shard.pass(300ms, 1'000, 0.1);
  EXPECT_NEAR(shard.meter.load().rates.busy, 0.66, 0.01) << "of the last second";
  shard.pass(700ms, 1'000, 0.1);
  EXPECT_NEAR(shard.meter.load().rates.busy, 0.1, 0.001);
}

TEST(ShardMeter, CountsACoreThatOthersTakeAsNotThere) {
  Shard alone, crowded;
  alone.pass(2s, 1'000, 0.2, 0);
  crowded.pass(2s, 1'000, 0.2, 0.6);
  EXPECT_NEAR(alone.meter.load().rates.busy, 0.2, 0.001);
  EXPECT_NEAR(crowded.meter.load().rates.busy, 0.5, 0.001) << "0.2 of the 0.4 that were left";
  crowded.pass(2s, 1'000, 0.2, 0.8);
  EXPECT_NEAR(crowded.meter.load().rates.busy, 1, 0.001) << "it never slept";
}

TEST(ShardMeter, IsWhollyBusyWhenBuffersRanOut) {
  Shard shard;
  shard.pass(2s, 1'000, 0.2);
  shard.reading.buffers_exhausted += 1;
  shard.pass(100ms, 1'000, 0.2);
  EXPECT_EQ(shard.meter.load().rates.busy, 1);
  shard.pass(1s, 1'000, 0.2);
  EXPECT_NEAR(shard.meter.load().rates.busy, 0.2, 0.001);
}

TEST(ShardMeter, IsQuietWhenASecondWentByWithoutPackets) {
  Shard shard;
  shard.pass(2s, 100, 0.01);
  EXPECT_FALSE(shard.meter.quiet());
  shard.pass(900ms, 0, 0);
  EXPECT_FALSE(shard.meter.quiet());
  shard.pass(200ms, 0, 0);
  EXPECT_TRUE(shard.meter.quiet());
  EXPECT_EQ(shard.meter.load().rates.packets_per_second, 0);
}

// A relay of some shards, each with calls that all talk.
class Relay : public testing::Test {
 protected:
  static ShardDemand shard_with(std::uint64_t calls, double busy) {
    const auto n = static_cast<double>(calls);
    const ShardRates rates{.busy = busy,
                           .packets_per_second = 100 * n,
                           .bits_received_per_second = 160'000 * n,
                           .bits_sent_per_second = 150'000 * n};
    return {.measured = {.rates = rates, .lately = rates, .talking = calls, .settled = calls},
            .calls = calls,
            .sockets = 4 * calls};
  }
  Assessment assess(Headroom& headroom) const {
    std::uint64_t calls = 0;
    for (const auto& shard : shards) calls += shard.calls;
    return headroom.assess({.shards = shards,
                            .calls = calls,
                            .ports_used = ports_used,
                            .ports = 5'000,
                            .sockets_per_shard = 10'000});
  }
  static double used(const Assessment& state, Refusal limit) {
    return state.used[static_cast<std::size_t>(limit)];
  }

  std::vector<ShardDemand> shards{ShardDemand{}};
  std::uint64_t ports_used = 0;
};

TEST_F(Relay, TakesCallsWhileThereIsRoom) {
  Headroom headroom({.calls = 1'000, .busy = 0.85});
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_EQ(assess(headroom).load, 0);
  shards = {shard_with(500, 0.34)};
  ports_used = 2'000;
  const Assessment state = assess(headroom);
  EXPECT_EQ(state.refusal, Refusal::none);
  EXPECT_DOUBLE_EQ(used(state, Refusal::calls), 0.5);
  EXPECT_DOUBLE_EQ(used(state, Refusal::busy), 0.4);
  EXPECT_DOUBLE_EQ(used(state, Refusal::ports), 0.4);
  EXPECT_DOUBLE_EQ(used(state, Refusal::sockets), 0.2);
  EXPECT_DOUBLE_EQ(used(state, Refusal::packets), 0) << "no limit";
  EXPECT_DOUBLE_EQ(state.load, 0.5) << "the scarcest";
}

TEST_F(Relay, CountsCallsSocketsAndPortsExactly) {
  Headroom headroom({.calls = 100});
  shards = {shard_with(100, 0.1)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::calls);
  EXPECT_EQ(assess(headroom).load, 1);
  shards = {shard_with(99, 0.1)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_DOUBLE_EQ(assess(headroom).load, 0.99);
  ports_used = 5'000;
  EXPECT_EQ(assess(headroom).refusal, Refusal::ports);
  ports_used = 4'999;
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_LT(assess(headroom).load, 1) << "full is only who refuses";
  shards[0].sockets = 10'000;
  EXPECT_EQ(assess(headroom).refusal, Refusal::sockets);
}

TEST_F(Relay, RefusesAtTheRateOfPacketsAndTakesCallsAgainWellBelowIt) {
  Headroom headroom({.calls = 10'000, .packets_per_second = 100'000});
  shards = {shard_with(999, 0.3)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  shards = {shard_with(1'000, 0.3)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::packets);
  shards = {shard_with(960, 0.3)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::packets) << "it would flap";
  EXPECT_EQ(assess(headroom).load, 1) << "the pool is told what is true of new calls";
  shards = {shard_with(949, 0.3)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  shards = {shard_with(990, 0.3)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
}

TEST_F(Relay, RefusesByTheGreaterDirectionOfBandwidth) {
  Headroom headroom({.calls = 10'000, .bits_per_second = 16'000'000});
  shards = {shard_with(99, 0.1)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  shards = {shard_with(100, 0.1)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::bandwidth);
  shards[0].measured.rates.bits_received_per_second = 1'000'000;
  shards[0].measured.rates.bits_sent_per_second = 16'000'001;
  EXPECT_EQ(assess(headroom).refusal, Refusal::bandwidth);
}

TEST_F(Relay, CountsWhatAcceptedCallsWillAddBeforeTheirMediaShows) {
  Headroom headroom({.calls = 10'000, .packets_per_second = 100'000, .busy = 0.8});
  shards = {shard_with(400, 0.2)};
  shards[0].calls = 999;
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_NEAR(used(assess(headroom), Refusal::packets), 0.999, 0.0001);
  EXPECT_NEAR(used(assess(headroom), Refusal::busy), 0.4995 / 0.8, 0.0001);
  shards[0].calls = 1'000;
  EXPECT_EQ(assess(headroom).refusal, Refusal::packets);
  shards[0].measured.settled = 1'000;  // they ring no longer, or never had media
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
}

TEST_F(Relay, TakesNoBurstThatItsAverageCallSaysIsTooMuch) {
  Headroom headroom({.calls = 10'000, .busy = 0.8});
  shards = {shard_with(500, 0.4)};
  std::uint64_t taken = 0;
  while (taken < 5'000 && assess(headroom).refusal == Refusal::none) {
    ++taken;
    ++shards[0].calls;
  }
  EXPECT_NEAR(static_cast<double>(taken), 500, 2);
  EXPECT_EQ(assess(headroom).refusal, Refusal::busy);
}

TEST_F(Relay, DoesNotTakeTheCostOfCallsThatAreGoneForThatOfTheOnesThatStand) {
  Headroom headroom({.calls = 10'000, .busy = 0.8});
  // Of 500 calls 100 are left; the rate of the last second is still that of more.
  shards = {shard_with(100, 0.3)};
  shards[0].measured.lately.busy = 0.08;
  shards[0].calls = 400;
  EXPECT_NEAR(used(assess(headroom), Refusal::busy), (0.3 + 300 * 0.0008) / 0.8, 0.0001);
}

TEST_F(Relay, AFewCallsSayLittleAboutMany) {
  Headroom headroom({.calls = 10'000, .busy = 0.8});
  // Waking up for each packet of ten calls costs more than a thousand calls will, call by call.
  shards = {shard_with(10, 0.02)};
  shards[0].calls = 1'000;
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_NEAR(used(assess(headroom), Refusal::busy), 0.1 / 0.8, 0.0001);
}

TEST_F(Relay, ExpectsTwoPartiesWithG711BeforeItHasMeasuredAny) {
  Headroom headroom({.calls = 10'000, .packets_per_second = 1'000, .bits_per_second = 10'000'000});
  shards[0].calls = 9;
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  shards[0].calls = 10;
  EXPECT_EQ(assess(headroom).refusal, Refusal::packets);
  shards[0].calls = 0;
  EXPECT_EQ(assess(headroom).refusal, Refusal::none) << "a limit of few calls is no trap";
}

TEST_F(Relay, TakesOneCallAtATimeWithRoomForOne) {
  Headroom headroom({.calls = 10'000, .packets_per_second = 100});
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  shards[0].calls = 1;
  EXPECT_EQ(assess(headroom).refusal, Refusal::packets);
  shards[0].calls = 0;
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
}

TEST_F(Relay, PlacesACallOnTheShardWithTheMostRoomNotTheFewestCalls) {
  Headroom headroom({.calls = 10'000, .busy = 0.8});
  shards = {shard_with(50, 0.6), shard_with(200, 0.3), shard_with(100, 0.5)};
  EXPECT_EQ(assess(headroom).lightest, 1U);
  shards = {shard_with(30, 0.201), shard_with(20, 0.202), shard_with(25, 0.2)};
  EXPECT_EQ(assess(headroom).lightest, 1U) << "as busy as the others: the fewest calls";
  shards = {ShardDemand{}, ShardDemand{}};
  shards[0].calls = 1;
  EXPECT_EQ(assess(headroom).lightest, 1U);
}

TEST_F(Relay, RefusesForItsCoresOnlyWhenNoShardHasRoom) {
  Headroom headroom({.calls = 10'000, .busy = 0.8});
  shards = {shard_with(500, 0.95), shard_with(500, 0.5)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_EQ(assess(headroom).lightest, 1U);
  shards = {shard_with(500, 0.95), shard_with(500, 0.81)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::busy);
  shards = {shard_with(500, 0.95), shard_with(480, 0.77)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::busy) << "not well below the limit yet";
  shards = {shard_with(500, 0.95), shard_with(450, 0.72)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
}

TEST_F(Relay, WithoutALimitForItsCoresTakesCallsWhateverTheyCost) {
  Headroom headroom({.calls = 10'000});
  shards = {shard_with(500, 1.0)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::none);
  EXPECT_EQ(used(assess(headroom), Refusal::busy), 0);
}

TEST_F(Relay, NamesWhatCanNotWaitFirst) {
  Headroom headroom({.calls = 100, .packets_per_second = 1'000, .busy = 0.5});
  shards = {shard_with(100, 0.9)};
  EXPECT_EQ(assess(headroom).refusal, Refusal::calls);
  EXPECT_EQ(describe_limit(Refusal::calls, headroom.limits()), "the limit is 100");
  EXPECT_EQ(describe_limit(Refusal::busy, headroom.limits()),
            "the limit is 50 % of every shard's core");
}

}  // namespace
}  // namespace rtpool
