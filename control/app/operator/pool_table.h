// Pools and their relays as tables and as JSON, from what registrars say (registrars.h) or from a
// controller-like view. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/app/operator/registrars.h"
#include "control/app/operator/terminal.h"

namespace rtpool::control {

Colour colour_of(std::string_view state);

// "3 of 3 agree", "2 of 3 answer", "differ".
std::string agreement(const Fleet& fleet, const SeenPool& pool);

std::string pool_list_text(const Fleet& fleet, bool colours);
nlohmann::json pool_list_json(const Fleet& fleet);

// `detailed`: with when each was heard and who reported it, which only registrars know.
Table relay_table(const std::vector<SeenElement>& elements, bool detailed);
std::string pool_show_text(const Fleet& fleet, const SeenPool& pool, bool colours);
nlohmann::json pool_show_json(const Fleet& fleet, const SeenPool& pool);

// Each registrar named, whether it answers, and why not.
nlohmann::json registrars_json(const Fleet& fleet);

struct PoolTotals {
  std::uint64_t calls = 0;
  std::uint64_t capacity = 0;  // of relays that have one
};
PoolTotals totals_of(const std::vector<SeenElement>& elements);

}  // namespace rtpool::control
