// Time as an input. `Instant` is monotonic and opaque: its clock has no now(), so code that works
// on Instants can't read a clock by itself; whoever owns the loop reads one (io/clock.h) and passes
// it in. Wall-clock time (Unix nanoseconds) is for records and logs only.
#pragma once

#include <chrono>
#include <cstdint>

namespace rtpool {

using Duration = std::chrono::nanoseconds;

struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, duration>;
  static constexpr bool is_steady = true;
};

// Nanoseconds since an arbitrary point; comparable only within one host's boot.
using Instant = MonotonicClock::time_point;

// Unix time in nanoseconds, UTC.
enum class WallTime : std::int64_t {};

}  // namespace rtpool
