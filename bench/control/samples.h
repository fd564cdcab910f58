// What the control benchmarks feed: descriptions as phones and browsers send them, and the offer
// that Kamailio 5.6 makes of one.
#pragma once

#include <string>

#include "control/ng/codec.h"

namespace rtpool::bench {

inline std::string phone_sdp() {
  return "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n"
         "t=0 0\r\nm=audio 49170 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\n"
         "a=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"
         "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
         "a=rtcp:49171\r\n";
}

// Audio and video of a browser, with ICE, DTLS and many codecs: about 3 KiB.
inline std::string browser_sdp() {
  std::string text =
      "v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";
  for (const std::string mid : {"0", "1"}) {
    const bool audio = mid == "0";
    text += audio ? "m=audio 54400 UDP/TLS/RTP/SAVPF 111 9 0 8 13 110 126\r\n"
                  : "m=video 54402 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101\r\n";
    text += "c=IN IP4 192.0.2.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\n";
    for (int i = 1; i <= 8; ++i) {
      text += "a=candidate:" + std::to_string(i) + " 1 udp 2122260223 192.0.2." +
              std::to_string(i) + " 54400 typ host generation 0 network-id 1\r\n";
    }
    text +=
        "a=ice-ufrag:F7gI\r\na=ice-pwd:x9cml/YzichV2+XlhiMu8g\r\na=ice-options:trickle\r\n"
        "a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:"
        "3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\na=setup:actpass\r\na=mid:" +
        mid + "\r\na=sendrecv\r\na=rtcp-mux\r\n";
    for (int payload = audio ? 110 : 96; payload < (audio ? 112 : 102); ++payload) {
      const std::string number = std::to_string(payload);
      text += "a=rtpmap:" + number + (audio ? " opus/48000/2" : " VP8/90000") +
              "\r\na=rtcp-fb:" + number + " nack pli\r\na=fmtp:" + number +
              " minptime=10;useinbandfec=1\r\n";
    }
    text += "a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r\n";
  }
  return text;
}

// A datagram as it comes from the proxy: cookie and dictionary.
inline std::string kamailio_offer(ng::Encoding encoding) {
  ng::Value offer = ng::Value::dictionary();
  offer.set("supports", ng::Value::list({"load limit"}));
  offer.set("sdp", phone_sdp());
  offer.set("ICE", "remove").set("label", "caller");
  offer.set("direction", ng::Value::list({"internal", "external"}));
  offer.set("flags", ng::Value::list({"trust-address", "strict-source"}));
  offer.set("replace", ng::Value::list({"origin", "session-connection"}));
  offer.set("transport-protocol", "RTP/AVP").set("rtcp-mux", ng::Value::list({"demux"}));
  offer.set("call-id", "1-12345@192.0.2.1").set("via-branch", "z9hG4bKnashds8.1");
  offer.set("received-from", ng::Value::list({"IP4", "192.0.2.1"}));
  offer.set("from-tag", "12345SIPpTag001").set("command", "offer");
  return "0_22356_1 " + ng::encode(offer, encoding);
}

}  // namespace rtpool::bench
