// A clock that stands still until the test moves it.
#pragma once

#include "relay/io/clock.h"

namespace rtpool::test {

class FakeClock final : public io::Clock {
 public:
  [[nodiscard]] Instant now() const override { return now_; }
  void advance(Duration duration) { now_ += duration; }

 private:
  Instant now_ = Instant(std::chrono::hours(1));
};

}  // namespace rtpool::test
