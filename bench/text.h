// printf into a string, for tables.
#pragma once

#include <string>

namespace rtpool::bench {

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

}  // namespace rtpool::bench
