#include <gtest/gtest.h>

#include "tests/control/sdp/support.h"

namespace rtpool::sdp {
namespace {

const std::string kPlain = description({"m=audio 5000 RTP/AVP 8"});
const std::string kMux = description({"m=audio 5000 RTP/AVP 8", "a=rtcp-mux"});
const std::string kIce = description(
    {"m=audio 5000 RTP/AVP 8", "a=ice-ufrag:theirs", "a=ice-pwd:theirstheirstheirstheirs"});

// What the offerer and the answerer end up with. Each row is an offer with options, and an answer.
struct MuxCase {
  const char* story;
  bool offered;
  const char* option;  // of rtcp-mux; "" for none
  bool forwarded;      // rtcp-mux in the offer to the callee
  bool fallback;       // with a port to fall back on
  bool answered;
  bool caller_muxes;  // and in the answer to the caller
};

TEST(Negotiation, DecidesRtcpMuxForEachSide) {
  const MuxCase cases[] = {
      {"nobody asks", false, "", false, true, false, false},
      {"the client's wish goes through", true, "", true, true, true, true},
      {"so does the callee's refusal", true, "", true, true, false, false},
      {"demux: ours alone with the caller", true, "demux", false, true, false, true},
      {"require: no fallback, and only with the callee", false, "require", true, false, true,
       false},
      {"offer: ours, with fallback", false, "offer", true, true, true, false},
      {"accept: whatever the callee says", true, "accept", true, true, false, true},
      {"reject: whatever the callee says", true, "reject", true, true, true, false},
      {"an answer can't bring it in", false, "", false, true, true, false},
  };
  for (const MuxCase& c : cases) {
    SCOPED_TRACE(c.story);
    Dialogue dialogue;
    Options options;
    if (*c.option != '\0') {
      ASSERT_TRUE(take_word(options, "rtcp-mux", c.option));
    }
    const auto offer = dialogue.offer(c.offered ? kMux : kPlain, options);
    ASSERT_TRUE(offer.has_value());
    EXPECT_EQ(has_line(*offer, "a=rtcp-mux"), c.forwarded);
    EXPECT_EQ(has_line(*offer, "a=rtcp:30001"), c.fallback);
    EXPECT_EQ(dialogue.plan.media[0].recipient.rtcp, c.fallback);
    const auto answer = dialogue.answer(c.answered ? kMux : kPlain);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(has_line(*answer, "a=rtcp-mux"), c.caller_muxes);
    EXPECT_EQ(dialogue.plan.media[0].recipient.rtcp_mux, c.caller_muxes);
    EXPECT_EQ(dialogue.plan.media[0].recipient.rtcp, !c.caller_muxes);
    EXPECT_EQ(has_line(*answer, c.caller_muxes ? "a=rtcp:30000" : "a=rtcp:30001"), true);
  }
}

TEST(Negotiation, KeepsRtcpMuxWithoutFallbackOnceInUse) {
  // Given a call with rtcp-mux on both sides
  Dialogue dialogue;
  ASSERT_TRUE(dialogue.offer(kMux).has_value());
  ASSERT_TRUE(dialogue.answer(kMux).has_value());
  // When the caller sends a re-INVITE
  const auto offer = dialogue.offer(kMux);
  // Then the callee is offered nothing but rtcp-mux: the second port is gone
  EXPECT_TRUE(has_line(*offer, "a=rtcp:30000"));
  EXPECT_FALSE(dialogue.plan.media[0].recipient.rtcp);
}

TEST(Negotiation, DoesIceWhereItIsWanted) {
  struct IceCase {
    const char* story;
    bool offered;
    IceMode mode;
    bool towards_callee;
    bool caller_in_answer;  // with the key on the offer only
  };
  const IceCase cases[] = {
      {"as offered: none", false, IceMode::as_offered, false, false},
      {"as offered: both", true, IceMode::as_offered, true, true},
      {"removed towards the callee, kept with the caller", true, IceMode::remove, false, true},
      {"made towards the callee", false, IceMode::force, true, false},
      {"force on both", true, IceMode::force, true, true},
      {"optional makes it", false, IceMode::optional, true, false},
      {"optional ends it here", true, IceMode::optional, true, true},
      {"force-relay ends it here", true, IceMode::force_relay, true, true},
  };
  for (const IceCase& c : cases) {
    SCOPED_TRACE(c.story);
    Dialogue dialogue;
    Options options;
    options.ice = c.mode;
    const auto offer = dialogue.offer(c.offered ? kIce : kPlain, options);
    ASSERT_TRUE(offer.has_value());
    EXPECT_EQ(dialogue.plan.media[0].recipient.ice, c.towards_callee);
    EXPECT_EQ(dialogue.plan.media[0].sender.ice, c.offered);
    EXPECT_EQ(has_line(*offer, "a=ice-ufrag:ours"), c.towards_callee);
    EXPECT_EQ(offer->find("theirs"), std::string::npos)
        << "their credentials are not for the other side";
    const auto answer = dialogue.answer(c.towards_callee ? kIce : kPlain);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(has_line(*answer, "a=ice-ufrag:ours"), c.caller_in_answer);
  }
}

TEST(Negotiation, RefusesToTakeSrtpApart) {
  const std::string sdes =
      description({"m=audio 5000 RTP/SAVP 8",
                   "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewky"});
  const std::string dtls = description(
      {"m=audio 5000 UDP/TLS/RTP/SAVPF 8", "a=fingerprint:sha-256 AA", "a=setup:actpass"});
  struct ProtocolCase {
    const std::string& offer;
    Protocol wanted;
    bool refused;
  };
  const ProtocolCase cases[] = {
      {kPlain, Protocol::rtp_avpf, false},
      {kPlain, Protocol::rtp_savp, true},
      {kPlain, Protocol::udp_tls_rtp_savpf, true},
      {sdes, Protocol::rtp_savpf, false},
      {sdes, Protocol::rtp_avp, true},
      {sdes, Protocol::udp_tls_rtp_savpf, true},
      {dtls, Protocol::udp_tls_rtp_savp, false},
      {dtls, Protocol::rtp_avp, true},
      {dtls, Protocol::rtp_savp, true},
  };
  for (const ProtocolCase& c : cases) {
    Dialogue dialogue;
    Options options;
    options.protocol = c.wanted;
    const auto offer = dialogue.offer(c.offer, options);
    ASSERT_EQ(offer.has_value(), !c.refused) << c.offer << to_string(c.wanted);
    if (c.refused) {
      EXPECT_EQ(offer.error().code, make_error_code(Errc::needs_srtp));
      EXPECT_EQ(dialogue.callee, Party()) << "a refused offer leaves nothing behind";
      EXPECT_EQ(dialogue.caller, Party());
    } else {
      EXPECT_NE(offer->find(std::string(to_string(c.wanted)) + " 8\r\n"), std::string::npos);
    }
  }
}

TEST(Negotiation, KeysPassEndToEnd) {
  Dialogue dialogue;
  const auto offer = dialogue.offer(description(
      {"m=audio 5000 UDP/TLS/RTP/SAVPF 8", "a=setup:actpass", "a=fingerprint:sha-256 AA:BB",
       "a=tls-id:1", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc"}));
  ASSERT_TRUE(offer.has_value());
  for (const char* line : {"a=setup:actpass", "a=fingerprint:sha-256 AA:BB", "a=tls-id:1",
                           "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc"}) {
    EXPECT_TRUE(has_line(*offer, line)) << line;
  }
  EXPECT_TRUE(dialogue.plan.media[0].recipient.dtls);
}

TEST(Negotiation, AnAnswerSpeaksTheProtocolOfItsOffer) {
  Dialogue dialogue;
  Options options;
  options.protocol = Protocol::rtp_avpf;
  ASSERT_TRUE(dialogue.offer(kPlain, options).has_value());
  const auto answer = dialogue.answer(description({"m=audio 6000 RTP/AVPF 8"}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(has_line(*answer, "m=audio 30000 RTP/AVP 8"));
}

TEST(Negotiation, AnAnswerMustFitItsOffer) {
  Dialogue dialogue;
  ASSERT_TRUE(dialogue.offer(kPlain).has_value());
  const auto answer =
      dialogue.answer(description({"m=audio 6000 RTP/AVP 8", "m=video 6002 RTP/AVP 34"}));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, make_error_code(Errc::media_mismatch));
}

TEST(Negotiation, LeavesOutCodecsByRule) {
  const std::string offer =
      description({"m=audio 5000 RTP/AVP 96 18 8 0 101", "a=rtpmap:96 opus/48000/2",
                   "a=fmtp:96 useinbandfec=1", "a=rtpmap:101 telephone-event/8000"});
  const auto formats = [&](CodecRules rules) {
    Dialogue dialogue;
    Options options;
    options.codec = std::move(rules);
    const auto text = dialogue.offer(offer, options);
    const std::size_t at = text->find("RTP/AVP ") + 8;
    return text->substr(at, text->find("\r\n", at) - at);
  };
  EXPECT_EQ(formats({.strip = {"opus", "g729"}, .except = {}, .offer = {}}), "8 0 101");
  EXPECT_EQ(formats({.strip = {"opus/48000/2"}, .except = {}, .offer = {}}), "18 8 0 101");
  EXPECT_EQ(formats({.strip = {"opus/16000"}, .except = {}, .offer = {}}), "96 18 8 0 101");
  EXPECT_EQ(formats({.strip = {"all"}, .except = {"PCMA", "telephone-event"}, .offer = {}}),
            "8 101");
  EXPECT_EQ(formats({.strip = {"all"}, .except = {}, .offer = {"PCMU", "PCMA"}}), "0 8");
  EXPECT_EQ(formats({.strip = {"all"}, .except = {}, .offer = {}}), "96 18 8 0 101")
      << "never none at all";
}

TEST(Negotiation, AnAnswerBringsInNoCodecThatWasNotOffered) {
  Dialogue dialogue;
  ASSERT_TRUE(dialogue.offer(description({"m=audio 5000 RTP/AVP 8 0"})).has_value());
  // A provisional answer with fewer does not narrow the final one
  EXPECT_TRUE(has_line(*dialogue.answer(description({"m=audio 6000 RTP/AVP 8 3"})),
                       "m=audio 30000 RTP/AVP 8"));
  EXPECT_TRUE(has_line(*dialogue.answer(description({"m=audio 6000 RTP/AVP 0 8"})),
                       "m=audio 30000 RTP/AVP 0 8"));
}

TEST(Negotiation, ChoosesTheFamilyTowardsTheRecipient) {
  Dialogue dialogue;
  Options options;
  ASSERT_TRUE(take_word(options, "address-family", "IP6"));
  const auto offer = dialogue.offer(kPlain, options);
  EXPECT_TRUE(has_line(*offer, "c=IN IP6 2001:db8::1"));
  EXPECT_EQ(dialogue.plan.media[0].sender.family, IpFamily::v4);
  const auto answer =
      dialogue.answer(lines({"v=0", "o=- 1 1 IN IP6 2001:db8::2", "s=-", "c=IN IP6 2001:db8::2",
                             "t=0 0", "m=audio 6000 RTP/AVP 8"}));
  EXPECT_TRUE(has_line(*answer, "c=IN IP4 198.51.100.1"));
}

TEST(Options, TakeTheWordsThatProxiesSend) {
  Options options;
  for (const char* word :
       {"no rtcp attribute", "full_rtcp_attribute", "original-sendrecv", "strip-extmap",
        "generate-mid", "reset", "trickle-ICE", "ICE-reject", "codec-strip-G729"}) {
    EXPECT_TRUE(take_word(options, "flags", word)) << word;
  }
  EXPECT_TRUE(options.no_rtcp_attribute && options.full_rtcp_attribute &&
              options.original_sendrecv && options.strip_extmap && options.generate_mid &&
              options.reset && options.trickle_ice && options.reject_ice);
  EXPECT_EQ(options.codec.strip, std::vector<std::string>{"G729"});
  EXPECT_FALSE(take_word(options, "flags", "trust-address"));
  EXPECT_FALSE(take_word(options, "flags", "symmetric-codecs"));
  EXPECT_FALSE(take_word(options, "ICE", "maybe"));
  EXPECT_FALSE(take_word(options, "ptime", "-20"));
  EXPECT_FALSE(take_word(options, "media-address", "example.com"));
  EXPECT_TRUE(take_word(options, "replace", "session connection"));
  EXPECT_TRUE(options.replace_session_connection);
  EXPECT_TRUE(take_word(options, "transport-protocol", "rtp/savpf"));
  EXPECT_EQ(options.protocol, Protocol::rtp_savpf);
}

}  // namespace
}  // namespace rtpool::sdp
