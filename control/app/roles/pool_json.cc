#include "control/app/roles/pool_json.h"

#include <chrono>

namespace rtpool::control {

std::string_view state_of(const pool::PoolElement& element) {
  if (element.suspect) return "suspect";
  if (element.drained) return "drained";
  if (element.damped) return "damped";
  return element.full() ? "full" : "up";
}

nlohmann::json element_json(const pool::PoolElement& element) {
  return {{"id", element.name},
          {"address", element.endpoint},
          {"zone", element.zone},
          {"state", state_of(element)},
          {"load_percent", 100.0 * element.load / pool::kFullLoad},
          {"calls", element.calls},
          {"epoch", element.epoch},
          {"weight", element.values.weight},
          {"priority", element.values.priority},
          {"capacity", element.values.capacity}};
}

nlohmann::json pool_json(const pool::ListedPool& pool) {
  nlohmann::json relays = nlohmann::json::array();
  for (const auto& listed : pool.elements) {
    auto relay = element_json(listed.element);
    relay["last_heard_ms"] =
        std::chrono::duration_cast<std::chrono::milliseconds>(listed.last_heard_ago).count();
    relay["unreachable_reports"] = listed.reports;
    relay["damped_left_ms"] =
        std::chrono::ceil<std::chrono::milliseconds>(listed.damped_left).count();
    relays.push_back(std::move(relay));
  }
  return {{"pool", pool.pool},
          {"policy", pool::name_of(pool.policy)},
          {"panic", pool.panic},
          {"relays", std::move(relays)}};
}

}  // namespace rtpool::control
