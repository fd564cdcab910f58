// The raw option string that newer Kamailio modules pass on unparsed under the key `rtpp-flags`:
//   replace-origin transport-protocol=RTP/AVP OSRTP=[accept] codec=[transcode=[PCMA PCMU]
//   strip=[EVS]]
// Words are parted by spaces; `[...]` is a list of words, or a dictionary where its first word is
// `key=...`. Only takes it apart: what the words mean is up to request_fields.h. Never fails: a
// bracket that is not closed ends with the string, and what is nested too deeply or is too much is
// left out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/ng/value.h"

namespace rtpool::ng {

struct RtppFlag {
  std::string key;
  std::optional<Value> value;  // absent: a word without `=`
  bool operator==(const RtppFlag&) const = default;
};

inline constexpr std::size_t kMaxRtppFlags = 512;     // words, those in brackets included
inline constexpr std::size_t kMaxRtppFlagsDepth = 6;  // brackets in brackets

std::vector<RtppFlag> parse_rtpp_flags(std::string_view text);

}  // namespace rtpool::ng
