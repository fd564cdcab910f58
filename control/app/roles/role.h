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
#include <vector>

#include "control/app/metrics.h"

namespace rtpool::control {

class Role {
 public:
  virtual ~Role() = default;

  // What it still needs before it is of use, in a few words each; empty when it is ready.
  [[nodiscard]] virtual std::vector<std::string> missing() const = 0;
  virtual void write_metrics(MetricPage& page) const = 0;
  // Adds its part to /api/status.
  virtual void write_status(nlohmann::json& status) const = 0;
  // /api/calls and /api/pool, where it knows them.
  [[nodiscard]] virtual std::optional<nlohmann::json> calls() { return std::nullopt; }
  [[nodiscard]] virtual std::optional<nlohmann::json> pool() { return std::nullopt; }
  // Takes no more work and ends what it has. Idempotent.
  virtual void stop() = 0;
};

// JSON of text that came from the network: what is not UTF-8 becomes U+FFFD.
std::string dump(const nlohmann::json& value);

inline constexpr std::size_t kCallsShown = 100;  // in one /api/calls

}  // namespace rtpool::control
