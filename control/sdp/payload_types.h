// RTP's static payload types (RFC 3551, section 6).
#pragma once

#include <cstdint>
#include <string_view>

namespace rtpool::sdp {

// The encoding of a static payload type as a=rtpmap would write it, "PCMU/8000"; empty for all
// others.
std::string_view static_encoding(std::uint8_t payload_type);

}  // namespace rtpool::sdp
