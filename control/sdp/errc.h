// What can be wrong with a session description, or with what a proxy asks to be done to it.
#pragma once

#include "relay/base/result.h"

namespace rtpool::sdp {

enum class Errc {
  malformed = 1,       // not SDP: the detail says which line and why
  too_large,           // bytes, line length, lines or media sections over the limit
  unresolved_address,  // a host name where an IP address is needed; names are not resolved here
  media_mismatch,      // an answer with another number of media sections than its offer
  needs_srtp,   // a change of transport protocol that would need keys that only the parties have
  unsupported,  // a wish that can't be met without touching the media (e.g. no codec left)
};
ErrorCode make_error_code(Errc errc);

}  // namespace rtpool::sdp

template <>
struct boost::system::is_error_code_enum<rtpool::sdp::Errc> : std::true_type {};
