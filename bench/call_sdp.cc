// The little SDP that two PCMA telephones need (RFC 4566, RFC 3264).
#include <charconv>
#include <string>

#include "bench/call_run.h"

namespace rtpool::bench {
namespace {

std::optional<std::uint16_t> leading_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} ? std::optional(port) : std::nullopt;
}

}  // namespace

std::string audio_sdp(std::string_view user, const Endpoint& rtp) {
  const std::string address = rtp.address.to_string();
  const std::string where = (rtp.address.is_v4() ? "IN IP4 " : "IN IP6 ") + address + "\r\n";
  return "v=0\r\no=" + std::string(user) + " 1 1 " + where + "s=-\r\nc=" + where +
         "t=0 0\r\nm=audio " + std::to_string(rtp.port) +
         " RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n";
}

std::optional<AudioTarget> audio_target(std::string_view sdp) {
  std::optional<IpAddress> address;
  std::optional<std::uint16_t> port, rtcp_port;
  bool in_audio = false;
  while (!sdp.empty()) {
    const auto end = sdp.find('\n');
    std::string_view line = sdp.substr(0, end);
    sdp.remove_prefix(end == std::string_view::npos ? sdp.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("m=")) {
      in_audio = line.starts_with("m=audio ") && !port;
      if (in_audio) port = leading_port(line.substr(8));
    } else if (line.starts_with("c=IN IP") && (in_audio || !port) && line.size() > 9) {
      address = IpAddress::parse(line.substr(9));
    } else if (line.starts_with("a=rtcp:") && in_audio) {
      rtcp_port = leading_port(line.substr(7));
    }
  }
  if (!address || !port || *port == 0) return std::nullopt;
  const auto next = static_cast<std::uint16_t>(*port + 1);
  return AudioTarget{{*address, *port}, {*address, rtcp_port.value_or(next)}};
}

}  // namespace rtpool::bench
