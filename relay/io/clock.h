// Where time enters the program. A loop's owner holds a Clock, reads it once per batch and passes
// the Instant on; tests hand a clock of their own (tests/support/fake_clock.h).
#pragma once

#include <time.h>

#include "relay/base/time.h"

namespace rtpool::io {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
};

// CLOCK_MONOTONIC: one value for all threads and processes of a host, so that instants can be
// compared among them.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(read(CLOCK_MONOTONIC)); }
  [[nodiscard]] static WallTime wall_time() { return WallTime{read(CLOCK_REALTIME).count()}; }

 private:
  static Duration read(clockid_t id) {
    timespec ts{};
    clock_gettime(id, &ts);
    return std::chrono::seconds(ts.tv_sec) + Duration(ts.tv_nsec);
  }
};

}  // namespace rtpool::io
