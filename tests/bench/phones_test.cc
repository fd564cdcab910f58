// The measuring telephones must be right before what they measure can be: audio, SIP text, SDP, and
// the account of a direction when packets are lost, repeated, altered or come from elsewhere.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/call_run.h"
#include "bench/call_table.h"
#include "bench/net.h"

namespace rtpool::bench {
namespace {

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

TEST(Audio, EncodesByG711) {
  // Table 1a/G.711: the ends of segments, with even bits inverted.
  EXPECT_EQ(alaw_encode(0), 0xD5);
  EXPECT_EQ(alaw_encode(-1), 0x55);
  EXPECT_EQ(alaw_encode(32767), 0xAA);
  EXPECT_EQ(alaw_encode(-32768), 0x2A);
  EXPECT_EQ(alaw_encode(256), 0xC5);
}

TEST(Audio, EachOfItsPayloadsSoundsDifferent) {
  const Chirp chirp(300, 1500);
  for (std::size_t i = 0; i < kChirpFrames; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(std::ranges::equal(chirp.frame(i), chirp.frame(j))) << i << " and " << j;
    }
  }
}

TEST(SipMessage, ReadsWhatAProxyWrites) {
  const auto message = SipMessage::parse(
      "INVITE sip:bob@192.0.2.1 SIP/2.0\r\n"
      "v: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK2\r\n"
      "Record-Route: <sip:192.0.2.9;lr=on>,<sip:192.0.2.7:5080;lr>\r\n"
      "f: \"A, B\" <sip:a@192.0.2.8>;tag=x1\r\ni: c1\r\nCSeq: 7 INVITE\r\n"
      "Subject: one\r\n two\r\nl: 3\r\n\r\nsdp");
  ASSERT_TRUE(message);
  EXPECT_EQ(message->method, "INVITE");
  EXPECT_EQ(message->all("Via").size(), 2U);
  EXPECT_EQ(message->branch(), "z9hG4bK1");
  EXPECT_EQ(header_parameter(message->header("From"), "tag"), "x1");
  EXPECT_EQ(message->cseq_method(), "INVITE");
  EXPECT_EQ(message->body, "sdp");
  const auto routes = message->all("record-route");
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(uri_endpoint(header_uri(routes[0]))->to_string(), "192.0.2.9:5060");
  EXPECT_EQ(uri_endpoint(header_uri(routes[1]))->to_string(), "192.0.2.7:5080");
}

TEST(SipMessage, IsReadBackAsItWasWritten) {
  SipMessage message = SipMessage::request("BYE", "sip:b@192.0.2.1");
  message.add("Via", "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx;rport").add("CSeq", "2 BYE");
  const auto again = SipMessage::parse(message.to_text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->uri, "sip:b@192.0.2.1");
  EXPECT_EQ(header_parameter(again->header("Via"), "rport"), "");
  EXPECT_FALSE(header_parameter(again->header("Via"), "received"));
}

TEST(SipMessage, RefusesWhatIsNone) {
  for (const char* text :
       {"", "\r\n", "INVITE\r\n\r\n", "SIP/2.0 99 x\r\n\r\n",
        "INVITE sip:a SIP/2.0\r\nno colon\r\n\r\n", "SIP/2.0 200 OK\r\nA: b\r\n"}) {
    EXPECT_FALSE(SipMessage::parse(text)) << text;
  }
}

TEST(AudioTarget, IsWhereTheDescriptionSaysSo) {
  const auto target = audio_target(
      "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 30000 RTP/AVP 8\r\nc=IN IP4 "
      "192.0.2.2\r\na=rtcp:40000\r\n"
      "m=video 5000 RTP/AVP 96\r\nc=IN IP4 192.0.2.3\r\na=rtcp:5005\r\n");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->rtp.to_string(), "192.0.2.2:30000");
  EXPECT_EQ(target->rtcp.to_string(), "192.0.2.2:40000");
  EXPECT_FALSE(audio_target("c=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 8\r\n"));
  EXPECT_FALSE(audio_target("c=IN IP4 192.0.2.1\r\n"));
}

// Two telephones and a relay of the test's own between them, which can harm what it forwards.
class PhonesAndRelay : public testing::Test {
 protected:
  PhonesAndRelay() {
    a.set_peer(&b);
    b.set_peer(&a);
    EXPECT_GE(relay, 0);
    const Endpoint at{kLoopback, bound_port(relay)};
    a.set_remote(at, at);
    b.set_remote(at, at);
    a.start(Instant{});
  }
  ~PhonesAndRelay() override { close(relay); }

  // a sends packet number `n`; gives it.
  std::vector<std::byte> next(int n) {
    a.tick(Instant{} + n * kPacketInterval);
    std::array<std::byte, 2048> buffer;
    std::optional<Arrival> arrival;
    while (!(arrival = receive_datagram(relay, buffer))) std::this_thread::yield();
    return {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(arrival->bytes)};
  }
  void forward(const std::vector<std::byte>& packet) const {
    send_datagram(relay, packet, b.local_rtp());
  }
  Flow heard() {
    b.receive_rtp();
    return b.heard(Duration::zero());
  }

  Random random{1};
  Chirp low{300, 1500}, high{3000, 900};
  RtpPhone a{kLoopback, low, random}, b{kLoopback, high, random};
  int relay = open_udp_socket(kLoopback, 0);
};

TEST_F(PhonesAndRelay, AnUnharmedDirectionIsWhole) {
  for (int n = 0; n < 10; ++n) forward(next(n));
  const Flow flow = heard();
  EXPECT_EQ(flow.sent, 10U);
  EXPECT_EQ(flow.received, 10U);
  EXPECT_TRUE(flow.whole());
  EXPECT_EQ(flow.latencies_us.size(), 10U);
}

TEST_F(PhonesAndRelay, LossRepetitionAndDisorderAreCounted) {
  const auto first = next(0), second = next(1), third = next(2), fourth = next(3);
  forward(first);
  forward(third);
  forward(second);
  forward(second);
  const Flow flow = heard();
  EXPECT_EQ(flow.received, 3U);
  EXPECT_EQ(flow.lost, 1U);  // the fourth
  EXPECT_EQ(flow.reordered, 1U);
  EXPECT_EQ(flow.duplicated, 1U);
  EXPECT_FALSE(flow.whole());
}

TEST_F(PhonesAndRelay, OtherAudioAndOtherSourcesAreNoticed) {
  auto altered = next(0);
  altered.back() ^= std::byte{1};
  forward(altered);
  auto foreign = next(1);
  foreign[8] ^= std::byte{1};  // another SSRC
  forward(foreign);
  auto invented = next(2);
  invented[2] ^= std::byte{0x10};  // the right SSRC with a number that was never sent
  forward(invented);
  const int stranger = open_udp_socket(kLoopback, 0);
  send_datagram(stranger, next(3), b.local_rtp());
  close(stranger);
  const Flow flow = heard();
  EXPECT_EQ(flow.altered, 1U);
  EXPECT_EQ(flow.foreign, 2U);
  EXPECT_EQ(flow.elsewhere, 1U);
  EXPECT_EQ(flow.around, 0U);
}

TEST_F(PhonesAndRelay, MediaPastTheRelayIsNoticed) {
  a.set_remote(b.local_rtp(), b.local_rtcp());
  a.tick(Instant{});
  EXPECT_EQ(heard().around, 1U);
}

TEST(Verdict, NamesTheFirstThingThatIsNotWell) {
  Flow good;
  good.sent = good.received = 100;
  Flow bad = good;
  bad.lost = 3;
  RunReport report;
  report.calls.push_back({CallPhase::over, "", 1, good, good});
  EXPECT_TRUE(report.whole());
  EXPECT_EQ(verdict(report).substr(0, 24), "every one of 200 packets");
  report.calls[0].backward = bad;
  EXPECT_FALSE(report.whole());
  EXPECT_EQ(verdict(report), "callee to caller: 3 packets were lost");
  EXPECT_EQ(call_json({}, report)["totals"][1]["lost"], 3);
}

TEST(CallTable, HasAsManyLinesForEachReportOfARun) {
  RunReport waiting;
  waiting.calls.resize(1);
  RunReport talking = waiting;
  talking.calls[0].phase = CallPhase::talking;
  talking.calls[0].forward.latencies_us = {100, 200, 300};
  const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  EXPECT_EQ(lines(call_table({}, waiting, {})), lines(call_table({}, talking, {.colour = true})));
}

}  // namespace
}  // namespace rtpool::bench
