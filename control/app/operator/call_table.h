// Calls as tables and as JSON: the controller's list, and one call as its relay has it. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/app/operator/call_parties.h"
#include "relay/media/call_spec.h"
#include "relay/media/explain.h"

namespace rtpool::control {

// `all`: as calls_of() gives it. `relay`: what it was filtered by.
std::string call_list_text(const nlohmann::json& all, const std::string& relay, bool colours);

// `relay`: its name and address.
std::string call_state_text(const media::CallState& state, const KnownCall& known,
                            const std::string& relay, bool colours);
nlohmann::json call_state_json(const media::CallState& state, const KnownCall& known);

// A line for each port.
std::string explain_call_text(const std::vector<media::Explanation>& told, const KnownCall& known,
                              const RemoteEndpoint& source, const std::string& relay, bool colours);

// "tag", "label" and "media" of whose port it is; empty where that is not known.
void add_party(nlohmann::json& object, const KnownCall& known, const LocalEndpoint& local,
               media::ComponentKind component);

}  // namespace rtpool::control
