// What becomes of one received datagram: forwarded, answered (STUN) or dropped for a named reason.
// Every reason has a counter per call and per shard (law 5); its name is the label of the metric.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "relay/base/endpoint.h"

namespace rtpool::media {

enum class Drop : std::uint8_t {
  none,                 // not dropped
  empty,                // zero-length datagram (RFC 6263 keepalive): opens a pinhole, never latches
  truncated,            // larger than a receive buffer
  malformed_rtp,        // RTP header, CSRC list or extension does not fit (RFC 3550, 5.1)
  malformed_rtcp,       // compound packet does not add up (RFC 3550, 6.1 and A.2; RFC 5506)
  malformed_stun,       // magic cookie, length or attributes wrong (RFC 8489, 5)
  unexpected_protocol,  // ZRTP, TURN channel, QUIC, or DTLS/STUN where the stream has no use for it
                        // (RFC 7983)
  source_refused,       // source address is neither signalled, nor latched, nor checked by ICE
  ssrc_refused,         // accepted address, new source port and foreign SSRC: not a NAT rebinding
  stun_unauthenticated,  // STUN check with wrong credentials (RFC 8445, 7.3)
  no_peer,               // nobody to forward to yet (offer not answered, port 0)
  peer_unknown,          // the other side has no address yet
  on_hold,               // the other side must not be sent to (hold, RFC 3264, 8.4)
  rate_limited,          // more packets or new sources than a stream may cause
  send_failed,           // the kernel refused the datagram (full socket buffer, unreachable)
  no_call,               // the call ended while the datagram waited
};
inline constexpr std::size_t kDropReasons = 16;
using DropCounts = std::array<std::uint64_t, kDropReasons>;

// The metric label, e.g. "source_refused"; stable, part of the operator's interface.
std::string_view to_string(Drop reason);

enum class ComponentKind : std::uint8_t { rtp, rtcp };

enum class Action : std::uint8_t { drop, forward, reply };

struct Verdict {
  Action action = Action::drop;
  Drop reason = Drop::none;      // set when action is drop
  std::uint16_t out_stream = 0;  // forward: index (not id) of the stream to send from
  ComponentKind out_component = ComponentKind::rtp;  // forward and reply: which of its sockets
  const RemoteEndpoint* to = nullptr;  // forward and reply: valid until the next call into the Call
  std::span<const std::byte> payload;  // reply only: what to send, valid likewise
};

}  // namespace rtpool::media
