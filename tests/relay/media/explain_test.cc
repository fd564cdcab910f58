// What explain() says is what then happens, and saying it changes nothing.
#include "relay/media/explain.h"

#include <sstream>

#include "relay/base/random.h"
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

// Everything that can be seen of a call.
std::string seen(const CallState& state) {
  std::ostringstream out;
  const auto component = [&](const ComponentState& c) {
    out << c.local.to_string() << ' ' << (c.remote ? c.remote->to_string() : "-") << ' '
        << c.latched << ' ' << c.received.packets << '/' << c.received.bytes << ' '
        << c.sent.packets << '/' << c.sent.bytes << ' ' << c.dropped << ' '
        << c.last_packet.time_since_epoch().count() << '\n';
  };
  out << state.key << ' ' << state.revision << '\n';
  for (const StreamState& stream : state.streams) {
    component(stream.rtp);
    component(stream.rtcp);
    for (const SsrcState& ssrc : stream.ssrcs)
      out << ssrc.ssrc << ' ' << ssrc.received.packets << ' ' << ssrc.last_sequence << ' '
          << ssrc.lost << ' ' << ssrc.jitter << '\n';
  }
  for (const auto count : state.drops) out << count << ' ';
  return out.str();
}

class ExplainTest : public CallTest {
 protected:
  // At the port that faces Alice, RTP.
  Explanation at_alice(const RemoteEndpoint& source) {
    const std::string before = seen(call().state(now));
    const auto told = explain(call(), source, 30000, now);
    EXPECT_EQ(seen(call().state(now)), before) << "explaining changed the call";
    EXPECT_EQ(told.size(), 1U);
    return told.empty() ? Explanation{} : told.front();
  }
};

TEST_F(ExplainTest, APartyThatWasNotHeardYetWouldLatchAndReachTheOther) {
  start();
  const Explanation told = at_alice(kAlice);
  EXPECT_TRUE(told.outcome.forwarded);
  EXPECT_EQ(told.outcome.learned, Learned::latched);
  EXPECT_EQ(told.outcome.out_stream, kBobId);
  EXPECT_EQ(told.outcome.from.to_string(), "198.51.100.1:30002");
  EXPECT_EQ(told.outcome.to, kBob);
  EXPECT_FALSE(told.latched);
  EXPECT_FALSE(state(kAliceId).rtp.latched) << "the imagined packet must not latch";
}

TEST_F(ExplainTest, EveryComponentHasItsLine) {
  start();
  const auto told = explain(call(), kAlice, 0, now);
  ASSERT_EQ(told.size(), 4U);
  EXPECT_EQ(told[0].local.port, 30000);
  EXPECT_EQ(told[1].component, ComponentKind::rtcp);
  EXPECT_EQ(told[1].local.port, 30001);
  EXPECT_EQ(told[1].signalled, kAliceRtcp) << "RTCP is expected a port above (RFC 3605)";
  EXPECT_EQ(told[3].local.port, 30003);
  EXPECT_EQ(told[2].outcome.reason, Drop::source_refused) << "Alice is a stranger at Bob's port";
}

TEST_F(ExplainTest, AStrangerIsRefusedAndToldWhoWouldBeHeard) {
  start();
  to_alice_port(kAlice, rtp());
  const Explanation told = at_alice(kMallory);
  EXPECT_FALSE(told.outcome.forwarded);
  EXPECT_EQ(told.outcome.reason, Drop::source_refused);
  EXPECT_EQ(told.remote, kAlice);
  EXPECT_TRUE(told.latched);
  EXPECT_FALSE(told.continued.has_value());
}

TEST_F(ExplainTest, AnotherPortOfThePartyIsForeignUnlessItCarriesOn) {
  alice().sip_source = kAlice.address;
  start();
  to_alice_port(kAlice, rtp({.sequence = 10, .ssrc = 0xa11ce}));
  wait(20s);  // the learning window is over
  const RemoteEndpoint moved = remote("203.0.113.10:61777");
  const Explanation told = at_alice(moved);
  EXPECT_EQ(told.outcome.reason, Drop::ssrc_refused);
  ASSERT_TRUE(told.continued.has_value());
  EXPECT_EQ(told.continued_ssrc, 0xa11ceU);
  EXPECT_TRUE(told.continued->forwarded);
  EXPECT_EQ(told.continued->learned, Learned::moved);
  // And so it is.
  EXPECT_THAT(to_alice_port(moved, rtp({.sequence = 11, .ssrc = 0x666})),
              IsDroppedAs(Drop::ssrc_refused));
  EXPECT_THAT(to_alice_port(moved, rtp({.sequence = 11, .ssrc = 0xa11ce})), IsForwardedTo(kBob));
}

TEST_F(ExplainTest, SaysWhyNothingLeaves) {
  bob().send = false;
  start();
  EXPECT_EQ(at_alice(kAlice).outcome.reason, Drop::on_hold);
  bob().send = true;
  bob().remote_rtp.reset();
  update();
  EXPECT_EQ(at_alice(kAlice).outcome.reason, Drop::peer_unknown);
  alice().forward_to = StreamId{};
  update();
  EXPECT_EQ(at_alice(kAlice).outcome.reason, Drop::no_peer);
}

TEST_F(ExplainTest, MultiplexedRtcpArrivesAtTheRtpPort) {
  alice().rtcp_mux = true;
  sockets[0].rtcp = {};
  sockets[0].advertised_rtcp = {};
  start();
  const auto told = explain(call(), kAlice, 30000, now);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].component, ComponentKind::rtcp);
  EXPECT_EQ(told[1].local.port, 30000);
  EXPECT_TRUE(told[1].outcome.forwarded);
  EXPECT_EQ(told[1].outcome.to, kBobRtcp);
}

TEST_F(ExplainTest, WithIceOnlyCheckedSourcesAreHeardAndTheAgentsStateIsKept) {
  alice().ice = IceSpec{"here", "our-password-of-24-chars", "there", "their-password-24-chars-"};
  start();
  EXPECT_EQ(at_alice(kAlice).outcome.reason, Drop::source_refused);
  EXPECT_TRUE(at_alice(kAlice).ice);
  const Verdict answered = to_alice_port(kMallory, check({.username = "here:there",
                                                          .password = "our-password-of-24-chars",
                                                          .use_candidate = true}));
  ASSERT_EQ(answered.action, Action::reply);
  EXPECT_TRUE(at_alice(kMallory).outcome.forwarded);
  EXPECT_THAT(to_alice_port(kMallory, rtp()), IsForwardedTo(kBob));
}

TEST_F(ExplainTest, AnotherIpVersionOrPortHasNothingToSay) {
  start();
  EXPECT_TRUE(explain(call(), remote("[2001:db8::5]:4000"), 0, now).empty());
  EXPECT_TRUE(explain(call(), kAlice, 31000, now).empty());
  sockets[0].advertised_rtp.port = 55000;  // behind a NAT of its own
  update();
  ASSERT_EQ(explain(call(), kAlice, 55000, now).size(), 1U);
}

// Calls in states that nobody thought of: what is told is what the next packet meets, and a call
// that was explained goes on like its twin that was not.
TEST_F(ExplainTest, WhatIsToldIsWhatHappensWhateverCameBefore) {
  const std::vector<RemoteEndpoint> sources{kAlice,
                                            kAliceRtcp,
                                            kBob,
                                            kBobRtcp,
                                            kMallory,
                                            remote("203.0.113.10:61777"),
                                            remote("192.0.2.20:7777"),
                                            remote("198.51.100.77:4000")};
  int forwarded = 0, dropped = 0, learned = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    SCOPED_TRACE("seed " + std::to_string(seed));
    Scene told_scene, plain_scene;
    for (Scene* scene : {&told_scene, &plain_scene}) {
      scene->alice().latch = static_cast<LatchPolicy>(seed % 3);
      if (seed % 4 == 0) scene->alice().sip_source = ip("198.51.100.77");
      if (seed % 5 == 0) scene->bob().send = false;
      if (seed % 7 == 0) scene->bob().remote_rtp.reset();
      scene->start();
    }
    for (int step = 0; step < 60; ++step) {
      if (random.below(20) == 0) {
        for (Scene* scene : {&told_scene, &plain_scene}) {
          ++scene->alice().learn_epoch;
          scene->update();
        }
      }
      const auto pause = std::chrono::milliseconds(random.below(3000));
      told_scene.wait(pause);
      plain_scene.wait(pause);
      const auto& source = sources[random.below(static_cast<std::uint32_t>(sources.size()))];
      const auto all = explain(told_scene.call(), source, 0, told_scene.now);
      ASSERT_EQ(all.size(), 4U);
      const Explanation& told = all[random.below(4)];
      // Now and then the packet that was imagined, otherwise one of some party.
      const bool same = random.below(2) == 0;
      const std::uint32_t ssrc = same ? 1 : 0xa0 + random.below(3);
      const auto sequence = static_cast<std::uint16_t>(step + 1);
      const Packet packet = told.component == ComponentKind::rtp
                                ? rtp({.sequence = sequence, .ssrc = ssrc})
                                : rtcp(ssrc);
      const auto before = told_scene.state(told.stream);
      const bool known = std::any_of(before.ssrcs.begin(), before.ssrcs.end(),
                                     [](const SsrcState& heard) { return heard.ssrc == 1; });
      const Verdict verdict = told_scene.receive(told.stream, told.component, source, packet);
      const Verdict twin = plain_scene.receive(told.stream, told.component, source, packet);
      EXPECT_EQ(verdict.action, twin.action);
      EXPECT_EQ(verdict.reason, twin.reason);
      if (!same || known) continue;
      EXPECT_EQ(told.outcome.forwarded, verdict.action == Action::forward);
      EXPECT_EQ(told.outcome.reason, verdict.reason);
      if (told.outcome.forwarded) {
        EXPECT_EQ(told.outcome.to, *verdict.to);
      }
      ++(told.outcome.forwarded ? forwarded : dropped);
      if (told.outcome.learned != Learned::nothing) ++learned;
    }
    EXPECT_EQ(seen(told_scene.call().state(told_scene.now)),
              seen(plain_scene.call().state(plain_scene.now)));
  }
  EXPECT_GT(forwarded, 100);
  EXPECT_GT(dropped, 100);
  EXPECT_GT(learned, 50);
}

}  // namespace
}  // namespace rtpool::media::testing
