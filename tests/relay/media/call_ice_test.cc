// Alice is a browser: she does ICE with the relay, which answers as a lite agent; Bob is a phone.
#include "relay/media/ice_lite.h"
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

class IceTest : public CallTest {
 protected:
  IceTest() {
    alice().ice = IceSpec{.local_ufrag = "relay",
                          .local_pwd = "relay-password-of-22-chars",
                          .remote_ufrag = "alice",
                          .remote_pwd = "alices"};
    alice().remote_rtp = remote("203.0.113.10:9");
  }
  static CheckFields good(bool use_candidate = false) {
    return {.username = "relay:alice",
            .password = "relay-password-of-22-chars",
            .use_candidate = use_candidate};
  }
  // The reply to a check; nullopt when there was none.
  std::optional<StunView> reply_to(const RemoteEndpoint& source, const CheckFields& fields) {
    const Verdict verdict = to_alice_port(source, check(fields));
    if (verdict.action != Action::reply) return std::nullopt;
    EXPECT_EQ(*verdict.to, source);
    EXPECT_EQ(verdict.out_component, ComponentKind::rtp);
    EXPECT_EQ(verdict.out_stream, call().index_of(kAliceId));
    reply_.assign(verdict.payload.begin(), verdict.payload.end());
    return StunView::parse(reply_);
  }
  const HmacSha1 key_{as_bytes("relay-password-of-22-chars")};
  Packet reply_;
};

TEST_F(IceTest, AnswersAGoodCheckWhereItCameFrom) {
  start();
  const auto reply = reply_to(kAlice, good());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message_class(), StunClass::success);
  EXPECT_EQ(reply->xor_mapped_address(), static_cast<const Endpoint&>(kAlice));
  EXPECT_TRUE(reply->authentic(key_));
  EXPECT_EQ(state(kAliceId).rtp.sent.packets, 1u);
}

TEST_F(IceTest, SendsNothingToAnAddressThatNoCheckVouchedFor) {
  start();
  EXPECT_EQ(bob_reaches(), "peer_unknown");
  reply_to(kAlice, good());
  EXPECT_EQ(bob_reaches(), "peer_unknown") << "checked, but not nominated";
  reply_to(kAlice, good(true));
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
}

TEST_F(IceTest, HearsCheckedSourcesOnlyTheSignalledAddressIncluded) {
  start();
  const RemoteEndpoint signalled = *alice().remote_rtp;
  EXPECT_THAT(to_alice_port(signalled, rtp()), IsDroppedAs(Drop::source_refused));
  reply_to(kAlice, good());
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
  reply_to(signalled, good(true));
  EXPECT_THAT(to_alice_port(signalled, rtp({.sequence = 2})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 3})), IsForwardedTo(kBob)) << "still checked";
  EXPECT_EQ(bob_reaches(), signalled.to_string()) << "media does not move what ICE selected";
}

TEST_F(IceTest, SilentlyDropsChecksWithWrongCredentials) {
  start();
  for (const CheckFields& bad :
       {CheckFields{.username = "relay:alice", .password = "guess", .use_candidate = true},
        CheckFields{.username = "relay:alice", .password = "", .use_candidate = true},
        CheckFields{.username = "", .password = "relay-password-of-22-chars"},
        CheckFields{.username = "relay", .password = "relay-password-of-22-chars"},
        CheckFields{.username = "relay:", .password = "relay-password-of-22-chars"},
        CheckFields{.username = "relay:mallory", .password = "relay-password-of-22-chars"},
        CheckFields{.username = "other:alice", .password = "relay-password-of-22-chars"}}) {
    EXPECT_THAT(to_alice_port(kMallory, check(bad)), IsDroppedAs(Drop::stun_unauthenticated));
  }
  EXPECT_EQ(bob_reaches(), "peer_unknown");
  EXPECT_THAT(to_alice_port(kMallory, rtp()), IsDroppedAs(Drop::source_refused));
}

TEST_F(IceTest, DropsMalformedAndUnexpectedStun) {
  start();
  Packet spoiled = check(good());
  spoiled.back() ^= std::byte{1};
  EXPECT_THAT(to_alice_port(kAlice, spoiled), IsDroppedAs(Drop::malformed_stun));
  CheckFields response = good();
  response.message_class = StunClass::success;
  EXPECT_THAT(to_alice_port(kAlice, check(response)), IsDroppedAs(Drop::unexpected_protocol));
  CheckFields allocate = good();
  allocate.method = 3;
  EXPECT_THAT(to_alice_port(kAlice, check(allocate)), IsDroppedAs(Drop::unexpected_protocol));
}

TEST_F(IceTest, InsistsOnBeingControlled) {
  start();
  CheckFields fields = good(true);
  fields.controlled = true;
  const auto reply = reply_to(kAlice, fields);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->error_code(), 487);
  EXPECT_TRUE(reply->authentic(key_));
  EXPECT_EQ(bob_reaches(), "peer_unknown");
}

TEST_F(IceTest, RefusesBothRolesAndUnknownRequirements) {
  start();
  CheckFields both = good();
  both.both_roles = true;
  EXPECT_EQ(reply_to(kAlice, both)->error_code(), 400);
  CheckFields unknown = good();
  unknown.unknown = 0x7ffe;
  EXPECT_EQ(reply_to(kAlice, unknown)->error_code(), 420);
}

TEST_F(IceTest, FollowsALaterNominationToAnotherAddress) {
  start();
  reply_to(kAlice, good(true));
  const RemoteEndpoint mobile = remote("198.18.7.7:55555");
  reply_to(mobile, good(true));
  EXPECT_EQ(bob_reaches(), mobile.to_string());
}

TEST_F(IceTest, BelievesAnEarlyCheckOnceTheAnswerNamesItsAuthor) {
  // Given an offer to several callees, who all know our password.
  alice().ice->remote_ufrag.clear();
  alice().ice->remote_pwd.clear();
  alice().remote_rtp.reset();
  start();
  const auto as = [&](std::string_view ufrag) {
    CheckFields fields = good(true);
    fields.username = "relay:" + std::string(ufrag);
    return fields;
  };
  EXPECT_TRUE(reply_to(kAlice, as("alice")));
  EXPECT_TRUE(reply_to(kMallory, as("mallory")));
  // Then neither is heard or sent to before the answer …
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsDroppedAs(Drop::source_refused));
  EXPECT_EQ(bob_reaches(), "peer_unknown");
  // … and only its author after it.
  alice().ice->remote_ufrag = "alice";
  update();
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kMallory, rtp({.sequence = 2})), IsDroppedAs(Drop::source_refused));
}

TEST_F(IceTest, ARestartKeepsTheSelectedPairUntilANewOneIsNominated) {
  start();
  reply_to(kAlice, good(true));
  alice().ice = IceSpec{.local_ufrag = "again",
                        .local_pwd = "another-password-of-ours",
                        .remote_ufrag = "alice2",
                        .remote_pwd = "alices2"};
  ++alice().learn_epoch;
  update();
  wait(1min);
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kAlice, check(good(true))), IsDroppedAs(Drop::stun_unauthenticated));
  const RemoteEndpoint mobile = remote("198.18.7.7:55555");
  reply_to(
      mobile,
      {.username = "again:alice2", .password = "another-password-of-ours", .use_candidate = true});
  EXPECT_EQ(bob_reaches(), mobile.to_string());
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 2})), IsDroppedAs(Drop::source_refused));
}

TEST_F(IceTest, DtlsPassesFromCheckedSourcesOnly) {
  alice().pass_dtls = bob().pass_dtls = true;
  start();
  EXPECT_THAT(to_alice_port(kAlice, dtls()), IsDroppedAs(Drop::source_refused));
  reply_to(kAlice, good(true));
  EXPECT_THAT(to_alice_port(kAlice, dtls()), IsForwardedTo(kBob));
  EXPECT_THAT(to_bob_port(kBob, dtls()), IsForwardedTo(kAlice));
}

TEST_F(IceTest, LimitsTheChecksThatCostAnHmac) {
  start();
  const Packet guess = check({.username = "relay:alice", .password = "guess"});
  for (std::uint32_t i = 0; i < kMaxChecksPerSecond; ++i) to_alice_port(kMallory, guess);
  EXPECT_THAT(to_alice_port(kMallory, guess), IsDroppedAs(Drop::rate_limited));
  wait(1s);
  EXPECT_TRUE(reply_to(kAlice, good()));
}

TEST_F(IceTest, RemembersTheLatestCheckedSourcesOnly) {
  start();
  for (std::uint16_t i = 0; i <= kMaxCheckedSources; ++i) {
    wait(1ms);
    reply_to({{kAlice.address, static_cast<std::uint16_t>(7000 + i)}}, good());
  }
  EXPECT_THAT(to_alice_port(remote("203.0.113.10:7000"), rtp()), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_port(remote("203.0.113.10:7001"), rtp()), IsForwardedTo(kBob));
}

TEST_F(IceTest, ChecksKeepACallOnHoldAlive) {
  spec.media_timeout = 30s;
  start();
  for (int i = 0; i < 5; ++i) {
    wait(29s);
    EXPECT_EQ(call().expired(now), std::nullopt);
    reply_to(kAlice, good());
  }
}

TEST_F(IceTest, TheRtcpComponentIsCheckedOnItsOwn) {
  start();
  reply_to(kAlice, good(true));
  EXPECT_THAT(to_alice_rtcp_port(kAliceRtcp, rtcp()), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp()), IsDroppedAs(Drop::peer_unknown));
  const Verdict verdict = to_alice_rtcp_port(kAliceRtcp, check(good(true)));
  EXPECT_EQ(verdict.action, Action::reply);
  EXPECT_EQ(verdict.out_component, ComponentKind::rtcp);
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp()), IsForwardedTo(kAliceRtcp));
}

TEST_F(IceTest, AnAnswerWithoutIceFallsBackToAddresses) {
  start();
  alice().ice.reset();
  alice().remote_rtp = kAlice;
  update();
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
}

}  // namespace
}  // namespace rtpool::media::testing
