// Hold, and when a call's time is up.
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

class HoldTest : public CallTest {};

TEST_F(HoldTest, StopsMediaButNotRtcpAndKeepsTheLatch) {
  start();
  const RemoteEndpoint mapped = remote("203.0.113.10:61000");
  to_alice_port(mapped, rtp());
  alice().send = false;
  update();
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsDroppedAs(Drop::on_hold));
  EXPECT_THAT(to_bob_rtcp_port(kBobRtcp, rtcp()), IsForwardedTo(kAliceRtcp));
  EXPECT_THAT(to_alice_port(mapped, rtp({.sequence = 2})), IsForwardedTo(kBob));
  EXPECT_EQ(state(kBobId).rtp.received.packets, 1u) << "heard, though not passed on";
  alice().send = true;
  update();
  EXPECT_THAT(to_bob_port(kBob, rtp({.sequence = 2})), IsForwardedTo(mapped));
}

TEST_F(HoldTest, AnAddressWithdrawnForHoldKeepsTheLatch) {
  // Given a hold by 0.0.0.0: the remote endpoint is gone from the specification.
  start();
  const RemoteEndpoint mapped = remote("203.0.113.10:61000");
  to_alice_port(mapped, rtp());
  alice().remote_rtp.reset();
  alice().send = false;
  update();
  EXPECT_THAT(to_alice_port(mapped, rtp({.sequence = 2})), IsForwardedTo(kBob));
  EXPECT_THAT(to_alice_port(kMallory, rtp({.sequence = 3})), IsDroppedAs(Drop::source_refused));
  alice().remote_rtp = kAlice;
  alice().send = true;
  update();
  EXPECT_THAT(to_bob_port(kBob, rtp()), IsForwardedTo(mapped));
}

class ExpiryTest : public CallTest {
 protected:
  ExpiryTest() {
    spec.setup_timeout = 60s;
    spec.media_timeout = 30s;
    spec.max_duration = 1h;
  }
};

TEST_F(ExpiryTest, OfAnOfferThatNobodyAnswers) {
  spec.answered = false;
  start();
  wait(59s);
  EXPECT_EQ(call().expired(now), std::nullopt) << "silence while it rings is no media time-out";
  wait(1s);
  EXPECT_EQ(call().expired(now), EndReason::setup_timeout);
  spec.answered = true;
  update();
  EXPECT_EQ(call().expired(now), std::nullopt) << "answered in the last moment";
  wait(30s);
  EXPECT_EQ(call().expired(now), EndReason::media_timeout);
}

TEST_F(ExpiryTest, MediaOfEitherSideKeepsTheCall) {
  start();
  wait(29s);
  to_alice_port(kAlice, rtp());
  wait(29s);
  to_bob_port(kBob, rtp());
  wait(29s);
  EXPECT_EQ(call().expired(now), std::nullopt);
  wait(1s);
  EXPECT_EQ(call().expired(now), EndReason::media_timeout);
}

TEST_F(ExpiryTest, HoldDoesNotEndACallWhoseRtcpOrKeepalivesCome) {
  start();
  to_alice_port(kAlice, rtp());
  alice().send = bob().send = false;
  update();
  for (int i = 0; i < 10; ++i) {
    wait(20s);
    EXPECT_EQ(call().expired(now), std::nullopt);
    if (i % 3 == 0) to_alice_rtcp_port(kAliceRtcp, rtcp());
    if (i % 3 == 1) to_alice_port(kAlice, {});
    if (i % 3 == 2) {
      EXPECT_THAT(to_alice_port(kAlice, rtp({.sequence = 2})), IsDroppedAs(Drop::on_hold));
    }
  }
}

TEST_F(ExpiryTest, StrangersDoNotKeepACallAlive) {
  start();
  for (int i = 0; i < 30; ++i) {
    wait(1s);
    to_alice_port(kMallory, rtp());
    to_alice_port(kMallory, {});
    to_alice_port(kAlice, bytes({0x80, 0}));
  }
  EXPECT_EQ(call().expired(now), EndReason::media_timeout);
}

TEST_F(ExpiryTest, OfTheLongestCall) {
  start();
  for (int i = 0; i < 3600; ++i) {
    EXPECT_EQ(call().expired(now), std::nullopt);
    to_alice_port(kAlice, rtp({.sequence = static_cast<std::uint16_t>(i)}));
    wait(1s);
  }
  EXPECT_EQ(call().expired(now), EndReason::max_duration);
}

TEST_F(ExpiryTest, ZeroMeansNever) {
  spec.setup_timeout = spec.media_timeout = spec.max_duration = {};
  start();
  wait(std::chrono::hours(1000));
  EXPECT_EQ(call().expired(now), std::nullopt);
}

}  // namespace
}  // namespace rtpool::media::testing
