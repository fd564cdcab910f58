// What a controller knows of a Call: its parties, their m= lines and the specification the relay
// was given. Plain values: an NG request is worked on a copy, the copy is sent to the relay, and it
// replaces the original only when the relay has taken it, so that whatever fails changes nothing.
//
// A Leg is one party as seen from us. The offerer has one; each branch offered to (one per
// `via-branch`, RFC 3261 16.7 forking) has one, which carries no tag until the branch answers.
// Branches that share one offer share one Leg, and the one that answered last is heard (`aliases`
// are the tags of the others).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/calls/relay_gateway.h"
#include "control/sdp/terms.h"
#include "relay/media/call_spec.h"

namespace rtpool::control {

// One m= line of a Leg.
struct MediaLine {
  media::StreamId stream;  // invalid: port 0 so far, no ports are leased
  std::string type;        // "audio", "video", "image", ...
  std::string protocol;    // "RTP/AVP", ...
};

struct Leg {
  std::string tag;                   // empty: offered to, not answered yet
  std::vector<std::string> aliases;  // earlier to-tags of branches that share this Leg's ports
  std::string via_branch;
  std::string label;
  std::int64_t created = 0;  // Unix seconds
  std::vector<MediaLine> media;
  sdp::Party party;      // what is agreed with it in SDP
  std::size_t peer = 0;  // index of the leg it is in dialogue with
};

struct CallRecord {
  std::string call_id;
  RelayRef relay;
  media::CallSpec spec;
  std::int64_t created_us = 0;   // Unix microseconds
  std::int64_t last_signal = 0;  // Unix seconds
  std::vector<Leg> legs;
  std::uint32_t last_stream = 0;  // ids given out so far
  std::vector<media::StreamState>
      endpoints;  // as the relay last answered: the ports of each stream

  [[nodiscard]] std::optional<std::size_t> leg_by_tag(std::string_view tag) const;
  [[nodiscard]] const media::StreamState* state_of(media::StreamId id) const;
  media::StreamSpec* spec_of(media::StreamId id);
};

inline constexpr std::size_t kMaxLegsPerCall = 16;
inline constexpr std::size_t kMaxAliases = 16;

}  // namespace rtpool::control
