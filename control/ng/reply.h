// Replies to the proxies. The texts here are read by Kamailio and OpenSIPS: some make them try
// their next node and so must be exact (WIRE: NG control protocol, errors).
#pragma once

#include <string>
#include <string_view>

#include "control/ng/codec.h"
#include "control/ng/value.h"

namespace rtpool::ng {

// error-reason texts after which Kamailio or OpenSIPS tries its next node.
inline constexpr std::string_view kParallelSessionLimit = "Parallel session limit reached";
inline constexpr std::string_view kRanOutOfPorts = "Ran out of ports";
inline constexpr std::string_view kCpuLimit = "CPU usage limit exceeded";        // OpenSIPS
inline constexpr std::string_view kLoadLimit = "Load limit exceeded";            // OpenSIPS
inline constexpr std::string_view kBandwidthLimit = "Bandwidth limit exceeded";  // OpenSIPS
// Other texts that peers use.
inline constexpr std::string_view kUnknownCall = "Unknown call-id";
inline constexpr std::string_view kInvalidFormat = "Invalid NG data format";
inline constexpr std::string_view kUnrecognizedCommand = "Unrecognized command";
inline constexpr std::string_view kSdpNotParsed = "Failed to parse SDP";
inline constexpr std::string_view kTagsDidNotMatch = "Call-ID not found or tags didn't match";
// Our own: a request that nobody answered, and one whose answer does not fit into a datagram.
inline constexpr std::string_view kNotAnswered = "Internal error: request was not answered";
inline constexpr std::string_view kReplyTooLarge = "Reply is too large for a datagram";

Value ok();  // {result: ok}; add what the command returns
Value pong();
Value error(std::string_view reason);
Value warning(std::string_view text);  // {result: ok, warning: text}, for delete
// Overload: {result: "load limit", message: text} where the proxy said it supports that. Else an
// error with one of the two texts after which all of them go on: kRanOutOfPorts where `text` is
// that, else kParallelSessionLimit.
Value load_limit(bool supported, std::string_view text = kParallelSessionLimit);

// `<cookie> SP <dictionary>`.
std::string frame(std::string_view cookie, const Value& reply, Encoding encoding);

}  // namespace rtpool::ng
