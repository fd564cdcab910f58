// "Where would a packet from X go?": what a Call would do with a datagram that nobody sent. The
// answer comes from the code that forwards: an imagined packet of the shape that the component
// expects is put into a copy of the call, once for each component, and the copy is thrown away.
// Nothing of the call changes.
//
// Sans-IO, any thread that may read the call. Imagined are an RTP packet of a source that nobody
// has heard yet, an RTCP receiver report of the same, or any datagram on an opaque stream; STUN and
// DTLS are not. Where that packet is refused for its SSRC, `continued` tells of one that carries on
// from the party's own stream (a NAT that moved).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/time.h"
#include "relay/media/call.h"

namespace rtpool::media {

// What the packet would do to the latch of its component (latch.h).
enum class Learned : std::uint8_t {
  nothing,  // as it is: heard already, refused, or never learning
  latched,  // for the first time
  moved,    // from another source
};

struct Outcome {
  bool forwarded = false;
  Drop reason = Drop::none;  // set when not forwarded
  Learned learned = Learned::nothing;
  // Where it leaves, when forwarded.
  StreamId out_stream;
  ComponentKind out_component = ComponentKind::rtp;
  LocalEndpoint from;
  RemoteEndpoint to;
};

// One component of one stream. With rtcp-mux (RFC 5761) the RTCP component has the RTP socket.
struct Explanation {
  StreamId stream;
  ComponentKind component = ComponentKind::rtp;
  LocalEndpoint local;            // where the packet would arrive
  AdvertisedEndpoint advertised;  // the same as the SDP has it
  // Whom it listens to as things are.
  bool latched = false;
  std::optional<RemoteEndpoint> remote;  // where it sends: learned, or signalled
  std::optional<RemoteEndpoint> signalled;
  std::optional<IpAddress> sip_source;
  LatchPolicy policy = LatchPolicy::learn;
  bool ice = false;

  Outcome outcome;
  std::optional<std::uint32_t> continued_ssrc;  // set with `continued`
  std::optional<Outcome> continued;
};

// Components that a packet from `source` could arrive at: of its address family and, unless `port`
// is 0, with that local or advertised port. In the order of the specification, RTP before RTCP.
std::vector<Explanation> explain(const Call& call, const RemoteEndpoint& source, std::uint16_t port,
                                 Instant now);

}  // namespace rtpool::media
