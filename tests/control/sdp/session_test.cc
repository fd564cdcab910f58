#include "control/sdp/session.h"

#include <gtest/gtest.h>

#include "tests/control/sdp/support.h"

namespace rtpool::sdp {
namespace {

TEST(Session, KeepsEveryByteAndItsLineEnds) {
  // Given lines that end in different ways, and more text behind a blank line
  const std::string text =
      "v=0\r\no=- 1 1 IN IP4 192.0.2.1\ns=x \r\nc=IN IP4 192.0.2.1\r\nt=0 0\nm=audio 5000 RTP/AVP "
      "0\r\n\r\nmore\n";
  const Session session = parsed(text);
  // Then the lines put together are the text
  std::string together;
  for (const Line& line : session.lines()) {
    together += line.text;
    together += line.end;
  }
  EXPECT_EQ(together + std::string(session.tail()), text);
  EXPECT_EQ(session.line_end(), "\r\n");
  EXPECT_EQ(session.tail(), "\r\nmore\n");
  EXPECT_EQ(parsed("v=0\ns=-\n").line_end(), "\n");
}

TEST(Session, ViewsSurviveAMove) {
  Session first = parsed(description({"m=audio 5000 RTP/AVP 0"}));
  const Session second = std::move(first);
  EXPECT_EQ(second.media()[0].type, "audio");
  EXPECT_EQ(second.text().substr(0, 3), "v=0");
}

TEST(Session, AMediaSectionFallsBackOnTheSession) {
  const Session session = parsed(lines(
      {"v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", "a=recvonly",
       "a=ice-ufrag:sess", "a=ice-pwd:pwd", "a=fingerprint:sha-256 AA", "a=group:BUNDLE one two",
       "m=audio 5000 RTP/AVP 0", "a=mid:one", "m=video 5002 RTP/AVP 34", "c=IN IP6 2001:db8::9",
       "a=sendonly", "a=ice-ufrag:own", "a=mid:three"}));
  const Media& audio = session.media()[0];
  EXPECT_EQ(audio.address, IpAddress::v4(192, 0, 2, 1));
  EXPECT_EQ(audio.direction, Direction::recvonly);
  EXPECT_EQ(audio.ice.ufrag, "sess");
  EXPECT_EQ(audio.fingerprint, "sha-256 AA");
  EXPECT_TRUE(audio.bundled);
  const Media& video = session.media()[1];
  EXPECT_EQ(video.address, IpAddress::parse("2001:db8::9"));
  EXPECT_EQ(video.direction, Direction::sendonly);
  EXPECT_EQ(video.ice.ufrag, "own");
  EXPECT_FALSE(video.bundled);
}

TEST(Session, KnowsWhereRtcpGoes) {
  const auto rtcp_of = [](std::initializer_list<std::string_view> media) {
    return parsed(description(media)).media()[0].remote_rtcp();
  };
  const IpAddress session_address = IpAddress::v4(192, 0, 2, 1);
  // By default to the next port; by a=rtcp elsewhere; with rtcp-mux to the RTP port
  EXPECT_EQ(rtcp_of({"m=audio 5000 RTP/AVP 0"}), (RemoteEndpoint{{session_address, 5001}}));
  EXPECT_EQ(rtcp_of({"m=audio 5000 RTP/AVP 0", "a=rtcp:7000 IN IP4 192.0.2.7"}),
            (RemoteEndpoint{{IpAddress::v4(192, 0, 2, 7), 7000}}));
  EXPECT_EQ(rtcp_of({"m=audio 5000 RTP/AVP 0", "a=rtcp:7000"}),
            (RemoteEndpoint{{session_address, 7000}}));
  EXPECT_EQ(rtcp_of({"m=audio 5000 RTP/AVP 0", "a=rtcp-mux", "a=rtcp:7000"}),
            (RemoteEndpoint{{session_address, 5000}}));
  // Nowhere past the last port, and not for fax
  EXPECT_EQ(rtcp_of({"m=audio 65535 RTP/AVP 0"}), std::nullopt);
  EXPECT_EQ(rtcp_of({"m=image 5000 udptl t38"}), std::nullopt);
}

TEST(Session, AnRtcpAttributeWithTheRtpPortMeansMux) {
  EXPECT_TRUE(parsed(description({"m=audio 5000 RTP/AVP 0", "a=rtcp:5000"})).media()[0].rtcp_mux);
  EXPECT_FALSE(parsed(description({"m=audio 5000 RTP/AVP 0", "a=rtcp:5001"})).media()[0].rtcp_mux);
}

TEST(Session, TellsHoldFromATricklingAgent) {
  const Session hold = parsed(description({"m=audio 5000 RTP/AVP 0", "c=IN IP4 0.0.0.0"}));
  EXPECT_TRUE(hold.media()[0].zero_address());
  EXPECT_FALSE(hold.media()[0].wants_media());
  EXPECT_EQ(hold.media()[0].remote_rtp(), std::nullopt);
  const Session trickle = parsed(description(
      {"m=audio 9 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:u", "a=ice-pwd:p", "a=rtcp:9"}));
  EXPECT_FALSE(trickle.media()[0].zero_address());
  EXPECT_TRUE(trickle.media()[0].ice.trickle);
  EXPECT_FALSE(trickle.media()[0].rtcp_mux);
  EXPECT_TRUE(trickle.media()[0].wants_media());
  // The other forms of hold
  const auto wants = [](std::string_view direction) {
    return parsed(description({"m=audio 5000 RTP/AVP 0", direction})).media()[0].wants_media();
  };
  EXPECT_TRUE(wants("a=sendrecv"));
  EXPECT_TRUE(wants("a=recvonly"));
  EXPECT_FALSE(wants("a=sendonly"));
  EXPECT_FALSE(wants("a=inactive"));
}

TEST(Session, ReadsCodecsWithTheirAttributes) {
  const Session session = parsed(description(
      {"m=video 5000 RTP/AVPF 96 34 77", "a=rtpmap:96 VP8/90000", "a=fmtp:96 max-fr=30",
       "a=fmtp:96 max-fs=3600", "a=rtcp-fb:96 nack", "a=rtcp-fb:* ccm fir", "a=fmtp:xx y"}));
  const auto& codecs = session.media()[0].codecs;
  ASSERT_EQ(codecs.size(), 3u);
  EXPECT_EQ(codecs[0].encoding, "VP8/90000");
  EXPECT_EQ(codecs[0].fmtp, (std::vector<std::string_view>{"max-fr=30", "max-fs=3600"}));
  EXPECT_EQ(codecs[0].feedback, (std::vector<std::string_view>{"nack"}));
  EXPECT_EQ(codecs[1].encoding, "H263/90000");
  EXPECT_EQ(codecs[2].encoding, "");
}

TEST(Session, ReadsCandidatesThatAreAddresses) {
  const Session session =
      parsed(description({"m=audio 5000 RTP/AVP 0", "a=ice-ufrag:u", "a=ice-pwd:p",
                          "a=candidate:1 1 UDP 2130706431 192.0.2.4 5000 typ host generation 0",
                          "a=candidate:2 2 tcp 99 2001:db8::4 9 typ host tcptype active",
                          "a=candidate:3 1 udp 99 0c1f.local 5000 typ host", "a=candidate:nonsense",
                          "a=end-of-candidates"}));
  const IceDescription& ice = session.media()[0].ice;
  ASSERT_EQ(ice.candidates.size(), 2u);
  EXPECT_EQ(ice.candidates[0].endpoint, (Endpoint{IpAddress::v4(192, 0, 2, 4), 5000}));
  EXPECT_EQ(ice.candidates[0].priority, 2130706431u);
  EXPECT_FALSE(ice.candidates[1].udp);
  EXPECT_TRUE(ice.end_of_candidates);
}

TEST(Session, ClassifiesProtocols) {
  const auto protocol = [](std::string_view line) {
    return parsed(description({line})).media()[0].protocol;
  };
  EXPECT_EQ(protocol("m=audio 5000 RTP/AVP 0"), Protocol::rtp_avp);
  EXPECT_EQ(protocol("m=audio 5000 rtp/savpf 0"), Protocol::rtp_savpf);
  EXPECT_EQ(protocol("m=audio 5000 UDP/TLS/RTP/SAVPF 0"), Protocol::udp_tls_rtp_savpf);
  EXPECT_EQ(protocol("m=image 5000 UDPTL t38"), Protocol::udptl);
  EXPECT_EQ(protocol("m=application 5000 UDP/DTLS/SCTP webrtc-datachannel"), Protocol::dtls_sctp);
  EXPECT_EQ(protocol("m=application 5000 UDP/BFCP *"), Protocol::other_udp);
  EXPECT_EQ(protocol("m=message 5000 TCP/MSRP *"), Protocol::other);
  EXPECT_FALSE(parsed(description({"m=message 5000 TCP/MSRP *"})).media()[0].relayed());
}

struct BadCase {
  const char* what;
  std::string text;
  Errc errc;
};

TEST(Session, RefusesWhatIsNotSdp) {
  const std::string many_formats = [] {
    std::string line = "m=audio 5000 RTP/AVP";
    for (int i = 0; i < 200; ++i) line += " 0";
    return line;
  }();
  std::string many_media = description({});
  for (int i = 0; i < 65; ++i) many_media += "m=audio 5000 RTP/AVP 0\r\n";
  std::string many_lines = description({});
  for (int i = 0; i < 5000; ++i) many_lines += "a=x\r\n";
  const BadCase cases[] = {
      {"nothing", "", Errc::malformed},
      {"no v=", "s=-\r\n", Errc::malformed},
      {"a second v=", lines({"v=0", "v=0"}), Errc::malformed},
      {"no =", lines({"v=0", "hello"}), Errc::malformed},
      {"an unknown type", lines({"v=0", "q=1"}), Errc::malformed},
      {"NUL", std::string("v=0\r\ns=\0\r\n", 10), Errc::malformed},
      {"an incomplete o=", lines({"v=0", "o=- 1 1 IN"}), Errc::malformed},
      {"o= in a section", description({"m=audio 5000 RTP/AVP 0", "o=- 1 1 IN IP4 192.0.2.1"}),
       Errc::malformed},
      {"two session c=", description({"c=IN IP4 192.0.2.2"}), Errc::malformed},
      {"a port too high", description({"m=audio 65536 RTP/AVP 0"}), Errc::malformed},
      {"a negative port", description({"m=audio -1 RTP/AVP 0"}), Errc::malformed},
      {"no protocol", description({"m=audio 5000"}), Errc::malformed},
      {"a payload type too high", description({"m=audio 5000 RTP/AVP 128"}), Errc::malformed},
      {"port count 0", description({"m=audio 5000/0 RTP/AVP 0"}), Errc::malformed},
      {"address of another family", description({"m=audio 5000 RTP/AVP 0", "c=IN IP6 192.0.2.1"}),
       Errc::malformed},
      {"a bad a=rtcp", description({"m=audio 5000 RTP/AVP 0", "a=rtcp:x"}), Errc::malformed},
      {"no address", lines({"v=0", "m=audio 5000 RTP/AVP 0"}), Errc::malformed},
      {"a host name", description({"m=audio 5000 RTP/AVP 0", "c=IN IP4 phone.example.com"}),
       Errc::unresolved_address},
      {"too many bytes", std::string(65537, 'v'), Errc::too_large},
      {"a long line", description({"a=" + std::string(9000, 'x')}), Errc::too_large},
      {"many lines", many_lines, Errc::too_large},
      {"many sections", many_media, Errc::too_large},
      {"many formats", description({many_formats}), Errc::too_large},
  };
  for (const BadCase& bad : cases) {
    const auto session = parse(bad.text);
    ASSERT_FALSE(session.has_value()) << bad.what;
    EXPECT_EQ(session.error().code, make_error_code(bad.errc))
        << bad.what << ": " << session.error().message();
  }
}

TEST(Session, SaysWhichLineIsWrong) {
  const auto session = parse(description({"m=audio 5000 RTP/AVP 0", "a=rtcp:x"}));
  ASSERT_FALSE(session.has_value());
  EXPECT_EQ(session.error().message(), "malformed SDP: line 7: port of a=rtcp is not a port");
}

TEST(Session, AHostNameIsNoMatterWhereNothingIsRelayed) {
  const Session session = parsed(description(
      {"m=audio 0 RTP/AVP 0", "m=message 5000 TCP/MSRP *", "c=IN IP4 msrp.example.com"}));
  EXPECT_EQ(session.media()[1].address, std::nullopt);
}

}  // namespace
}  // namespace rtpool::sdp
