#include "control/ng/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/ng/rtpp_flags.h"
#include "tests/control/ng/transcripts.h"

namespace rtpool::ng {
namespace {

using testing::ElementsAre;

Request read(std::string_view datagram) {
  const auto frame = split_frame(datagram);
  EXPECT_TRUE(frame);
  auto request = parse_request(*frame);
  EXPECT_TRUE(request) << error_reason(request.error());
  return request ? std::move(*request) : Request{};
}

std::string refusal(const Value& dictionary) {
  const auto request = to_request(dictionary);
  EXPECT_FALSE(request);
  return request ? "" : error_reason(request.error());
}

Value offer() {
  return Value::dictionary(
      {{"command", "offer"}, {"sdp", "v=0"}, {"call-id", "c"}, {"from-tag", "f"}});
}

Request offer_with(std::string_view key, Value value) {
  Value dictionary = offer();
  dictionary.append(std::string(key), std::move(value));
  auto request = to_request(std::move(dictionary));
  EXPECT_TRUE(request) << error_reason(request.error());
  return std::move(*request);
}

TEST(Request, KamailiosOfferWithManyOptions) {
  const Request request = read(transcripts::kOfferManyOptions);

  EXPECT_EQ(request.cookie, "0_11175_0");
  EXPECT_EQ(request.encoding, Encoding::bencode);
  EXPECT_EQ(request.command, Command::offer);
  EXPECT_EQ(request.call_id, "a84b4c76e66710-a@pc33.example.com");
  EXPECT_EQ(request.from_tag, "1928301774");
  EXPECT_EQ(request.to_tag, "");
  EXPECT_EQ(request.via_branch, "z9hG4bKa776asdhds");
  EXPECT_THAT(request.sdp,
              testing::AllOf(testing::StartsWith("v=0\r\n"), testing::EndsWith("a=sendrecv\r\n")));
  EXPECT_EQ(request.sdp.size(), 185U);
  EXPECT_EQ(request.received_from, IpAddress::v4(127, 0, 0, 1));
  EXPECT_TRUE(request.flags.has("trust-address"));
  EXPECT_TRUE(request.flags.has("strict source"));
  EXPECT_TRUE(request.flags.has("SIP-source-address"));
  EXPECT_THAT(request.replace.words(), ElementsAre("origin", "session-connection"));
  EXPECT_EQ(request.direction, std::pair(std::string("internal"), std::string("external")));
  EXPECT_EQ(request.ice, IceMode::remove);
  EXPECT_TRUE(request.rtcp_mux.has("demux"));
  EXPECT_TRUE(request.sdes.has("off"));
  EXPECT_EQ(request.transport_protocol, "RTP/AVP");
  EXPECT_EQ(request.label, "caller");
  EXPECT_EQ(request.tos, 184);
  EXPECT_THAT(request.codec.strip, ElementsAre("PCMA"));
  EXPECT_TRUE(request.supports.has("load limit"));
  EXPECT_TRUE(request.ignored.empty());
  EXPECT_EQ(request.raw.find("sdp"), nullptr);
  EXPECT_NE(request.raw.find("SDES"), nullptr);
}

TEST(Request, KamailiosOfferToABrowser) {
  const Request request = read(transcripts::kOfferToBrowser);

  EXPECT_EQ(request.dtls, "passive");
  EXPECT_EQ(request.ice, IceMode::force);
  EXPECT_EQ(request.media_address, IpAddress::v4(203, 0, 113, 9));
  EXPECT_EQ(request.address_family, IpFamily::v6);
  EXPECT_EQ(request.record_call, true);
  EXPECT_TRUE(request.osrtp.has("accept"));
  EXPECT_TRUE(request.flags.has("generate-mid"));
  EXPECT_EQ(request.transport_protocol, "RTP/SAVPF");
  EXPECT_THAT(request.codec.transcode, ElementsAre("opus"));
  EXPECT_THAT(request.codec.mask, ElementsAre("all"));
  EXPECT_EQ(request.received_from, IpAddress::v4(127, 0, 0, 1))
      << "the last of two counts, as with rtpengine";
}

TEST(Request, TheOtherCommandsOfKamailio) {
  EXPECT_EQ(read(transcripts::kPing).command, Command::ping);
  EXPECT_EQ(read(transcripts::kOfferPlain).command, Command::offer);
  EXPECT_EQ(read(transcripts::kDelete).command, Command::delete_call);
  EXPECT_EQ(read(transcripts::kStartRecording).command, Command::start_recording);
  EXPECT_EQ(read(transcripts::kBlockMedia).command, Command::block_media);
  const Request query = read(transcripts::kQuery);
  EXPECT_EQ(query.command, Command::query);
  EXPECT_EQ(query.to_tag, "a6c85cf");
}

TEST(Request, OpenSipsAnswer) {
  const Request request = read(transcripts::kAnswerOpenSips);

  EXPECT_EQ(request.command, Command::answer);
  EXPECT_EQ(request.to_tag, "a99f");
  EXPECT_EQ(request.received_from, IpAddress::parse("2001:db8::7"));
  EXPECT_EQ(request.transport_protocol, "UDP/TLS/RTP/SAVPF");
  EXPECT_FALSE(request.supports.has("load limit"));
}

TEST(Request, JsonWithSpacesInItsKeysAndNumbersInStrings) {
  const Request request = read(transcripts::kOfferJson);

  EXPECT_EQ(request.encoding, Encoding::json);
  EXPECT_EQ(request.received_from, IpAddress::v4(192, 0, 2, 4));
  EXPECT_EQ(request.delete_delay_s, 5U);
  EXPECT_EQ(request.tos, 46);
  EXPECT_TRUE(request.flags.has("trust-address"));
  EXPECT_TRUE(request.flags.has("loop protect"));
  EXPECT_THAT(request.codec.transcode, ElementsAre("opus", "PCMU"));
}

TEST(Request, FlagsThatTheProxyLeavesToUsMeanTheSame) {
  const Request request = read(transcripts::kOfferRawFlags);

  EXPECT_THAT(request.replace.words(), ElementsAre("origin"));
  EXPECT_EQ(request.via_branch, "z9hG4bKe776asdhds")
      << "`auto-next` says which Via, it is no branch";
  EXPECT_TRUE(request.flags.has("strict-source"));
  EXPECT_EQ(request.label, "callee");
  EXPECT_TRUE(request.osrtp.has("accept"));
  EXPECT_EQ(request.transport_protocol, "RTP/SAVPF");
  EXPECT_EQ(request.direction, std::pair(std::string("internal"), std::string("external")));
  EXPECT_EQ(request.address_family, IpFamily::v4);
  EXPECT_THAT(request.codec.transcode, ElementsAre("PCMA", "PCMU"));
  EXPECT_THAT(request.codec.strip, ElementsAre("EVS"));
  EXPECT_THAT(request.codec.mask, ElementsAre("G729"));
  EXPECT_THAT(request.rtcp_mux.words(), ElementsAre("demux", "accept"));
}

TEST(Request, RawFlagsOfEveryKind) {
  const auto with = [](const char* flags) { return offer_with("rtpp-flags", flags); };

  EXPECT_EQ(with("RTP/SAVP").transport_protocol, "RTP/SAVP");
  EXPECT_EQ(with("RTP AVP").transport_protocol, "RTP/AVP");
  EXPECT_EQ(with("DTLS AVPF").transport_protocol, "UDP/TLS/RTP/SAVPF");
  EXPECT_EQ(with("UDP/TLS/RTP/SAVP").transport_protocol, "UDP/TLS/RTP/SAVP");
  EXPECT_EQ(with("internal external").direction,
            std::pair(std::string("internal"), std::string("external")));
  EXPECT_EQ(with("direction=[a b]").direction, std::pair(std::string("a"), std::string("b")));
  EXPECT_EQ(with("to-tag=xyz").to_tag, "xyz");
  EXPECT_TRUE(with("to-tag=xyz").flags.has("to-tag"));
  EXPECT_THAT(with("codec-strip=PCMA transcode=opus").codec.strip, ElementsAre("PCMA"));
  EXPECT_EQ(with("received-from=192.0.2.9").received_from, IpAddress::v4(192, 0, 2, 9));
  EXPECT_EQ(with("TOS=46 delete-delay=0").delete_delay_s, 0U);
  EXPECT_TRUE(with("ICE=force-relay").ice == IceMode::force_relay);
  EXPECT_TRUE(with("record-call").record_call.value_or(false));
  EXPECT_FALSE(with("record-call=off").record_call.value_or(true));
  EXPECT_EQ(with("rtpp-flags=label=x").label, "") << "raw flags inside raw flags are not read";
}

TEST(RtppFlags, BracketsNest) {
  const auto flags = parse_rtpp_flags("a b=1 c=[x y=2 z] d=[k=v l=[m n]]  e=[");

  ASSERT_EQ(flags.size(), 5U);
  EXPECT_EQ(flags[0], (RtppFlag{"a", std::nullopt}));
  EXPECT_EQ(flags[1], (RtppFlag{"b", Value("1")}));
  EXPECT_EQ(flags[2], (RtppFlag{"c", Value::list({"x", "y=2", "z"})}));
  EXPECT_EQ(flags[3],
            (RtppFlag{"d", Value::dictionary({{"k", "v"}, {"l", Value::list({"m", "n"})}})}));
  EXPECT_EQ(flags[4], (RtppFlag{"e", Value::list()}));
}

TEST(RtppFlags, HostileStringsAreBounded) {
  EXPECT_LE(parse_rtpp_flags("a=" + std::string(60'000, '[')).size(), 1U);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "f ";
  EXPECT_LE(parse_rtpp_flags(many).size(), kMaxRtppFlags);
  EXPECT_TRUE(parse_rtpp_flags("]]][[[ = ] [").size() <= 1U);
}

TEST(Request, WordsWithoutAFieldBecomeFlags) {
  EXPECT_TRUE(offer_with("BUNDLE", Value::list({"accept"})).flags.has("bundle-accept"));
  EXPECT_TRUE(offer_with("endpoint-learning", "off").flags.has("endpoint-learning-off"));
  EXPECT_TRUE(offer_with("ICE", Value::list({"force", "lite"})).flags.has("ICE-lite"));
}

TEST(Request, WebRtcStandsForWhatABrowserNeeds) {
  const Request request = offer_with("flags", Value::list({"WebRTC"}));

  EXPECT_EQ(request.transport_protocol, "UDP/TLS/RTP/SAVPF");
  EXPECT_EQ(request.ice, IceMode::force);
  EXPECT_TRUE(request.rtcp_mux.has("require"));
  EXPECT_TRUE(request.sdes.has("off"));
}

TEST(Request, MissingKeysAreNamedAsThePeersNameThem) {
  EXPECT_EQ(refusal(Value::dictionary()), "Dictionary contains no key \"command\"");
  EXPECT_EQ(refusal(Value::dictionary({{"command", 5}})), "Dictionary contains no key \"command\"");
  EXPECT_EQ(refusal(Value::dictionary({{"command", "nonsense"}})), "Unrecognized command");
  EXPECT_EQ(refusal(Value::dictionary({{"command", "unknown"}})), "Unrecognized command");
  for (const char* command : {"offer", "answer"}) {
    Value message = Value::dictionary({{"command", command}});
    EXPECT_EQ(refusal(message), "No SDP body in message");
    message.set("sdp", "v=0");
    EXPECT_EQ(refusal(message), "No call-id in message");
    message.set("call-id", "c");
    EXPECT_EQ(refusal(message), "No from-tag in message");
  }
  EXPECT_EQ(refusal(Value::dictionary(
                {{"command", "answer"}, {"sdp", "v=0"}, {"call-id", "c"}, {"from-tag", "f"}})),
            "No to-tag in message");
  for (const char* command : {"delete", "query", "start recording", "block media", "play DTMF"}) {
    EXPECT_EQ(refusal(Value::dictionary({{"command", command}})), "No call-id in message")
        << command;
  }
}

TEST(Request, CommandsThatNeedNothing) {
  for (const char* command : {"ping", "list", "statistics"}) {
    EXPECT_TRUE(to_request(Value::dictionary({{"command", command}}))) << command;
  }
}

TEST(Request, ANegativeLimitIsRefusedAsThePeersRefuseIt) {
  EXPECT_EQ(refusal(Value::dictionary({{"command", "list"}, {"limit", -1}})),
            "invalid limit, must be >= 0");
  EXPECT_EQ(to_request(Value::dictionary({{"command", "list"}, {"limit", "5"}}))->limit, 5U);
}

TEST(Request, WhatThePeersIgnoreIsIgnoredAndNoted) {
  Value message = offer();
  message.set("media-address", "not-an-address").set("address-family", "IP9").set("TOS", 256);
  message.set("transport-protocol", "FOO").set("received-from", Value::list({"IP4", "999.1.1.1"}));
  message.set("sip-message-type", "request").set("no-such-key", Value::dictionary());
  message.set("label", Value::list());

  const auto request = to_request(message);

  ASSERT_TRUE(request);
  EXPECT_FALSE(request->media_address || request->address_family || request->tos ||
               request->received_from);
  EXPECT_EQ(request->transport_protocol, "");
  EXPECT_THAT(request->ignored,
              ElementsAre("media-address: not an IP address", "address-family: neither IP4 nor IP6",
                          "TOS: not a number in its range", "transport-protocol: not known",
                          "received-from: not an IP address", "label: not a string"));
}

TEST(Request, StringsHaveLimits) {
  const auto with = [](const char* key, std::size_t size) {
    Value message = offer();
    message.set(key, std::string(size, 'x'));
    return message;
  };
  EXPECT_TRUE(to_request(with("call-id", kMaxCallIdBytes)));
  EXPECT_EQ(refusal(with("call-id", kMaxCallIdBytes + 1)), "Bad call-id: longer than 1024 bytes");
  EXPECT_EQ(refusal(with("from-tag", kMaxTagBytes + 1)), "Bad from-tag: longer than 512 bytes");
  EXPECT_EQ(refusal(with("to-tag", kMaxTagBytes + 1)), "Bad to-tag: longer than 512 bytes");
  EXPECT_EQ(refusal(with("via-branch", kMaxTagBytes + 1)), "Bad via-branch: longer than 512 bytes");
  EXPECT_EQ(refusal(with("sdp", kMaxSdpBytes + 1)), "Bad sdp: longer than 65536 bytes");
  EXPECT_EQ(refusal(with("metadata", kMaxMetadataBytes + 1)),
            "Bad metadata: longer than 4096 bytes");
  EXPECT_EQ(refusal(with("label", kMaxWordBytes + 1)), "Bad label: longer than 256 bytes");
}

TEST(Request, NamesHaveNoControlCharacters) {
  Value message = offer();
  message.set("call-id", std::string("a\nb"));
  EXPECT_EQ(refusal(message), "Bad call-id: control character");
}

TEST(Request, TooManyOrTooLongFlagsAreLeftOut) {
  Value flags = Value::list();
  flags.add(std::string(1000, 'f'));
  for (int i = 0; i < 1000; ++i) flags.add("flag-" + std::to_string(i));

  const Request request = offer_with("flags", flags);

  EXPECT_EQ(request.flags.words().size(), kMaxFlags);
  EXPECT_EQ(request.ignored.size(), kMaxIgnored);
}

TEST(Commands, HaveTheirNamesBothWays) {
  for (std::size_t i = 0; i + 1 < kCommandCount; ++i) {
    const auto command = static_cast<Command>(i);
    EXPECT_EQ(parse_command(to_string(command)), command) << to_string(command);
  }
  EXPECT_EQ(parse_command("start-recording"), Command::start_recording);
  EXPECT_EQ(parse_command(""), std::nullopt);
}

}  // namespace
}  // namespace rtpool::ng
