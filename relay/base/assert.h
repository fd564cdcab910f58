// Assertions that stay on in production: a state that the code itself rules out is a bug, and a
// relay that goes on with one harms calls silently. Input from outside is never checked by an
// assertion.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace rtpool {

[[noreturn]] inline void assertion_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "rtpool: assertion failed: %s at %s:%d\n", what, file, line);
  std::abort();
}

}  // namespace rtpool

#define RTPOOL_ASSERT(condition)                                  \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::rtpool::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
