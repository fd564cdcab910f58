#include "relay/media/stun.h"

#include <gtest/gtest.h>

#include "tests/relay/media/packets.h"

namespace rtpool::media::testing {
namespace {

// RFC 5769, 2.1 to 2.3.
constexpr std::string_view kPassword = "VOkJxbRl1RmTxUk/WvJxBt";
const Packet kRequest = from_hex(
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae"
    "80220010 5354554e 20746573 7420636c 69656e74"
    "00240004 6e0001ff 80290008 932ff9b1 51263b36"
    "00060009 6576746a 3a683676 59202020"
    "00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2"
    "80280004 e57a3bcf");
const Packet kResponse4 = from_hex(
    "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200008 0001a147 e112a643"
    "00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7"
    "80280004 c07d4c96");
const Packet kResponse6 = from_hex(
    "01010048 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9"
    "00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41"
    "80280004 c8fb0b4c");

TEST(HmacSha1, AgreesWithTheVectorsOfRfc2202) {
  const auto digest = [](Bytes key, std::string_view data) {
    return HmacSha1(key).sign({as_bytes(data)});
  };
  const auto equals = [](const HmacSha1::Digest& got, std::string_view hex) {
    return Packet(got.begin(), got.end()) == from_hex(hex);
  };
  EXPECT_TRUE(equals(digest(Packet(20, std::byte{0x0b}), "Hi There"),
                     "b617318655057264e28bc0b6fb378c8ef146be00"));
  EXPECT_TRUE(equals(digest(as_bytes("Jefe"), "what do ya want for nothing?"),
                     "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
  EXPECT_TRUE(equals(
      digest(Packet(80, std::byte{0xaa}), "Test Using Larger Than Block-Size Key - Hash Key First"),
      "aa4ae5e15272d00e95705637ce8a3b55ed402112"));
}

TEST(StunView, ReadsTheSampleRequest) {
  const auto view = StunView::parse(kRequest);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->message_class(), StunClass::request);
  EXPECT_EQ(view->method(), kStunBinding);
  EXPECT_EQ(view->username(), "evtj:h6vY");
  EXPECT_EQ(view->priority(), 0x6e0001ffu);
  EXPECT_TRUE(view->controlled());
  EXPECT_FALSE(view->controlling());
  EXPECT_FALSE(view->use_candidate());
  EXPECT_TRUE(view->has_fingerprint());
  EXPECT_EQ(view->unknown_required(), 0);
  EXPECT_TRUE(view->authentic(HmacSha1(as_bytes(kPassword))));
  EXPECT_FALSE(view->authentic(HmacSha1(as_bytes("VOkJxbRl1RmTxUk/WvJxBT"))));
}

TEST(StunView, ReadsTheSampleResponses) {
  for (const auto& [packet, address] :
       {std::pair{kResponse4, "192.0.2.1:32853"},
        std::pair{kResponse6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"}}) {
    const auto view = StunView::parse(packet);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->message_class(), StunClass::success);
    EXPECT_TRUE(view->authentic(HmacSha1(as_bytes(kPassword))));
    EXPECT_EQ(view->xor_mapped_address(), Endpoint::parse(address));
  }
}

TEST(StunView, NoticesEveryFlippedBit) {
  const HmacSha1 key(as_bytes(kPassword));
  for (std::size_t bit = 0; bit < kRequest.size() * 8; ++bit) {
    Packet spoiled = kRequest;
    spoiled[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    const auto view = StunView::parse(spoiled);
    EXPECT_FALSE(view && view->has_fingerprint() && view->authentic(key)) << "bit " << bit;
  }
}

TEST(StunView, RefusesEveryTruncation) {
  for (std::size_t size = 0; size < kRequest.size(); ++size) {
    EXPECT_FALSE(StunView::parse(Bytes(kRequest).first(size))) << size;
  }
  Packet longer = kRequest;
  longer.resize(longer.size() + 4);
  EXPECT_FALSE(StunView::parse(longer));
}

TEST(StunView, RefusesTheOldFormAndOddLengths) {
  EXPECT_FALSE(StunView::parse(from_hex("00010000 00000000 b7e7a701 bc34d686 fa87dfae")));
  EXPECT_FALSE(StunView::parse(from_hex("00010002 2112a442 b7e7a701 bc34d686 fa87dfae 0000")));
  EXPECT_TRUE(StunView::parse(from_hex("00010000 2112a442 b7e7a701 bc34d686 fa87dfae")));
  // An attribute that claims more than there is.
  EXPECT_FALSE(StunView::parse(from_hex("00010004 2112a442 b7e7a701 bc34d686 fa87dfae 00060001")));
  EXPECT_FALSE(
      StunView::parse(from_hex("00010008 2112a442 b7e7a701 bc34d686 fa87dfae 0006ffff 00000000")));
}

TEST(StunView, DoesNotBelieveWhatFollowsTheIntegrity) {
  // Given a genuine check whose USE-CANDIDATE was added by somebody behind the signature.
  Packet packet(256);
  StunWriter writer(packet, StunClass::request, kStunBinding, {});
  writer.add(StunAttribute::username, as_bytes("a:b"));
  writer.add_integrity(HmacSha1(as_bytes("secret")));
  writer.add_flag(StunAttribute::use_candidate);
  const auto view = StunView::parse(writer.bytes());
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->authentic(HmacSha1(as_bytes("secret"))));
  EXPECT_FALSE(view->use_candidate());
}

TEST(StunView, NamesTheFirstRequiredAttributeItDoesNotKnow) {
  const Packet packet = check({.username = "a:b", .password = "p", .unknown = 0x7ffe});
  EXPECT_EQ(StunView::parse(packet)->unknown_required(), 0x7ffe);
  const Packet optional = check({.username = "a:b", .password = "p", .unknown = 0xc057});
  EXPECT_EQ(StunView::parse(optional)->unknown_required(), 0);
}

TEST(StunWriter, WritesResponsesThatReadBack) {
  const HmacSha1 key(as_bytes(kPassword));
  const StunTransactionId id = StunView::parse(kRequest)->transaction_id();
  std::array<std::byte, kStunMaxReply> buffer;
  for (const char* address : {"203.0.113.9:1", "[2001:db8::1]:65535"}) {
    const auto view =
        StunView::parse(write_binding_success(buffer, id, *Endpoint::parse(address), key));
    ASSERT_TRUE(view);
    EXPECT_EQ(view->message_class(), StunClass::success);
    EXPECT_EQ(view->transaction_id(), id);
    EXPECT_EQ(view->xor_mapped_address(), Endpoint::parse(address));
    EXPECT_TRUE(view->authentic(key));
    EXPECT_TRUE(view->has_fingerprint());
  }
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{400, 401, 420, 487}) {
    const auto view = StunView::parse(write_binding_error(
        buffer, id, code, "a reason that is longer than fits into the reply", &key, 0x7ffe));
    ASSERT_TRUE(view) << code;
    EXPECT_EQ(view->message_class(), StunClass::error);
    EXPECT_EQ(view->error_code(), code);
    EXPECT_TRUE(view->authentic(key));
  }
  EXPECT_FALSE(StunView::parse(write_binding_error(buffer, id, 401, "Unauthenticated", nullptr))
                   ->has_integrity());
}

}  // namespace
}  // namespace rtpool::media::testing
