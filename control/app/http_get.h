// One HTTP GET, for the operator's commands. Blocks for at most `patience` to connect and again to
// read.
#pragma once

#include <chrono>
#include <string>

#include "relay/base/result.h"

namespace rtpool::control {

// The body of a 200 reply. `where` is HOST:PORT. Errors: AppErrc::unreachable, with a sentence.
Result<std::string> http_get(const std::string& where, const std::string& path,
                             std::chrono::milliseconds patience);

}  // namespace rtpool::control
