#include "control/calls/call_record.h"

#include <algorithm>

namespace rtpool::control {

std::optional<std::size_t> CallRecord::leg_by_tag(std::string_view tag) const {
  if (tag.empty()) return std::nullopt;
  for (std::size_t i = 0; i < legs.size(); ++i) {
    const auto& leg = legs[i];
    if (leg.tag == tag ||
        std::find(leg.aliases.begin(), leg.aliases.end(), tag) != leg.aliases.end())
      return i;
  }
  return std::nullopt;
}

const media::StreamState* CallRecord::state_of(media::StreamId id) const {
  const auto found = std::find_if(endpoints.begin(), endpoints.end(),
                                  [id](const auto& state) { return state.id == id; });
  return found == endpoints.end() ? nullptr : &*found;
}

media::StreamSpec* CallRecord::spec_of(media::StreamId id) {
  const auto found = std::find_if(spec.streams.begin(), spec.streams.end(),
                                  [id](const auto& stream) { return stream.id == id; });
  return found == spec.streams.end() ? nullptr : &*found;
}

}  // namespace rtpool::control
