// Calls as /api/calls shows them: parties, their m= lines, what was received, sent and lost.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/ng/value.h"
#include "relay/base/time.h"
#include "relay/media/call_spec.h"

namespace rtpool::control {

// Of a controller's NG `query` reply. `now_seconds` is Unix time.
nlohmann::json call_json(const std::string& call_id, const ng::Value& report,
                         std::int64_t now_seconds);

// Of a relay's own knowledge, where there is no controller in the process: streams have no names
// and parties no tags.
nlohmann::json call_json(const media::CallState& state);

}  // namespace rtpool::control
