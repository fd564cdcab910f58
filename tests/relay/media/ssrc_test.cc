#include "relay/media/ssrc.h"

#include <gtest/gtest.h>

#include "tests/relay/media/packets.h"

namespace rtpool::media::testing {
namespace {

using namespace std::chrono_literals;

class Listener {
 public:
  void hear(const RtpFields& fields, Duration after = 20ms) {
    now += after;
    const Packet packet = rtp(fields);
    table.record(*RtpView::parse(packet), packet.size(), now);
  }
  SsrcState only() { return table.states().at(0); }

  SsrcTable table;
  Instant now{std::chrono::hours(1)};
};

TEST(Ssrc, CountsNothingLostInAStraightRunAcrossTheWrap) {
  Listener listener;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    listener.hear({.sequence = static_cast<std::uint16_t>(65000 + i), .timestamp = i * 160});
  }
  EXPECT_EQ(listener.only().received.packets, 1000u);
  EXPECT_EQ(listener.only().received.bytes, 172'000u);
  EXPECT_EQ(listener.only().lost, 0);
  EXPECT_EQ(listener.only().last_sequence, static_cast<std::uint16_t>(65000 + 999));
  EXPECT_EQ(listener.only().jitter, 0u);
}

TEST(Ssrc, CountsGapsDuplicatesAndReordering) {
  Listener listener;
  for (const std::uint16_t sequence : std::initializer_list<std::uint16_t>{10, 11, 14, 13, 20})
    listener.hear({.sequence = sequence});
  EXPECT_EQ(listener.only().lost, 6) << "12 and 15 to 19";
  listener.hear({.sequence = 20});
  EXPECT_EQ(listener.only().lost, 5) << "a duplicate counts as received (RFC 3550, A.3)";
}

TEST(Ssrc, ForgivesAStrayAndFollowsARestart) {
  Listener listener;
  for (const std::uint16_t sequence : std::initializer_list<std::uint16_t>{100, 101})
    listener.hear({.sequence = sequence});
  listener.hear({.sequence = 30000});
  for (const std::uint16_t sequence : std::initializer_list<std::uint16_t>{102, 103})
    listener.hear({.sequence = sequence});
  EXPECT_EQ(listener.only().lost, 0) << "one stray";
  for (const std::uint16_t sequence :
       std::initializer_list<std::uint16_t>{40000, 40001, 40002, 40004})
    listener.hear({.sequence = sequence});
  EXPECT_EQ(listener.only().lost, 1) << "a restart, then one gap";
  EXPECT_EQ(listener.only().last_sequence, 40004);
}

TEST(Ssrc, MeasuresJitterInTimestampUnits) {
  Listener listener;
  // Packets alternately 10 ms early and late: each differs from its predecessor by 10 ms, 80 units
  // at 8 kHz.
  for (std::uint32_t i = 0; i < 500; ++i) {
    listener.hear({.sequence = static_cast<std::uint16_t>(i), .timestamp = i * 160},
                  i % 2 == 0 ? 10ms : 30ms);
  }
  EXPECT_NEAR(listener.only().jitter, 80, 2);
}

TEST(Ssrc, LearnsTheClockOfADynamicPayloadType) {
  Listener opus;
  for (std::uint32_t i = 0; i < 200; ++i) {
    opus.hear({.payload_type = 111,
               .sequence = static_cast<std::uint16_t>(i),
               .timestamp = 0xffff'0000 + i * 960});
  }
  // At 8 kHz a jump of 960 units in 20 ms would look like 800 units of jitter.
  EXPECT_LE(opus.only().jitter, 1u);
}

TEST(Ssrc, KnowsTheClocksOfStaticPayloadTypes) {
  EXPECT_EQ(static_clock_rate(0), 8000u);
  EXPECT_EQ(static_clock_rate(9), 8000u) << "G.722 keeps the historical error";
  EXPECT_EQ(static_clock_rate(34), 90000u);
  EXPECT_EQ(static_clock_rate(96), 0u);
}

TEST(Ssrc, KeepsTheTableSmallAndInOrderOfAppearance) {
  Listener listener;
  for (std::uint32_t ssrc = 1; ssrc <= 8; ++ssrc) listener.hear({.ssrc = ssrc});
  listener.hear({.ssrc = 99});
  EXPECT_FALSE(listener.table.contains(99)) << "eight others spoke a moment ago";
  for (std::uint32_t ssrc = 2; ssrc <= 8; ++ssrc) listener.hear({.sequence = 2, .ssrc = ssrc}, 1s);
  listener.hear({.ssrc = 99});
  EXPECT_TRUE(listener.table.contains(99));
  EXPECT_FALSE(listener.table.contains(1)) << "silent longest";
  std::vector<std::uint32_t> order;
  for (const SsrcState& state : listener.table.states()) order.push_back(state.ssrc);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{2, 3, 4, 5, 6, 7, 8, 99}));
}

TEST(Ssrc, SaysWhetherASequenceNumberCarriesOn) {
  Listener listener;
  listener.hear({.sequence = 65530, .ssrc = 7});
  EXPECT_TRUE(listener.table.continues(7, 65531));
  EXPECT_TRUE(listener.table.continues(7, 2000));
  EXPECT_FALSE(listener.table.continues(7, 65530)) << "a copy";
  EXPECT_FALSE(listener.table.continues(7, 65529)) << "a replay";
  EXPECT_FALSE(listener.table.continues(7, 4000)) << "too far ahead";
  EXPECT_FALSE(listener.table.continues(8, 65531));
}

}  // namespace
}  // namespace rtpool::media::testing
