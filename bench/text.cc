#include "bench/text.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace rtpool::bench {

std::string format(const char* pattern, ...) {
  std::array<char, 512> text;
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, arguments);
  va_end(arguments);
  return text.data();
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
std::string number_text(const char* pattern, double value) {
  return format(pattern, value);
}
#pragma GCC diagnostic pop

}  // namespace rtpool::bench
