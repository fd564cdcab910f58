// Requests as proxies send them: Kamailio 5.6.3 (captured), newer Kamailio with its flags unparsed,
// OpenSIPS (keys in its module's order) and a JSON client.
#pragma once

#include <array>
#include <string_view>

namespace rtpool::ng::transcripts {

// The first thing a Kamailio worker says.
inline constexpr std::string_view kPing = "0_11174_0 d7:command4:pinge";

// rtpengine_offer("trust-address replace-origin replace-session-connection ICE=remove RTP/AVP
// direction=internal direction=external strict-source label=caller rtcp-mux-demux via-branch=1
// TOS=184 codec-strip-PCMA SDES-off SIP-source-address")
inline constexpr std::string_view kOfferManyOptions =
    "0_11175_0 d8:supportsl10:load limite3:sdp185:v=0\r\n"
    "o=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\n"
    "3:ICE6:remove5:label6:caller3:TOSi184e9:directionl8:internal8:externale5:flagsl13:trust-"
    "address13:strict-source18:SIP-source-addresse7:replacel6:origin18:session-connectione5:c"
    "odecd5:stripl4:PCMAee18:transport-protocol7:RTP/AVP8:rtcp-muxl5:demuxe4:SDESl3:offe7:cal"
    "l-id33:a84b4c76e66710-a@pc33.example.com10:via-branch17:z9hG4bKa776asdhds13:received-fro"
    "ml3:IP49:127.0.0.1e8:from-tag10:19283017747:command5:offere";

// rtpengine_offer("SRTP AVPF DTLS=passive ICE=force rtcp-mux-offer generate-mid
// media-address=203.0.113.9 address-family=IP6 OSRTP-accept record-call=yes transcode-opus
// codec-mask-all received-from=198.51.100.7"): it names received-from twice, its own address last.
inline constexpr std::string_view kOfferToBrowser =
    "0_11176_0 d8:supportsl10:load limite3:sdp185:v=0\r\n"
    "o=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\n"
    "4:DTLS7:passive3:ICE5:force13:media-address11:203.0.113.914:address-family3:IP611:record"
    "-call3:yes13:received-from12:198.51.100.75:flagsl12:generate-mid12:OSRTP-accepte5:codecd"
    "9:transcodel4:opuse4:maskl3:allee18:transport-protocol9:RTP/SAVPF8:rtcp-muxl5:offere7:ca"
    "ll-id33:a84b4c76e66710-b@pc33.example.com13:received-froml3:IP49:127.0.0.1e8:from-tag10:"
    "19283017747:command5:offere";

// rtpengine_manage()
inline constexpr std::string_view kOfferPlain =
    "0_11174_1 d8:supportsl10:load limite3:sdp185:v=0\r\n"
    "o=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\n"
    "7:call-id33:a84b4c76e66710-c@pc33.example.com13:received-froml3:IP49:127.0.0.1e8:from-ta"
    "g10:19283017747:command5:offere";

// rtpengine_delete()
inline constexpr std::string_view kDelete =
    "0_11178_0 d8:supportsl10:load limite7:call-id33:a84b4c76e66710-a@pc33.example.com13:rece"
    "ived-froml3:IP49:127.0.0.1e8:from-tag10:19283017747:command6:deletee";

// rtpengine_query()
inline constexpr std::string_view kQuery =
    "0_11178_1 d8:supportsl10:load limite7:call-id33:a84b4c76e66710-a@pc33.example.com13:rece"
    "ived-froml3:IP49:127.0.0.1e8:from-tag10:19283017746:to-tag7:a6c85cf7:command5:querye";

// start_recording()
inline constexpr std::string_view kStartRecording =
    "0_11178_3 d8:supportsl10:load limite7:call-id33:a84b4c76e66710-a@pc33.example.com13:rece"
    "ived-froml3:IP49:127.0.0.1e8:from-tag10:19283017746:to-tag7:a6c85cf7:command15:start rec"
    "ordinge";

// block_media()
inline constexpr std::string_view kBlockMedia =
    "0_11178_4 d8:supportsl10:load limite7:call-id33:a84b4c76e66710-a@pc33.example.com13:rece"
    "ived-froml3:IP49:127.0.0.1e8:from-tag10:19283017747:command11:block mediae";

// Kamailio with the parsing of flags left to the daemon.
inline constexpr std::string_view kOfferRawFlags =
    "0_417_9 d8:supportsl10:load limite3:sdp185:v=0\r\n"
    "o=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\n"
    "7:call-id33:a84b4c76e66710-e@pc33.example.com10:via-branch17:z9hG4bKe776asdhds8:from-tag"
    "10:19283017747:command5:offer16:sip-message-type7:request10:rtpp-flags224:replace-origin"
    " via-branch=auto-next strict-source label=callee OSRTP-accept SRTP AVPF direction=intern"
    "al direction=external address-family=IP4 codec=[transcode=[PCMA PCMU] strip=[EVS]] rtcp-"
    "mux=[demux accept] codec-mask-G729e";

// OpenSIPS: rtpengine_answer("ICE=force UDP/TLS/RTP/SAVPF trust-address symmetric ...")
inline constexpr std::string_view kAnswerOpenSips =
    "11184_3 d3:sdp185:v=0\r\n"
    "o=alice 2890844526 2890844526 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=sendrecv\r\n"
    "3:ICE5:force18:transport-protocol17:UDP/TLS/RTP/SAVPF5:flagsl13:trust-address9:symmetric"
    "e7:replacel6:origin18:session-connectione8:rtcp-muxl5:offere7:call-id13:b2c1@opensips13:"
    "received-froml3:IP611:2001:db8::7e8:from-tag7:88sja8x6:to-tag4:a99f7:command6:answere";

// A JSON client that writes keys with spaces and numbers as strings.
inline constexpr std::string_view kOfferJson =
    "77 {\"command\":\"offer\",\"call-id\":\"j-1\",\"from-tag\":\"ft\",\"sdp\":\"v=0\\r\\n"
    "o=alice 2890844526 2890844526 IN IP4 127.0.0.1\\r\\n"
    "s=-\\r\\n"
    "c=IN IP4 127.0.0.1\\r\\n"
    "t=0 0\\r\\n"
    "m=audio 49170 RTP/AVP 0 8 101\\r\\n"
    "a=rtpmap:0 PCMU/8000\\r\\n"
    "a=rtpmap:101 telephone-event/8000\\r\\n"
    "a=sendrecv\\r\\n"
    "\",\"flags\":[\"trust address\",\"loop-protect\"],\"received from\":[\"IP4\",\"192.0.2.4"
    "\"],\"delete delay\":\"5\",\"codec\":{\"strip\":[\"PCMA\"],\"transcode\":\"opus,PCMU\"},"
    "\"TOS\":\"46\"}";

inline constexpr std::array kAll = {
    kPing,           kOfferManyOptions, kOfferToBrowser, kOfferPlain,     kDelete,   kQuery,
    kStartRecording, kBlockMedia,       kOfferRawFlags,  kAnswerOpenSips, kOfferJson};

}  // namespace rtpool::ng::transcripts
