// Which endpoints may be sent media at all. An SDP is written by strangers: without this check it
// could aim a relay's traffic at a multicast group, at the relay's own host or at its link. Pure
// functions, any thread.
//
// What they can't know is checked by the engine: that a target is not one of our own media ports.
#pragma once

#include "relay/base/endpoint.h"

namespace rtpool::media {

// Whether an address can be a media target anywhere: not unspecified, multicast, broadcast or
// link-local, not of 0.0.0.0/8, and not an IPv4-mapped IPv6 address (which would slip past every
// rule for the IPv4 one). Loopback is left to media_target_allowed(), which knows where we are.
bool media_address_allowed(const IpAddress& address);

// The same with a port, and as seen from a socket of address `local`: same family, and loopback
// only from loopback.
bool media_target_allowed(const RemoteEndpoint& target, const IpAddress& local);

}  // namespace rtpool::media
