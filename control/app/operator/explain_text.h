// What became of an imagined packet (media/explain.h) in words and as JSON: where it leaves, or why
// it is dropped and what would make it pass. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "relay/media/explain.h"

namespace rtpool::control {

std::string_view name_of(media::ComponentKind component);  // "RTP", "RTCP"

// "198.51.100.1:30000", with what the SDP says of it where that differs.
std::string place_of(const Endpoint& local, const Endpoint& advertised);

// A sentence without its subject: "is accepted and latched; leaves from … to …", "is dropped
// (source_refused): …".
std::string explain_in_words(const media::Explanation& told, const RemoteEndpoint& source);

nlohmann::json explanation_json(const media::Explanation& told, const RemoteEndpoint& source);

}  // namespace rtpool::control
