// Who is behind which port of a call: what the controller knows and the relay does not.
//
// calls_of() asks the controller's HTTP API, page by page; parties_of() about one call. Both block,
// at most 2 s for each page.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "control/app/config.h"
#include "relay/base/result.h"

namespace rtpool::control {

struct Party {
  std::string tag, label, media;
};

struct KnownCall {
  bool known = false;
  std::string error;                     // why nothing is known; empty: there is no such call
  std::map<std::string, Party> parties;  // by the relay's RTP address, as bound
};

KnownCall parties_of(const ClientOptions& options, const std::string& call_id);

// {"total", "calls"}: the calls in the order of their Call-IDs. Errors: AppErrc::unreachable.
Result<nlohmann::json> calls_of(const ClientOptions& options);

// Everything but letters, digits and -._~ as %XX (RFC 3986, 2.3).
std::string percent_encoded(std::string_view text);

}  // namespace rtpool::control
