// What passes between the parties, by which socket, and how it is counted.
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

class MediaTest : public CallTest {};

TEST_F(MediaTest, CountsWhatComesInAndGoesOut) {
  start();
  for (std::uint16_t i = 1; i <= 5; ++i) to_alice_port(kAlice, rtp({.sequence = i}));
  to_alice_rtcp_port(kAliceRtcp, rtcp());
  const StreamState alice = state(kAliceId);
  const StreamState bob = state(kBobId);
  EXPECT_EQ(alice.rtp.received.packets, 5u);
  EXPECT_EQ(alice.rtp.received.bytes, 5u * 172);
  EXPECT_EQ(bob.rtp.sent.packets, 5u);
  EXPECT_EQ(bob.rtp.sent.bytes, 5u * 172);
  EXPECT_EQ(alice.rtcp.received.packets, 1u);
  EXPECT_EQ(bob.rtcp.sent.packets, 1u);
  EXPECT_EQ(alice.rtp.last_packet, now);
  EXPECT_EQ(alice.rtp.local, sockets[0].rtp);
  EXPECT_EQ(alice.rtp.advertised, sockets[0].advertised_rtp);
  ASSERT_EQ(alice.ssrcs.size(), 1u);
  EXPECT_EQ(alice.ssrcs[0].ssrc, 0xa11ceu);
  EXPECT_EQ(alice.ssrcs[0].received.packets, 5u);
  EXPECT_EQ(alice.ssrcs[0].last_sequence, 5);
}

TEST_F(MediaTest, NamesTheSocketToSendFrom) {
  start();
  const Verdict media = to_alice_port(kAlice, rtp());
  EXPECT_EQ(media.out_stream, call().index_of(kBobId));
  EXPECT_EQ(media.out_component, ComponentKind::rtp);
  const Verdict control = to_alice_rtcp_port(kAliceRtcp, rtcp());
  EXPECT_EQ(control.out_stream, call().index_of(kBobId));
  EXPECT_EQ(control.out_component, ComponentKind::rtcp);
}

TEST_F(MediaTest, TakesBackWhatTheKernelRefused) {
  start();
  to_alice_port(kAlice, rtp());
  call().send_failed(*call().index_of(kBobId), ComponentKind::rtp, 172);
  EXPECT_EQ(state(kBobId).rtp.sent.packets, 0u);
  EXPECT_EQ(state(kBobId).rtp.sent.bytes, 0u);
  EXPECT_EQ(dropped(Drop::send_failed), 1u);
  call().send_failed(*call().index_of(kBobId), ComponentKind::rtp, 172);
  call().send_failed(77, ComponentKind::rtp, 172);
  EXPECT_EQ(state(kBobId).rtp.sent.packets, 0u) << "counters don't run below zero";
}

TEST_F(MediaTest, BridgesRtcpFromASharedPortToOneOfItsOwn) {
  alice().rtcp_mux = true;
  sockets[0].rtcp = {};
  sockets[0].advertised_rtcp = {};
  start();
  const Verdict down = to_alice_port(kAlice, rtcp());
  EXPECT_THAT(down, IsForwardedTo(kBobRtcp));
  EXPECT_EQ(down.out_component, ComponentKind::rtcp);
  const Verdict up = to_bob_rtcp_port(kBobRtcp, rtcp(0xb0b));
  EXPECT_THAT(up, IsForwardedTo(kAlice));
  EXPECT_EQ(up.out_component, ComponentKind::rtp);
  EXPECT_EQ(state(kAliceId).rtcp.remote, std::nullopt);
}

TEST_F(MediaTest, SharedPortsOnBothSidesStayShared) {
  alice().rtcp_mux = bob().rtcp_mux = true;
  sockets[0].rtcp = sockets[1].rtcp = {};
  start();
  EXPECT_THAT(to_alice_port(kAlice, rtcp()), IsForwardedTo(kBob));
  EXPECT_THAT(to_bob_port(kBob, rtcp()), IsForwardedTo(kAlice));
}

TEST_F(MediaTest, OnASharedPortRtcpFollowsRtp) {
  alice().rtcp_mux = true;
  sockets[0].rtcp = {};
  start();
  // A party that only listens shows itself by RTCP alone …
  const RemoteEndpoint mapped = remote("203.0.113.10:61000");
  EXPECT_THAT(to_alice_port(mapped, rtcp()), IsForwardedTo(kBobRtcp));
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsForwardedTo(mapped));
  // … until RTP says better, which RTCP can't undo.
  const RemoteEndpoint speaking = remote("203.0.113.10:61002");
  EXPECT_THAT(to_alice_port(speaking, rtp()), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(mapped, rtcp()), IsDroppedAs(Drop::ssrc_refused));
  EXPECT_THAT(to_bob_port(kBob, rtp({.sequence = 2})), IsForwardedTo(speaking));
}

TEST_F(MediaTest, RtcpWithoutASocketToLeaveByGoesNowhere) {
  sockets[1].rtcp = {};
  start();
  EXPECT_THAT(to_alice_rtcp_port(kAliceRtcp, rtcp()), IsDroppedAs(Drop::no_peer));
}

TEST_F(MediaTest, RtpOnAnRtcpPortIsUnexpected) {
  start();
  EXPECT_THAT(to_alice_rtcp_port(kAliceRtcp, rtp()), IsDroppedAs(Drop::unexpected_protocol));
}

TEST_F(MediaTest, NamesEveryOtherProtocolAsUnexpected) {
  start();
  for (const int first : {4, 16, 64, 80, 200}) {
    EXPECT_THAT(to_alice_port(kAlice, bytes({first, 0, 0, 0})),
                IsDroppedAs(Drop::unexpected_protocol));
  }
  EXPECT_EQ(dropped(Drop::unexpected_protocol), 5u);
}

TEST_F(MediaTest, NamesWhyThereIsNobodyToSendTo) {
  alice().forward_to = {};
  start();
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsDroppedAs(Drop::no_peer));
  alice().forward_to = kBobId;
  bob().remote_rtp.reset();
  update();
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsDroppedAs(Drop::peer_unknown));
  EXPECT_EQ(state(kAliceId).rtp.received.packets, 2u);
  EXPECT_EQ(state(kAliceId).rtp.dropped, 2u);
}

TEST_F(MediaTest, GarbageFromStrangersIsTheirsNotOurs) {
  start();
  for (const Packet& garbage : {Packet{}, bytes({0x80}), bytes({0, 1}), bytes({22})}) {
    EXPECT_THAT(to_alice_port(kMallory, garbage), IsDroppedAs(Drop::source_refused));
  }
}

TEST_F(MediaTest, ATruncatedDatagramIsNotForwarded) {
  start();
  EXPECT_THAT(receive(kAliceId, ComponentKind::rtp, kAlice, rtp(), true),
              IsDroppedAs(Drop::truncated));
}

TEST_F(MediaTest, ADatagramOfARemovedStreamFindsNoCall) {
  start();
  const std::uint16_t index = *call().index_of(kBobId);
  spec.streams.pop_back();
  sockets.pop_back();
  alice().forward_to = {};
  update();
  EXPECT_EQ(call().index_of(kBobId), std::nullopt);
  EXPECT_THAT(call().receive(index, ComponentKind::rtp, now, kBob, rtp(), false),
              IsDroppedAs(Drop::no_call));
  EXPECT_THAT(call().receive(999, ComponentKind::rtp, now, kBob, rtp(), false),
              IsDroppedAs(Drop::no_call));
}

TEST_F(MediaTest, AnIndexStaysWhileItsStreamLives) {
  start();
  const auto bobs = call().index_of(kBobId);
  // When a stream is added and the first one goes in the same step, then no place changes hands at
  // once.
  const StreamId carol{3};
  spec.streams[0] = {.id = carol, .remote_rtp = kAlice, .forward_to = kBobId};
  bob().forward_to = carol;
  update();
  EXPECT_EQ(call().index_of(kBobId), bobs);
  EXPECT_EQ(call().index_of(kAliceId), std::nullopt);
  EXPECT_EQ(call().index_of(carol), 2);
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsForwardedTo(kAlice));
  // A later one may have the hole, and begins from nothing.
  spec.streams.push_back({.id = StreamId{4}});
  sockets.push_back(sockets_at(30010));
  update();
  EXPECT_EQ(call().index_of(StreamId{4}), 0);
  EXPECT_EQ(state(StreamId{4}).rtp.received.packets, 0u);
}

TEST_F(MediaTest, BothForkedBranchesReachTheCaller) {
  const StreamId carol{3};
  const RemoteEndpoint carols = remote("192.0.2.30:7000");
  spec.streams.push_back({.id = carol, .remote_rtp = carols, .forward_to = kAliceId});
  sockets.push_back(sockets_at(30004));
  start();
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsForwardedTo(kAlice));
  EXPECT_THAT(receive(carol, ComponentKind::rtp, carols, rtp()), IsForwardedTo(kAlice));
  EXPECT_THAT(to_alice_port(kAlice, rtp()), IsForwardedTo(kBob));
  // When Carol answers, the caller's media goes to her.
  alice().forward_to = carol;
  update();
  EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 2})), IsForwardedTo(carols));
}

TEST_F(MediaTest, DtlsPassesWhereBothSidesWantIt) {
  start();
  EXPECT_THAT(to_alice_port(kAlice, dtls()), IsDroppedAs(Drop::unexpected_protocol));
  alice().pass_dtls = true;
  update();
  EXPECT_THAT(to_alice_port(kAlice, dtls()), IsDroppedAs(Drop::unexpected_protocol));
  bob().pass_dtls = true;
  update();
  EXPECT_THAT(to_alice_port(kAlice, dtls()), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kMallory, dtls()), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_rtcp_port(kAliceRtcp, dtls()), IsForwardedTo(kBobRtcp));
}

TEST_F(MediaTest, AHandshakeBehindNatLatchesUntilRtpComes) {
  // DTLS-SRTP has nothing else to open the way with.
  alice().pass_dtls = bob().pass_dtls = true;
  start();
  const RemoteEndpoint mapped = remote("203.0.113.10:61000");
  EXPECT_THAT(to_alice_port(mapped, dtls()), IsForwardedTo(kBob));
  EXPECT_THAT(to_bob_port(kBob, dtls()), IsForwardedTo(mapped));
}

TEST_F(MediaTest, StunOfThePartiesPassesWhereIceIsNotOurs) {
  start();
  const Packet theirs = check({.username = "b:a", .password = "not ours to know"});
  EXPECT_THAT(to_alice_port(kAlice, theirs), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kMallory, theirs), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_port(kAlice, bytes({0, 1, 0, 0})), IsDroppedAs(Drop::malformed_stun));
}

TEST_F(MediaTest, StunDoesNotPassIntoAnIceOfOurs) {
  bob().ice = IceSpec{.local_ufrag = "u", .local_pwd = "p"};
  start();
  EXPECT_THAT(to_alice_port(kAlice, check({.username = "b:a", .password = "x"})),
              IsDroppedAs(Drop::unexpected_protocol));
}

TEST_F(MediaTest, FaxPassesUnparsedAndLatchesBySourceAlone) {
  alice().opaque = bob().opaque = true;
  start();
  const RemoteEndpoint mapped = remote("203.0.113.10:61000");
  for (const int first : {0, 1, 22, 70, 128, 255}) {
    EXPECT_THAT(to_alice_port(mapped, bytes({first, 0, 1})), IsForwardedTo(kBob)) << first;
  }
  EXPECT_THAT(to_alice_port(kMallory, bytes({0, 1})), IsDroppedAs(Drop::source_refused));
  EXPECT_THAT(to_alice_port(remote("203.0.113.10:61002"), bytes({0, 1})),
              IsDroppedAs(Drop::ssrc_refused));
  EXPECT_THAT(to_bob_port(kBob, bytes({0, 0})), IsForwardedTo(mapped));
  alice().send = false;
  update();
  EXPECT_THAT(to_bob_port(kBob, bytes({0, 2})), IsDroppedAs(Drop::on_hold));
}

TEST_F(MediaTest, MoreSsrcsThanTheTableHoldsStillPass) {
  start();
  for (std::uint32_t ssrc = 0; ssrc < 100; ++ssrc) {
    EXPECT_THAT(to_alice_port(kAlice, rtp({.ssrc = ssrc})), IsForwardedTo(kBob));
  }
  EXPECT_EQ(state(kAliceId).ssrcs.size(), kMaxSsrcsPerStream);
  EXPECT_EQ(state(kAliceId).rtp.received.packets, 100u);
}

}  // namespace
}  // namespace rtpool::media::testing
