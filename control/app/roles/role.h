// A role of the program as the process sees it: started already, to be asked about and to be
// stopped.
//
// missing(), write_metrics() and the JSON are called on HTTP threads, at the same time as each
// other; stop() on the main thread, once no HTTP request is in work. None of them blocks for longer
// than a second.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/app/metrics.h"

namespace rtpool::control {

inline constexpr std::size_t kCallsShown = 100;  // in one /api/calls that does not say
inline constexpr std::size_t kMostCallsShown = 500;

// What of /api/calls: a page of the calls in the order of their Call-IDs.
struct CallQuery {
  std::size_t limit = kCallsShown;
  std::string after;  // the last Call-ID of the page before
  std::string relay;  // only the page's calls on this relay; empty: all
};

class Role {
 public:
  virtual ~Role() = default;

  // What it still needs before it is of use, in a few words each; empty when it is ready.
  [[nodiscard]] virtual std::vector<std::string> missing() const = 0;
  virtual void write_metrics(MetricPage& page) const = 0;
  // Adds its part to /api/status.
  virtual void write_status(nlohmann::json& status) const = 0;
  // /api/calls, /api/call and /api/pool, where it knows them. calls(): total, calls and, where
  // there are more, next, which is what asks for them (octets of the last Call-ID in hexadecimal).
  // call(): null where there is no such call.
  [[nodiscard]] virtual std::optional<nlohmann::json> calls(const CallQuery&) {
    return std::nullopt;
  }
  [[nodiscard]] virtual std::optional<nlohmann::json> call(const std::string& /*call_id*/) {
    return std::nullopt;
  }
  [[nodiscard]] virtual std::optional<nlohmann::json> pool() { return std::nullopt; }
  // Takes no more work and ends what it has. Idempotent.
  virtual void stop() = 0;
};

// JSON of text that came from the network: what is not UTF-8 becomes U+FFFD.
std::string dump(const nlohmann::json& value);

// Octets as lower-case hexadecimal, and back; nullopt for anything else.
std::string to_hex(std::string_view octets);
std::optional<std::string> from_hex(std::string_view text);

}  // namespace rtpool::control
