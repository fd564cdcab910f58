// Pool members as /api/pool and `rtpool pool list` show them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "pool/pool_element.h"

namespace rtpool::control {

// "up", "suspect", "drained" or "full".
std::string_view state_of(const pool::PoolElement& element);
nlohmann::json element_json(const pool::PoolElement& element);
nlohmann::json pool_json(const pool::ListedPool& pool);

}  // namespace rtpool::control
