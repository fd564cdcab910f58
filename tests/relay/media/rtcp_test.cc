#include "relay/media/rtcp.h"

#include <gtest/gtest.h>

#include "tests/relay/media/packets.h"

namespace rtpool::media::testing {
namespace {

Packet sender_report(int reports) {
  Packet packet(28 + std::size_t(reports) * 24);
  packet[0] = static_cast<std::byte>(0x80 | reports);
  packet[1] = std::byte{200};
  store_u16(packet, 2, static_cast<std::uint16_t>(packet.size() / 4 - 1));
  store_u32(packet, 4, 0x5e4de5);
  return packet;
}

Packet operator+(Packet a, const Packet& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Packet kSdes = from_hex("81ca0003 005e4de5 01026162 00000000");
const Packet kBye = from_hex("81cb0001 005e4de5");

TEST(RtcpView, WalksACompound) {
  const Packet packet = sender_report(1) + kSdes + kBye;
  const auto view = RtcpView::parse(packet);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->clear());
  EXPECT_EQ(view->first_type(), 200);
  EXPECT_EQ(view->sender_ssrc(), 0x5e4de5u);
  std::size_t at = 0;
  std::vector<int> types;
  while (const auto next = view->next(at)) types.push_back(next->type);
  EXPECT_EQ(types, (std::vector<int>{200, 202, 203}));
}

TEST(RtcpView, AcceptsReducedSizeFeedbackAlone) {
  const Packet pli = from_hex("81ce0002 00000001 00000002");
  ASSERT_TRUE(RtcpView::parse(pli));
  EXPECT_EQ(RtcpView::parse(pli)->first_type(), 206);
}

TEST(RtcpView, RefusesShortAndWrongHeaders) {
  EXPECT_FALSE(RtcpView::parse({}));
  EXPECT_FALSE(RtcpView::parse(bytes({0x80, 203, 0, 0}))) << "an empty BYE";
  EXPECT_FALSE(RtcpView::parse(from_hex("80cb0000 00000000"))) << "zero length, then junk";
  EXPECT_FALSE(RtcpView::parse(from_hex("40c90001 00000001"))) << "version 1";
  EXPECT_FALSE(RtcpView::parse(from_hex("80e00001 00000001"))) << "payload type 224";
  EXPECT_FALSE(RtcpView::parse(from_hex("80c90002 00000001"))) << "runs over the end";
  EXPECT_FALSE(RtcpView::parse(from_hex("80c9ffff 00000001")));
}

TEST(RtcpView, RefusesCountsThatTheLengthHasNoRoomFor) {
  for (const int type : {200, 201, 202, 203}) {
    Packet packet(28);
    packet[0] = std::byte{0x9f};  // thirty-one of them
    packet[1] = static_cast<std::byte>(type);
    store_u16(packet, 2, 6);
    EXPECT_FALSE(RtcpView::parse(packet)) << type;
  }
  EXPECT_FALSE(RtcpView::parse(from_hex("80ce0001 00000001"))) << "feedback without a media source";
}

TEST(RtcpView, RefusesACompoundThatDoesNotAddUp) {
  EXPECT_FALSE(RtcpView::parse(rtcp() + bytes({0x80, 202})));
  EXPECT_FALSE(RtcpView::parse(rtcp() + from_hex("80cb0005 00000001")));
}

TEST(RtcpView, AllowsPaddingInTheLastPacketOnly) {
  const Packet padded = from_hex("a0c90002 00000001 00000004");
  EXPECT_TRUE(RtcpView::parse(padded)->clear());
  EXPECT_FALSE(RtcpView::parse(from_hex("a0c90002 00000001 00000003")));
  EXPECT_FALSE(RtcpView::parse(from_hex("a0c90002 00000001 00000000")));
  EXPECT_FALSE(RtcpView::parse(from_hex("a0c90001 000000ff")));
  EXPECT_FALSE(RtcpView::parse(padded + kBye));
}

TEST(RtcpView, LetsSrtcpPassAndTrustsItsFirstHeaderOnly) {
  // A report in clear up to its SSRC, then ciphertext, index and tag.
  Packet protected_report = sender_report(0);
  for (std::size_t i = 8; i < protected_report.size(); ++i) protected_report[i] = std::byte{0xc5};
  const Packet ciphertext(16 + kSrtcpTrailerBytes, std::byte{0x5c});
  const Packet packet = protected_report + ciphertext;
  const auto view = RtcpView::parse(packet);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->clear());
  EXPECT_EQ(view->sender_ssrc(), 0x5e4de5u);
  std::size_t at = 0;
  EXPECT_FALSE(view->next(at));

  EXPECT_TRUE(RtcpView::parse(sender_report(0) + Packet(kSrtcpTrailerBytes, std::byte{0x5c})));
  EXPECT_FALSE(RtcpView::parse(sender_report(0) + Packet(kSrtcpTrailerBytes - 1, std::byte{0x5c})));
}

}  // namespace
}  // namespace rtpool::media::testing
