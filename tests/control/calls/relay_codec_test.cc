// What a controller sends is what a relay gets; what no controller would send is refused.
#include "control/calls/relay_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

media::CallSpec full_spec() {
  media::CallSpec spec;
  spec.key = "call\xff@example";  // not UTF-8, as some phones send it
  spec.revision = 7;
  spec.answered = true;
  spec.setup_timeout = 30s;
  spec.media_timeout = 60s;
  spec.max_duration = 1h;
  media::StreamSpec a;
  a.id = media::StreamId{1};
  a.interface = "internal";
  a.rtcp_mux = true;
  a.remote_rtp = RemoteEndpoint{{IpAddress::v4(203, 0, 113, 1), 4000}};
  a.sip_source = IpAddress::v4(203, 0, 113, 9);
  a.forward_to = media::StreamId{2};
  a.send = false;
  a.latch = media::LatchPolicy::any;
  a.learn_epoch = 3;
  a.pass_dtls = true;
  a.tos = 184;
  a.ice = media::IceSpec{"uf", "pw", "ruf", "rpw"};
  media::StreamSpec b;
  b.id = media::StreamId{2};
  b.family = IpFamily::v6;
  b.opaque = true;
  b.remote_rtp = RemoteEndpoint{{*IpAddress::parse("2001:db8::1"), 5000}};
  b.remote_rtcp = RemoteEndpoint{{*IpAddress::parse("2001:db8::1"), 5001}};
  spec.streams = {a, b};
  return spec;
}

TEST(RelayCodec, a_specification_survives_the_way) {
  relay::v1::CallSpec wire;
  encode(full_spec(), wire);
  const auto back = decode(wire);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, full_spec());
}

TEST(RelayCodec, a_state_survives_the_way_with_its_ages) {
  media::CallState state;
  state.key = "k";
  state.revision = 2;
  state.created = Instant{10s};
  state.observed = Instant{25s};
  media::StreamState stream;
  stream.id = media::StreamId{4};
  stream.rtp.local = {{IpAddress::v4(192, 0, 2, 1), 30000}};
  stream.rtp.remote = RemoteEndpoint{{IpAddress::v4(203, 0, 113, 1), 4000}};
  stream.rtp.latched = true;
  stream.rtp.received = {10, 1720};
  stream.rtp.last_packet = Instant{24s};
  stream.ssrcs.push_back(
      {.ssrc = 0xdeadbeef, .received = {10, 1720}, .lost = -1, .last_packet = Instant{24s}});
  state.streams = {stream};
  state.drops[3] = 5;
  relay::v1::CallState wire;
  encode(state, wire);
  const auto back = decode(wire, Instant{1000s});
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->observed - back->created, 15s);
  EXPECT_EQ(back->observed - back->streams[0].rtp.last_packet, 1s);
  EXPECT_EQ(back->streams[0].rtcp.last_packet, Instant{});
  EXPECT_EQ(back->streams[0].rtp.remote, stream.rtp.remote);
  EXPECT_EQ(back->streams[0].ssrcs[0].ssrc, 0xdeadbeefU);
  EXPECT_EQ(back->streams[0].ssrcs[0].lost, -1);
  EXPECT_EQ(back->drops[3], 5U);
}

TEST(RelayCodec, what_no_specification_can_hold_is_refused_with_its_field) {
  const auto refusal = [](auto change) {
    relay::v1::CallSpec wire;
    encode(full_spec(), wire);
    change(wire);
    const auto back = decode(wire);
    return back ? std::string("accepted") : back.error().message();
  };
  EXPECT_THAT(refusal([](auto& w) { w.set_key(std::string(2000, 'k')); }), HasSubstr("key"));
  EXPECT_THAT(refusal([](auto& w) { w.clear_key(); }), HasSubstr("key"));
  EXPECT_THAT(
      refusal([](auto& w) { w.mutable_streams(0)->mutable_remote_rtp()->set_address("abc"); }),
      HasSubstr("stream 1: remote_rtp"));
  EXPECT_THAT(refusal([](auto& w) { w.mutable_streams(1)->mutable_remote_rtp()->set_port(70000); }),
              HasSubstr("stream 2: remote_rtp"));
  EXPECT_THAT(refusal([](auto& w) { w.mutable_streams(0)->set_tos(256); }), HasSubstr("tos"));
  EXPECT_THAT(refusal([](auto& w) { w.mutable_streams(0)->set_sip_source("12345"); }),
              HasSubstr("sip_source"));
  EXPECT_THAT(refusal([](auto& w) { w.set_max_duration_ms(~0ULL); }), HasSubstr("time-outs"));
  EXPECT_THAT(refusal([](auto& w) {
                for (int i = 0; i < 100; ++i)
                  w.add_streams()->set_id(static_cast<std::uint32_t>(i + 10));
              }),
              HasSubstr("streams"));
  EXPECT_THAT(refusal([](auto& w) {
                w.mutable_streams(0)->mutable_ice()->set_local_pwd(std::string(300, 'p'));
              }),
              HasSubstr("ice"));
}

}  // namespace
}  // namespace rtpool::control
