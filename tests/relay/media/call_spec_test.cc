#include "relay/media/call_spec.h"

#include <set>

#include "relay/media/target.h"
#include "tests/relay/media/scene.h"

namespace rtpool::media::testing {
namespace {

using ::testing::HasSubstr;

TEST(Target, RefusesAddressesThatAreNobodysMedia) {
  const IpAddress relay = ip("198.51.100.1");
  for (const char* bad : {"0.0.0.0:4000", "0.1.2.3:4000", "224.0.0.1:4000", "239.255.255.255:4000",
                          "255.255.255.255:4000", "169.254.1.1:4000", "127.0.0.1:4000",
                          "203.0.113.10:0", "[2001:db8::1]:4000"}) {
    EXPECT_FALSE(media_target_allowed(remote(bad), relay)) << bad;
  }
  const IpAddress relay6 = ip("2001:db8::ffff");
  for (const char* bad :
       {"[::]:4000", "[::1]:4000", "[ff02::1]:4000", "[fe80::1]:4000", "[::ffff:127.0.0.1]:4000",
        "[::ffff:0.0.0.0]:4000", "[::ffff:224.0.0.1]:4000", "[::ffff:203.0.113.10]:4000"}) {
    EXPECT_FALSE(media_target_allowed(remote(bad), relay6)) << bad;
  }
  EXPECT_TRUE(media_target_allowed(kAlice, relay));
  EXPECT_TRUE(media_target_allowed(remote("10.0.0.1:4000"), relay));
  EXPECT_TRUE(media_target_allowed(remote("[2001:db8::1]:4000"), relay6));
}

TEST(Target, AllowsLoopbackFromLoopback) {
  EXPECT_TRUE(media_target_allowed(remote("127.0.0.1:4000"), ip("127.0.0.1")));
  EXPECT_TRUE(media_target_allowed(remote("[::1]:4000"), ip("::1")));
}

class ValidateTest : public CallTest {};

TEST_F(ValidateTest, AcceptsAnOrdinaryCall) {
  EXPECT_EQ(validate(spec), "");
}

TEST_F(ValidateTest, SaysWhatIsWrongWithStreams) {
  const CallSpec good = spec;
  bob().id = kAliceId;
  EXPECT_THAT(validate(spec), HasSubstr("stream 1 appears twice"));
  spec = good;
  bob().id = {};
  alice().forward_to = {};
  EXPECT_THAT(validate(spec), HasSubstr("no id"));
  spec = good;
  bob().forward_to = StreamId{9};
  EXPECT_THAT(validate(spec), HasSubstr("stream 9"));
  spec = good;
  bob().forward_to = kBobId;
  EXPECT_THAT(validate(spec), HasSubstr("itself"));
  spec = good;
  for (std::uint32_t id = 3; id <= 65; ++id) spec.streams.push_back({.id = StreamId{id}});
  EXPECT_THAT(validate(spec), HasSubstr("more than 64"));
  spec = good;
  spec.key.clear();
  EXPECT_THAT(validate(spec), HasSubstr("no key"));
  spec = good;
  spec.key.assign(kMaxCallKeyBytes + 1, 'x');
  EXPECT_THAT(validate(spec), HasSubstr("too long"));
  spec = good;
  spec.media_timeout = -1s;
  EXPECT_THAT(validate(spec), HasSubstr("negative"));
}

TEST_F(ValidateTest, SaysWhichRemoteIsNoTarget) {
  for (const char* bad : {"0.0.0.0:4000", "224.0.0.1:4000", "255.255.255.255:4000",
                          "169.254.1.1:4000", "192.0.2.1:0", "[2001:db8::1]:4000"}) {
    alice().remote_rtp = remote(bad);
    EXPECT_THAT(validate(spec), HasSubstr("remote endpoint")) << bad;
    alice().remote_rtp = kAlice;
    alice().remote_rtcp = remote(bad);
    EXPECT_THAT(validate(spec), HasSubstr("stream 1")) << bad;
    alice().remote_rtcp.reset();
  }
  alice().remote_rtp = remote("127.0.0.1:4000");
  EXPECT_EQ(validate(spec), "") << "the engine knows whether the relay is on loopback itself";
}

TEST_F(ValidateTest, WantsIceCredentialsWithinBounds) {
  alice().ice = IceSpec{.local_ufrag = "", .local_pwd = "p"};
  EXPECT_THAT(validate(spec), HasSubstr("local part"));
  alice().ice =
      IceSpec{.local_ufrag = "u", .local_pwd = "p", .remote_ufrag = std::string(257, 'r')};
  EXPECT_THAT(validate(spec), HasSubstr("too long"));
  alice().ice = IceSpec{.local_ufrag = "u", .local_pwd = "p"};
  EXPECT_EQ(validate(spec), "");
}

TEST(Names, OfDropsAndEndsAreDistinct) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kDropReasons; ++i) names.insert(to_string(static_cast<Drop>(i)));
  EXPECT_EQ(names.size(), kDropReasons);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(to_string(Drop::source_refused), "source_refused");
  EXPECT_EQ(to_string(EndReason::media_timeout), "media_timeout");
}

}  // namespace
}  // namespace rtpool::media::testing
