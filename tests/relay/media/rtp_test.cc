#include "relay/media/rtp.h"

#include <gtest/gtest.h>

#include "tests/relay/media/packets.h"

namespace rtpool::media::testing {
namespace {

TEST(RtpView, ReadsTheFixedHeader) {
  Packet packet = rtp({.payload_type = 8, .sequence = 0xfffe, .timestamp = 77, .ssrc = 0xdeadbeef});
  packet[1] |= std::byte{0x80};
  const auto view = RtpView::parse(packet);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->marker());
  EXPECT_EQ(view->payload_type(), 8);
  EXPECT_EQ(view->sequence(), 0xfffe);
  EXPECT_EQ(view->timestamp(), 77u);
  EXPECT_EQ(view->ssrc(), 0xdeadbeefu);
  EXPECT_EQ(view->payload().size(), 160u);
  EXPECT_FALSE(view->extension_profile());
  EXPECT_TRUE(view->extension().empty());
  EXPECT_EQ(view->padding(), 0);
}

TEST(RtpView, FindsCsrcsAndExtensionBeforeThePayload) {
  Packet packet = rtp({.payload = 0});
  packet[0] = std::byte{0x92};  // extension, two CSRCs
  const Packet rest = from_hex("00000001 00000002 bede0001 11223344 aabb");
  packet.insert(packet.end(), rest.begin(), rest.end());
  const auto view = RtpView::parse(packet);
  ASSERT_TRUE(view);
  ASSERT_EQ(view->csrc_count(), 2u);
  EXPECT_EQ(view->csrc(1), 2u);
  EXPECT_EQ(view->extension_profile(), 0xbede);
  EXPECT_EQ(view->extension().size(), 4u);
  EXPECT_EQ(view->payload().size(), 2u);
}

TEST(RtpView, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(RtpView::parse({}));
  Packet short_header = rtp({.payload = 0});
  EXPECT_TRUE(RtpView::parse(short_header));
  short_header.pop_back();
  EXPECT_FALSE(RtpView::parse(short_header));

  Packet version = rtp();
  version[0] = std::byte{0x40};
  EXPECT_FALSE(RtpView::parse(version));

  Packet csrcs = rtp({.payload = 59});
  csrcs[0] = std::byte{0x8f};  // fifteen CSRCs take 60
  EXPECT_FALSE(RtpView::parse(csrcs));
  csrcs.push_back({});
  EXPECT_TRUE(RtpView::parse(csrcs));

  Packet extension = rtp({.payload = 3});
  extension[0] = std::byte{0x90};
  EXPECT_FALSE(RtpView::parse(extension));
  extension = rtp({.payload = 8});
  extension[0] = std::byte{0x90};
  store_u16(extension, 14, 1);
  EXPECT_TRUE(RtpView::parse(extension));
  store_u16(extension, 14, 2);
  EXPECT_FALSE(RtpView::parse(extension));
  store_u16(extension, 14, 0xffff);
  EXPECT_FALSE(RtpView::parse(extension));
}

TEST(RtpView, ReadsPaddingButDoesNotRefuseForItsEncryptedCount) {
  Packet packet = rtp({.payload = 4});
  packet[0] = std::byte{0xa0};
  packet.back() = std::byte{4};
  EXPECT_EQ(RtpView::parse(packet)->padding(), 4);
  packet.back() = std::byte{5};
  ASSERT_TRUE(RtpView::parse(packet));
  EXPECT_FALSE(RtpView::parse(packet)->padding());
  packet.back() = std::byte{0};
  EXPECT_FALSE(RtpView::parse(packet)->padding());
  packet.resize(12);
  EXPECT_FALSE(RtpView::parse(packet)) << "padding announced, nothing there";
}

}  // namespace
}  // namespace rtpool::media::testing
