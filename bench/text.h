// printf into a string, for tables.
#pragma once

#include <string>

namespace rtpool::bench {

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// One number in a pattern that is ours but no literal, such as "%.2f".
std::string number_text(const char* pattern, double value);

}  // namespace rtpool::bench
