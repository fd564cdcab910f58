// What is agreed with each party about each m= line, and how an offer or an answer changes it. Pure
// functions over plain values: the caller keeps a Party for each side of a dialogue (with the call,
// so that any controller can go on with it), gives both to negotiate() with each description, and
// keeps what comes back.
//
// The rules are RFC 3264 offer/answer as rtpengine 10.5 applies it, so that configurations carry
// over: rtcp-mux (RFC 5761) and ICE (RFC 8445) are as the offerer wishes unless an option says
// otherwise; the answerer's choice goes back to the offerer unless the offer was changed; an answer
// speaks the protocol of its offer. SRTP is end to end: a change between plain and secure protocols
// is refused (Errc::needs_srtp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/sdp/options.h"
#include "control/sdp/session.h"

namespace rtpool::sdp {

struct CodecTerms {
  std::uint8_t payload_type = 0;
  std::string encoding;
  std::vector<std::string> fmtp, feedback;
  bool operator==(const CodecTerms&) const = default;
};

// One m= line towards one party.
struct MediaTerms {
  std::string type;           // "audio"
  std::string protocol_text;  // as this party writes, or is written, its m= line
  Protocol protocol = Protocol::other;
  std::string formats;                // of protocols that are not RTP
  std::vector<CodecTerms> codecs;     // what this party was offered or has said
  std::vector<std::uint8_t> offered;  // payload types last offered to it: what it may answer with
  std::string mid;
  std::uint32_t ptime_ms = 0;
  bool ptime_fixed = false;  // by the proxy
  bool rejected = true;      // port 0: no sockets
  bool known = false;        // a description of this party has been seen (or reset)
  bool rtcp_mux = false;     // this party does, or is offered, rtcp-mux
  bool mux_decided = false;  // its answer does not decide what the other side gets
  bool ice = false;          // ICE with this party, ended here
  bool peer_lite = false;    // it is a lite agent itself
  bool trickle = false;
  bool zero_address = false;       // it is on hold by 0.0.0.0
  std::optional<IpFamily> family;  // of our sockets that face it
  bool operator==(const MediaTerms&) const = default;
};

struct Party {
  std::vector<MediaTerms> media;       // by m= line
  std::string username, session_name;  // of the first description written to it, for `replace`
  bool named = false;                  // those two are set
  std::uint64_t version = 0;           // of the last o= written to it, for `replace`
  std::string last_sent;               // likewise
  bool operator==(const Party&) const = default;
};

// What to open and tell the relay about one m= line of one party.
struct SocketPlan {
  IpFamily family = IpFamily::v4;
  bool open = false;  // false: rejected or not ours to relay, needs no ports
  bool rtcp =
      false;  // needs a second port for RTCP (RTP without rtcp-mux, or muxing not agreed yet)
  bool rtcp_mux = false;  // RTCP shares the RTP port: StreamSpec::rtcp_mux
  bool ice = false;       // make ICE credentials for it and set StreamSpec::ice
  bool dtls = false;      // StreamSpec::pass_dtls
};

struct MediaPlan {
  SocketPlan sender,
      recipient;  // sockets that face the description's sender; the one that it goes on to
};

struct Plan {
  std::vector<MediaPlan> media;  // by m= line
};

// Takes in `session`, sent by `sender`, to go on to `recipient`. Both are changed only if it
// succeeds.
Result<Plan> negotiate(const Session& session, const Options& options, Party& sender,
                       Party& recipient);

}  // namespace rtpool::sdp
