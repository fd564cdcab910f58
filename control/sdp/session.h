// A session description (RFC 8866) as it came: every byte is kept, and what matters to a media
// relay is found and typed. Nothing is normalised, so that what nobody asks to change can be
// written back byte for byte.
//
// parse() is pure and bounded by the limits below; it allocates in proportion to the text. A
// Session owns its text, all views point into it and stay valid when it is moved. Lines may end in
// CRLF or LF, mixed; text after an empty line belongs to no line (other parts of a body) and is
// kept as `tail`. Unknown attributes and line types that RFC 8866 names are accepted; other line
// types are an error, as they are to the peers.
//
// Errors: Errc, with the number of the line in the detail. Host names in c= are refused, not
// resolved: resolving would block the reply to the proxy. It does not check that an answer fits its
// offer; terms.h does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/sdp/errc.h"
#include "relay/base/endpoint.h"

namespace rtpool::sdp {

inline constexpr std::size_t kMaxBytes = 64 * 1024;
inline constexpr std::size_t kMaxLineBytes = 8 * 1024;
inline constexpr std::size_t kMaxLines = 4096;
inline constexpr std::size_t kMaxMedia = 64;
inline constexpr std::size_t kMaxFormats = 128;  // of one m= line

enum class Direction : std::uint8_t { sendrecv, sendonly, recvonly, inactive };
std::string_view to_string(Direction direction);

// The transport protocols of m= lines that are told apart; everything else is `other` and its media
// is relayed as opaque datagrams where it is UDP, left alone where it is TCP.
enum class Protocol : std::uint8_t {
  rtp_avp,
  rtp_avpf,
  rtp_savp,
  rtp_savpf,
  udp_tls_rtp_savp,
  udp_tls_rtp_savpf,
  udptl,      // T.38 (ITU-T T.38 Annex D)
  dtls_sctp,  // UDP/DTLS/SCTP, DTLS/SCTP: WebRTC data channels (RFC 8841)
  other_udp,  // udp, UDPTL variants, other names that begin with "UDP"
  other,      // TCP/MSRP and the like: not ours to relay
};
std::string_view to_string(Protocol protocol);  // as on the m= line; "" for other and other_udp
std::optional<Protocol> parse_protocol(
    std::string_view text);  // the RTP ones and udptl, without case
bool is_rtp(Protocol protocol);
bool is_secure(Protocol protocol);     // SAVP, SAVPF, with DTLS or SDES
bool has_feedback(Protocol protocol);  // AVPF, SAVPF (RFC 4585)

// One line, without its end.
struct Line {
  char type = 0;
  std::string_view text;   // the whole line: "a=sendrecv"
  std::string_view value;  // after "x="
  std::string_view end;    // "\r\n", "\n" or, for the last one, ""
};

struct Connection {  // c= (RFC 8866, 5.7)
  std::size_t line = 0;
  std::string_view address_type;  // "IP4"
  std::string_view address_text;  // without TTL and count
  IpAddress address;              // unspecified where `is_name`
  bool is_name = false;           // a host name: accepted where its media is not ours to relay
};

struct Codec {  // one format of an RTP m= line with its attributes (RFC 8866, 6.6 and 6.15; RFC
                // 4585, 4.2)
  std::uint8_t payload_type = 0;
  std::string_view
      encoding;  // "opus/48000/2"; empty: unknown. From a=rtpmap or the static table (RFC 3551)
  std::vector<std::string_view> fmtp;  // values after the payload type
  std::vector<std::string_view> feedback;
};

struct Candidate {  // a=candidate (RFC 8839, 5.1), those with an IP address
  std::uint32_t component = 0;
  std::uint32_t priority = 0;
  Endpoint endpoint;
  bool udp = true;
  std::string_view type;  // "host", "srflx", "prflx", "relay"
};

struct IceDescription {         // effective: of the media section, or else of the session
  std::string_view ufrag, pwd;  // empty: no ICE
  bool lite = false;
  bool trickle = false;  // ice-options, or the trickle address (0.0.0.0:9)
  bool end_of_candidates = false;
  std::vector<Candidate> candidates;
};

struct RtcpAttribute {  // a=rtcp (RFC 3605)
  std::uint16_t port = 0;
  std::optional<IpAddress> address;
};

struct Media {
  std::size_t first_line = 0, line_count = 0;  // in Session::lines(); the first is the m= line
  std::string_view type, port_text, protocol_text, formats_text;  // as on the m= line
  std::uint16_t port = 0;
  std::uint16_t port_count = 1;
  Protocol protocol = Protocol::other;
  std::vector<std::string_view> formats;
  std::vector<Codec> codecs;                  // RTP only: one for each format, in order
  std::optional<Connection> connection;       // the section's own c=
  std::optional<IpAddress> address;           // effective: own c=, or the session's
  Direction direction = Direction::sendrecv;  // effective
  bool rtcp_mux = false;                      // also when a=rtcp names the RTP port
  bool rtcp_mux_only = false;                 // RFC 8858
  std::optional<RtcpAttribute> rtcp;
  IceDescription ice;
  std::string_view fingerprint, setup, tls_id;  // DTLS-SRTP, effective
  std::vector<std::string_view> crypto;         // SDES values (RFC 4568)
  std::string_view mid;
  bool bundled = false;  // its mid is in an a=group:BUNDLE
  bool bundle_only = false;
  std::uint32_t ptime_ms = 0;  // 0: none

  // Whether media of this section is ours to relay: RTP, T.38 and other datagrams, not TCP.
  [[nodiscard]] bool relayed() const { return protocol != Protocol::other; }
  [[nodiscard]] bool rejected() const { return port == 0; }
  [[nodiscard]] bool has_ice() const { return !ice.ufrag.empty(); }
  // Hold by the old way: c=0.0.0.0 or :: (RFC 3264, 8.4), which is not what a trickling ICE agent
  // means by it.
  [[nodiscard]] bool zero_address() const;
  // Whether this party wants to receive (RTCP goes on when it does not): direction and zero
  // address.
  [[nodiscard]] bool wants_media() const;
  // Where this party wants its media: absent for port 0, zero or no address.
  [[nodiscard]] std::optional<RemoteEndpoint> remote_rtp() const;
  // As a=rtcp says, the RTP endpoint under rtcp-mux, or else the next port (RFC 3550, 11). Absent
  // for other protocols.
  [[nodiscard]] std::optional<RemoteEndpoint> remote_rtcp() const;
};

struct Origin {  // o= (RFC 8866, 5.2)
  std::size_t line = 0;
  std::string_view username, session_id, version, network_type, address_type, address_text;
};

class Session {
 public:
  [[nodiscard]] std::string_view text() const { return *text_; }
  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }
  [[nodiscard]] std::size_t session_lines() const {
    return session_lines_;
  }  // those before the first m=
  [[nodiscard]] std::string_view tail() const { return tail_; }
  [[nodiscard]] const std::vector<Media>& media() const { return media_; }
  [[nodiscard]] const std::optional<Origin>& origin() const { return origin_; }
  [[nodiscard]] const std::optional<Connection>& connection() const { return connection_; }
  [[nodiscard]] std::string_view session_name() const { return session_name_; }
  [[nodiscard]] bool ice_lite() const { return ice_lite_; }
  // The way this document ends its lines; new lines are written likewise.
  [[nodiscard]] std::string_view line_end() const { return line_end_; }

 private:
  friend class Parser;
  std::unique_ptr<const std::string> text_ = std::make_unique<const std::string>();
  std::vector<Line> lines_;
  std::size_t session_lines_ = 0;
  std::string_view tail_, session_name_, line_end_ = "\r\n";
  std::vector<Media> media_;
  std::optional<Origin> origin_;
  std::optional<Connection> connection_;
  bool ice_lite_ = false;
};

Result<Session> parse(std::string_view text);

}  // namespace rtpool::sdp
