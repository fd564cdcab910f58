// Where the program reads clocks and draws seeds for control/: everything below takes them as
// arguments.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "relay/base/time.h"

namespace rtpool::control {

// CLOCK_MONOTONIC, as the relay's own clock.
inline Instant monotonic_now() {
  return Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

inline WallTime wall_now() {
  return WallTime{
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count()};
}

inline std::int64_t unix_seconds_now() {
  return static_cast<std::int64_t>(wall_now()) / 1'000'000'000;
}

// From the kernel. Not for keys.
inline std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace rtpool::control
