// Whom a stream hears and where it sends (latch.h): the rules one by one, and the published attacks
// on them.
#include "relay/media/latch.h"
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

class LatchTest : public CallTest {
 protected:
  // Alice sits behind a NAT: she signals what she sees, the proxy saw where her SIP came from.
  void put_alice_behind_nat() {
    alice().remote_rtp = kAlicePrivate;
    alice().sip_source = ip("203.0.113.10");
  }
  const RemoteEndpoint kAlicePrivate = remote("192.168.1.5:4000");
  const RemoteEndpoint kAliceMapped = remote("203.0.113.10:61000");
  const RemoteEndpoint kAliceRemapped = remote("203.0.113.10:61777");
};

TEST_F(LatchTest, SendsToTheSignalledEndpointsBeforeAnythingWasHeard) {
  start();
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsForwardedTo(kAlice));
  EXPECT_FALSE(state(kAliceId).rtcp.latched);
  EXPECT_TRUE(state(kAliceId).rtp.latched);
}

TEST_F(LatchTest, LearnsTheMappedPortOfAPartyBehindNat) {
  put_alice_behind_nat();
  start();
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp()), IsForwardedTo(kBob));
  EXPECT_EQ(bob_reaches(), "203.0.113.10:61000");
}

TEST_F(LatchTest, GuessesThePublicSideOfANatBeforeItIsHeard) {
  put_alice_behind_nat();
  start();
  EXPECT_EQ(bob_reaches(), "203.0.113.10:4000");
}

TEST_F(LatchTest, SendsToAPrivateAddressWhereTheRelayIsPrivateItself) {
  put_alice_behind_nat();
  sockets = {sockets_at(30000, "10.0.0.1"), sockets_at(30002, "10.0.0.1")};
  start();
  EXPECT_EQ(bob_reaches(), "192.168.1.5:4000");
}

TEST_F(LatchTest, CountsAsPublicBehindAStaticNatOfItsOwn) {
  put_alice_behind_nat();
  sockets = {sockets_at(30000, "10.0.0.1"), sockets_at(30002, "10.0.0.1")};
  sockets[0].advertised_rtp.address = ip("198.51.100.1");
  start();
  EXPECT_EQ(bob_reaches(), "203.0.113.10:4000");
}

TEST_F(LatchTest, HearsNobodyButThePartyBeforeAndDuringTheCall) {
  start();
  EXPECT_THAT(to_alice_port(kMallory, rtp()), IsDroppedAs(Drop::source_refused));
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 1})), IsForwardedTo(kBob));
  // Not even with Alice's own SSRC and next sequence number, seen on the wire.
  EXPECT_THAT(to_alice_port(kMallory, rtp({.sequence = 2})), IsDroppedAs(Drop::source_refused));
  wait(11s);
  EXPECT_THAT(to_alice_port(kMallory, rtp({.sequence = 3})), IsDroppedAs(Drop::source_refused));
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
  EXPECT_EQ(dropped(Drop::source_refused), 3u);
  EXPECT_EQ(state(kAliceId).rtp.received.packets, 1u) << "refused ones are not Alice's packets";
  EXPECT_EQ(state(kAliceId).rtp.dropped, 3u);
}

// CVE-2025-53399: a spray that comes before the party's own media wins the learning phase.
TEST_F(LatchTest, SprayBeforeTheFirstPacketWinsNothing) {
  put_alice_behind_nat();
  start();
  for (std::uint16_t i = 0; i < 200; ++i) {
    const RemoteEndpoint source{{kMallory.address, static_cast<std::uint16_t>(2000 + i)}};
    EXPECT_THAT(to_alice_port(source, rtp({.sequence = i, .ssrc = 0xbad})),
                IsDroppedAs(Drop::source_refused));
    EXPECT_EQ(bob_reaches(), "203.0.113.10:4000");
  }
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp()), IsForwardedTo(kBob));
  EXPECT_EQ(bob_reaches(), kAliceMapped.to_string());
}

TEST_F(LatchTest, NothingIsHeardFromACalleeThatIsNotKnownYet) {
  // Given an offer that nobody has answered.
  spec.answered = false;
  bob().remote_rtp.reset();
  for (const LatchPolicy policy : {LatchPolicy::learn, LatchPolicy::any, LatchPolicy::signalled}) {
    bob().latch = policy;
    start();
    // When somebody sends to the callee's port, be it the callee.
    EXPECT_THAT(to_bob_port(kMallory, rtp()), IsDroppedAs(Drop::source_refused));
    EXPECT_THAT(to_bob_port(kBob, rtp()), IsDroppedAs(Drop::source_refused));
    EXPECT_THAT(to_bob_rtcp_port(kMallory, rtcp()), IsDroppedAs(Drop::source_refused));
    // Then nothing of it reaches the caller, and the caller's media goes to nobody.
    EXPECT_THAT(to_alice_port(kAlice, rtp()), IsDroppedAs(Drop::peer_unknown));
  }
  // When the answer comes, then media flows.
  bob().remote_rtp = kBob;
  bob().latch = LatchPolicy::learn;
  spec.answered = true;
  update();
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsForwardedTo(kAlice));
}

TEST_F(LatchTest, OnlyValidRtpLatches) {
  start();
  const RemoteEndpoint other_port = kAliceMapped;
  EXPECT_THAT(to_alice_port(other_port, {}), IsDroppedAs(Drop::empty));
  EXPECT_THAT(to_alice_port(other_port, bytes({0x80, 0, 0})), IsDroppedAs(Drop::malformed_rtp));
  EXPECT_THAT(to_alice_port(other_port, bytes({0x80, 201, 0})), IsDroppedAs(Drop::malformed_rtcp));
  EXPECT_THAT(to_alice_port(other_port, bytes({0, 1, 0})), IsDroppedAs(Drop::malformed_stun));
  EXPECT_THAT(to_alice_port(other_port, dtls()), IsDroppedAs(Drop::unexpected_protocol));
  EXPECT_THAT(receive(kAliceId, ComponentKind::rtp, other_port, rtp(), true),
              IsDroppedAs(Drop::truncated));
  EXPECT_FALSE(state(kAliceId).rtp.latched);
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
}

TEST_F(LatchTest, TheExactSignalledEndpointWinsWithinTheWindow) {
  start();
  // Given somebody at Alice's address who was quicker.
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.ssrc = 0xbad})), IsForwardedTo(kBob));
  wait(9s);
  // When the signalled endpoint speaks, then it is the one, for good.
  EXPECT_THAT(to_alice_port(kAlice, rtp({.ssrc = 0xa11ce})), IsForwardedTo(kBob));
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.sequence = 500, .ssrc = 0xbad2})),
              IsDroppedAs(Drop::ssrc_refused));
}

TEST_F(LatchTest, AfterTheWindowTheLearnedSourceIsStrict) {
  start();
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.ssrc = 0xa11ce})), IsForwardedTo(kBob));
  wait(10s);
  EXPECT_THAT(to_alice_port(kAlice, rtp({.ssrc = 0xbad})), IsDroppedAs(Drop::ssrc_refused));
  EXPECT_EQ(bob_reaches(), kAliceMapped.to_string());
}

TEST_F(LatchTest, TheWindowBeginsWithTheFirstPacketHoweverLongItRang) {
  start();
  wait(3min);
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp()), IsForwardedTo(kBob));
  wait(5s);
  EXPECT_THAT(to_alice_port(kAlice, rtp({.ssrc = 2})), IsForwardedTo(kBob));
}

TEST_F(LatchTest, FollowsANatThatRebinds) {
  put_alice_behind_nat();
  start();
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.sequence = 65535})), IsForwardedTo(kBob));
  wait(1min);
  // When the same source carries on from another port, across the sequence wrap.
  EXPECT_THAT(to_alice_port(kAliceRemapped, rtp({.sequence = 3})), IsForwardedTo(kBob));
  // Then Bob's media follows, and the old mapping is dead.
  EXPECT_EQ(bob_reaches(), kAliceRemapped.to_string());
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.sequence = 2})), IsDroppedAs(Drop::ssrc_refused));
}

TEST_F(LatchTest, TakesNoReplayOrForeignSsrcForARebinding) {
  start();
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 1000})), IsForwardedTo(kBob));
  wait(1min);
  for (const std::uint16_t sequence : std::initializer_list<std::uint16_t>{1000, 999, 5000}) {
    EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.sequence = sequence})),
                IsDroppedAs(Drop::ssrc_refused));
  }
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp({.sequence = 1001, .ssrc = 0xbad})),
              IsDroppedAs(Drop::ssrc_refused));
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
}

TEST_F(LatchTest, ANewSsrcFromTheLatchedSourceIsFine) {
  start();
  EXPECT_THAT(to_alice_port(kAlice, rtp({.ssrc = 1})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 40000, .ssrc = 2})), IsForwardedTo(kBob));
  EXPECT_EQ(state(kAliceId).ssrcs.size(), 2u);
}

TEST_F(LatchTest, LimitsHowOftenAStreamMayMove) {
  start();
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 1})), IsForwardedTo(kBob));
  std::uint16_t sequence = 2;
  const auto move = [&] {
    const RemoteEndpoint source{{kAlice.address, static_cast<std::uint16_t>(10000 + sequence)}};
    return to_alice_port(source, rtp({.sequence = sequence++}));
  };
  for (int i = 0; i < kMaxRebindings; ++i) EXPECT_THAT(move(), IsForwardedTo(kBob));
  EXPECT_THAT(move(), IsDroppedAs(Drop::rate_limited));
  wait(10s);
  EXPECT_THAT(move(), IsForwardedTo(kBob));
}

TEST_F(LatchTest, SignalledPolicyLearnsNothing) {
  alice().latch = LatchPolicy::signalled;
  start();
  EXPECT_THAT(to_alice_port(kAliceMapped, rtp()), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_rtcp_port(kAliceMapped, rtcp()), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_rtcp_port(kAliceRtcp, rtcp()), IsForwardedTo(kBobRtcp));
  EXPECT_FALSE(state(kAliceId).rtp.latched);
}

TEST_F(LatchTest, AnyPolicyLearnsFromAnywhereOnceAndIsStrictThen) {
  alice().latch = LatchPolicy::any;
  start();
  const RemoteEndpoint elsewhere = remote("198.18.0.7:7000");
  EXPECT_THAT(to_alice_port(elsewhere, rtp()), IsForwardedTo(kBob));
  EXPECT_EQ(bob_reaches(), elsewhere.to_string());
  EXPECT_THAT(to_alice_port(kMallory, rtp({.sequence = 2})), IsDroppedAs(Drop::source_refused));
  // The signalled endpoint itself still wins within the window.
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 3, .ssrc = 3})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(elsewhere, rtp({.sequence = 4})), IsDroppedAs(Drop::source_refused));
}

TEST_F(LatchTest, AnyPolicyLearnsAgainInANewWindowOnly) {
  alice().latch = LatchPolicy::any;
  start();
  const RemoteEndpoint first = remote("198.18.0.7:7000");
  const RemoteEndpoint second = remote("198.18.0.8:7000");
  EXPECT_THAT(to_alice_port(first, rtp()), IsForwardedTo(kBob));
  wait(1min);
  ++alice().learn_epoch;
  update();
  EXPECT_THAT(to_alice_port(second, rtp({.ssrc = 8})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(first, rtp({.sequence = 2})), IsDroppedAs(Drop::source_refused));
}

TEST_F(LatchTest, AnyPolicyDoesNotLatchOntoWhatMayNotBeATarget) {
  alice().latch = LatchPolicy::any;
  start();
  for (const char* bad : {"127.0.0.1:9", "224.0.0.1:9", "203.0.113.66:0", "169.254.0.1:9"}) {
    EXPECT_THAT(to_alice_port(remote(bad), rtp()), IsDroppedAs(Drop::source_refused)) << bad;
  }
}

class ReinviteTest : public LatchTest {
 protected:
  void move_alice(const RemoteEndpoint& to) {
    alice().remote_rtp = to;
    ++alice().learn_epoch;
    update();
  }
  const RemoteEndpoint kAliceElsewhere = remote("203.0.113.99:4400");
};

TEST_F(ReinviteTest, HearsTheOldSourceUntilTheNewOneSpeaks) {
  start();
  to_alice_port(kAlice, rtp({.sequence = 1}));
  wait(1min);
  move_alice(kAliceElsewhere);
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 2})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kMallory, rtp({.sequence = 3})), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_port(kAliceElsewhere, rtp({.ssrc = 7})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 4})), IsDroppedAs(Drop::source_refused));
  EXPECT_EQ(bob_reaches(), kAliceElsewhere.to_string());
}

TEST_F(ReinviteTest, SendsToTheNewEndpointAtOnceWhereNoNatIsToBeSuspected) {
  start();
  to_alice_port(kAlice, rtp());
  move_alice(kAliceElsewhere);
  EXPECT_EQ(bob_reaches(), kAliceElsewhere.to_string());
}

TEST_F(ReinviteTest, AnEndpointThatWasNeverHeardIsForgottenWithItsSpecification) {
  start();
  to_alice_port(kAlice, rtp());
  move_alice(kAliceElsewhere);
  EXPECT_EQ(bob_reaches(), kAliceElsewhere.to_string());
  alice().remote_rtp.reset();
  update();
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
}

TEST_F(ReinviteTest, SendsToTheOldMappingUntilTheNewOneIsHeardBehindNat) {
  put_alice_behind_nat();
  start();
  to_alice_port(kAliceMapped, rtp());
  move_alice(remote("192.168.1.5:4800"));
  EXPECT_EQ(bob_reaches(), kAliceMapped.to_string());
  EXPECT_THAT(to_alice_port(kAliceRemapped, rtp({.ssrc = 7})), IsForwardedTo(kBob));
  EXPECT_EQ(bob_reaches(), kAliceRemapped.to_string());
}

TEST_F(ReinviteTest, ForgetsAnOldSourceThatIsNoLongerAccepted) {
  start();
  to_alice_port(kAlice, rtp({.sequence = 1}));
  move_alice(kAliceElsewhere);
  wait(9s);
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 2})), IsForwardedTo(kBob));
  wait(1s);
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 3})), IsDroppedAs(Drop::source_refused));
  EXPECT_EQ(bob_reaches(), kAliceElsewhere.to_string());
  EXPECT_FALSE(state(kAliceId).rtp.latched);
}

TEST_F(ReinviteTest, LatchesTheNewPortHoweverLateItSpeaks) {
  // Given a party that moved to another port and listened for a minute.
  start();
  to_alice_port(kAlice, rtp());
  move_alice(remote("203.0.113.10:4400"));
  wait(1min);
  EXPECT_EQ(bob_reaches(), "203.0.113.10:4400");
  EXPECT_THAT(to_alice_port(remote("203.0.113.10:4400"), rtp({.ssrc = 9})), IsForwardedTo(kBob));
}

TEST_F(ReinviteTest, KeepsAnOldSourceThatGoesOnAtTheSameAddress) {
  put_alice_behind_nat();
  start();
  to_alice_port(kAliceMapped, rtp({.sequence = 1}));
  move_alice(remote("192.168.1.6:4000"));
  for (std::uint16_t second = 0; second < 30; ++second) {
    wait(1s);
    EXPECT_THAT(
        to_alice_port(kAliceMapped, rtp({.sequence = static_cast<std::uint16_t>(2 + second)})),
        IsForwardedTo(kBob));
  }
  EXPECT_EQ(bob_reaches(), kAliceMapped.to_string());
  EXPECT_THAT(to_alice_port(kAliceRemapped, rtp({.ssrc = 0xbad})), IsDroppedAs(Drop::ssrc_refused));
}

TEST_F(ReinviteTest, AForkedBranchTakesOverFromEarlyMedia) {
  // Given early media of one branch, then an answer by another.
  spec.answered = false;
  start();
  EXPECT_THAT(to_bob_port(kBob, rtp({.ssrc = 1})), IsForwardedTo(kAlice));
  const RemoteEndpoint carol = remote("192.0.2.30:7000");
  bob().remote_rtp = carol;
  ++bob().learn_epoch;
  spec.answered = true;
  update();
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(carol));
  EXPECT_THAT(to_bob_port(carol, rtp({.ssrc = 2})), IsForwardedTo(kAlice));
  EXPECT_THAT(to_bob_port(kBob, rtp({.sequence = 2, .ssrc = 1})),
              IsDroppedAs(Drop::source_refused));
}

TEST_F(ReinviteTest, TheSameSpecificationAgainChangesNothing) {
  start();
  to_alice_port(kAliceMapped, rtp());
  call().update(spec, sockets, now);
  EXPECT_EQ(bob_reaches(), kAliceMapped.to_string());
  // Nor does one with another hold or time-out.
  alice().send = true;
  spec.media_timeout = 5s;
  update();
  EXPECT_EQ(bob_reaches(), kAliceMapped.to_string());
  EXPECT_EQ(state(kAliceId).rtp.received.packets, 1u);
}

TEST_F(ReinviteTest, AnOlderSpecificationIsIgnored) {
  start();
  CallSpec old = spec;
  update();
  old.streams[0].send = false;
  call().update(old, sockets, now);
  EXPECT_EQ(call().spec().revision, spec.revision);
  EXPECT_EQ(bob_reaches(), kAlice.to_string());
}

class RtcpLatchTest : public LatchTest {};

TEST_F(RtcpLatchTest, UsesThePortAboveRtpUnlessAnotherIsSignalled) {
  start();
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp()), IsForwardedTo(kAliceRtcp));
  alice().remote_rtcp = remote("203.0.113.10:4999");
  update();
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp()), IsForwardedTo(remote("203.0.113.10:4999")));
}

TEST_F(RtcpLatchTest, LearnsItsOwnPortOfAnAcceptedAddress) {
  put_alice_behind_nat();
  start();
  const RemoteEndpoint mapped = remote("203.0.113.10:61001");
  EXPECT_THAT(to_alice_rtcp_port(mapped, rtcp()), IsForwardedTo(kBobRtcp));
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp(0xb0b)), IsForwardedTo(mapped));
  EXPECT_THAT(to_alice_rtcp_port(kMallory, rtcp()), IsDroppedAs(Drop::source_refused));
  wait(1min);
  const RemoteEndpoint remapped = remote("203.0.113.10:61002");
  EXPECT_THAT(to_alice_rtcp_port(remapped, rtcp(0xbad)), IsDroppedAs(Drop::ssrc_refused));
  EXPECT_THAT(to_alice_rtcp_port(remapped, rtcp()), IsForwardedTo(kBobRtcp));
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp(0xb0b)), IsForwardedTo(remapped));
}

TEST_F(RtcpLatchTest, AcceptsTheAddressThatRtpWasLearnedFrom) {
  alice().latch = LatchPolicy::any;
  start();
  const RemoteEndpoint elsewhere = remote("198.18.0.7:7000");
  const RemoteEndpoint elsewhere_rtcp = remote("198.18.0.7:7001");
  EXPECT_THAT(to_alice_port(elsewhere, rtp()), IsForwardedTo(kBob));
  alice().latch = LatchPolicy::any;
  EXPECT_THAT(to_alice_rtcp_port(elsewhere_rtcp, rtcp()), IsForwardedTo(kBobRtcp));
  EXPECT_THAT(to_alice_rtcp_port(kMallory, rtcp()), IsDroppedAs(Drop::source_refused));
}

TEST(PrivateAddresses, AreThoseOfTheThreeRfcs) {
  for (const char* inside : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1",
                             "100.64.0.1", "100.127.255.255", "fd00::1", "fc00::1"}) {
    EXPECT_TRUE(is_private(ip(inside))) << inside;
  }
  for (const char* outside : {"9.255.255.255", "172.15.0.1", "172.32.0.1", "192.167.0.1",
                              "100.63.0.1", "100.128.0.1", "2001:db8::1", "fe80::1"}) {
    EXPECT_FALSE(is_private(ip(outside))) << outside;
  }
}

}  // namespace
}  // namespace rtpool::media::testing
