// Pool members as /api/pool and `rtpool pool show` give them.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "pool/pool_element.h"

namespace rtpool::control {

// What state_of() can say.
inline constexpr std::array<std::string_view, 4> kElementStates{"up", "suspect", "drained", "full"};
std::string_view state_of(const pool::PoolElement& element);
nlohmann::json element_json(const pool::PoolElement& element);
nlohmann::json pool_json(const pool::ListedPool& pool);

}  // namespace rtpool::control
