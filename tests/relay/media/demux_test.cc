#include "relay/media/demux.h"

#include <gtest/gtest.h>

#include "tests/relay/media/packets.h"

namespace rtpool::media::testing {
namespace {

TEST(Demux, TellsProtocolsByFirstByteAtEveryBoundary) {
  const std::pair<int, PacketKind> expectations[] = {
      {0, PacketKind::stun},          {3, PacketKind::stun},  {4, PacketKind::unknown},
      {15, PacketKind::unknown},      {16, PacketKind::zrtp}, {19, PacketKind::zrtp},
      {20, PacketKind::dtls},         {63, PacketKind::dtls}, {64, PacketKind::turn_channel},
      {79, PacketKind::turn_channel}, {80, PacketKind::quic}, {127, PacketKind::quic},
      {128, PacketKind::rtp},         {191, PacketKind::rtp}, {192, PacketKind::quic},
      {255, PacketKind::quic}};
  for (const auto& [first, kind] : expectations) {
    EXPECT_EQ(classify(bytes({first, 0})), kind) << first;
  }
}

TEST(Demux, TellsRtcpByPayloadType) {
  EXPECT_EQ(classify(bytes({0x80, 191})), PacketKind::rtp);
  EXPECT_EQ(classify(bytes({0x80, 192})), PacketKind::rtcp);
  EXPECT_EQ(classify(bytes({0x80, 223})), PacketKind::rtcp);
  EXPECT_EQ(classify(bytes({0x80, 224})), PacketKind::rtp);
  EXPECT_EQ(classify(bytes({0x80})), PacketKind::rtp);
}

TEST(Demux, KnowsTheShapeOfDtlsRecords) {
  EXPECT_TRUE(looks_like_dtls(dtls()));
  EXPECT_TRUE(looks_like_dtls(bytes({0x2f, 1, 2})));  // unified header of DTLS 1.3
  EXPECT_FALSE(looks_like_dtls(bytes({22, 0xfe, 0xfd})));
  EXPECT_FALSE(looks_like_dtls({}));
  Packet tls = dtls();
  tls[1] = std::byte{3};
  EXPECT_FALSE(looks_like_dtls(tls));
}

}  // namespace
}  // namespace rtpool::media::testing
