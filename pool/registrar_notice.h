// What a registrar's log says of its pools.
#pragma once

#include <string>

#include "pool/registrar.h"

namespace rtpool::pool {

// One line, "pool 'media': 'relay-7' is dead".
std::string describe(const Registrar::Notice& notice);

// Whether an operator should see it.
bool is_warning(const Registrar::Notice& notice);

}  // namespace rtpool::pool
