#include "relay/media/verdict.h"

namespace rtpool::media {

std::string_view to_string(Drop reason) {
  switch (reason) {
    case Drop::none:
      return "none";
    case Drop::empty:
      return "empty";
    case Drop::truncated:
      return "truncated";
    case Drop::malformed_rtp:
      return "malformed_rtp";
    case Drop::malformed_rtcp:
      return "malformed_rtcp";
    case Drop::malformed_stun:
      return "malformed_stun";
    case Drop::unexpected_protocol:
      return "unexpected_protocol";
    case Drop::source_refused:
      return "source_refused";
    case Drop::ssrc_refused:
      return "ssrc_refused";
    case Drop::stun_unauthenticated:
      return "stun_unauthenticated";
    case Drop::no_peer:
      return "no_peer";
    case Drop::peer_unknown:
      return "peer_unknown";
    case Drop::on_hold:
      return "on_hold";
    case Drop::rate_limited:
      return "rate_limited";
    case Drop::send_failed:
      return "send_failed";
    case Drop::no_call:
      return "no_call";
  }
  return "unknown";
}

}  // namespace rtpool::media
