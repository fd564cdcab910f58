// The names of transport protocols and of RTP's static payload types.
#include <array>
#include <utility>

#include "control/sdp/payload_types.h"
#include "control/sdp/session.h"
#include "control/sdp/text.h"

namespace rtpool::sdp {
namespace {

constexpr std::array<std::pair<Protocol, std::string_view>, 8> kNames{{
    {Protocol::rtp_avp, "RTP/AVP"},
    {Protocol::rtp_avpf, "RTP/AVPF"},
    {Protocol::rtp_savp, "RTP/SAVP"},
    {Protocol::rtp_savpf, "RTP/SAVPF"},
    {Protocol::udp_tls_rtp_savp, "UDP/TLS/RTP/SAVP"},
    {Protocol::udp_tls_rtp_savpf, "UDP/TLS/RTP/SAVPF"},
    {Protocol::udptl, "udptl"},
    {Protocol::dtls_sctp, "UDP/DTLS/SCTP"},
}};

// RFC 3551, section 6.
constexpr std::array<std::pair<std::uint8_t, std::string_view>, 24> kStaticTypes{{
    {0, "PCMU/8000"},    {3, "GSM/8000"},    {4, "G723/8000"},   {5, "DVI4/8000"},
    {6, "DVI4/16000"},   {7, "LPC/8000"},    {8, "PCMA/8000"},   {9, "G722/8000"},
    {10, "L16/44100/2"}, {11, "L16/44100"},  {12, "QCELP/8000"}, {13, "CN/8000"},
    {14, "MPA/90000"},   {15, "G728/8000"},  {16, "DVI4/11025"}, {17, "DVI4/22050"},
    {18, "G729/8000"},   {25, "CelB/90000"}, {26, "JPEG/90000"}, {28, "nv/90000"},
    {31, "H261/90000"},  {32, "MPV/90000"},  {33, "MP2T/90000"}, {34, "H263/90000"},
}};

}  // namespace

std::string_view to_string(Protocol protocol) {
  for (const auto& [value, name] : kNames) {
    if (value == protocol) return name;
  }
  return "";
}

std::optional<Protocol> parse_protocol(std::string_view text) {
  for (const auto& [value, name] : kNames) {
    if (same_without_case(text, name)) return value;
  }
  return std::nullopt;
}

bool is_rtp(Protocol protocol) {
  return protocol <= Protocol::udp_tls_rtp_savpf;
}

bool is_secure(Protocol protocol) {
  return is_rtp(protocol) && protocol != Protocol::rtp_avp && protocol != Protocol::rtp_avpf;
}

bool has_feedback(Protocol protocol) {
  return protocol == Protocol::rtp_avpf || protocol == Protocol::rtp_savpf ||
         protocol == Protocol::udp_tls_rtp_savpf;
}

std::string_view to_string(Direction direction) {
  switch (direction) {
    case Direction::sendrecv:
      return "sendrecv";
    case Direction::sendonly:
      return "sendonly";
    case Direction::recvonly:
      return "recvonly";
    case Direction::inactive:
      return "inactive";
  }
  return "";
}

std::string_view static_encoding(std::uint8_t payload_type) {
  for (const auto& [value, name] : kStaticTypes) {
    if (value == payload_type) return name;
  }
  return "";
}

}  // namespace rtpool::sdp
