// When each stream sends: every stream has the same interval and a phase of its own, drawn at
// random, so that packets are spread over time as those of unrelated telephones are. Since all
// intervals are equal the order of streams repeats, and the next one due is found in constant time.
// Time is an argument (nanoseconds of any clock); not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/base/random.h"

namespace rtpool::bench {

class Schedule {
 public:
  // `streams` > 0, `interval_ns` > 0; the first packet is due at `start_ns` or after.
  Schedule(std::size_t streams, std::int64_t interval_ns, std::int64_t start_ns, Random& random);

  [[nodiscard]] std::int64_t due_ns() const { return base_ns_ + order_[next_].phase_ns; }
  [[nodiscard]] std::uint32_t stream() const { return order_[next_].stream; }
  void advance() {
    if (++next_ < order_.size()) return;
    next_ = 0;
    base_ns_ += interval_ns_;
  }
  // After a pause: moves on by whole intervals until the next packet is not due before `now_ns`,
  // so that what was not sent meanwhile is not sent in a burst.
  void resume(std::int64_t now_ns);

 private:
  struct Entry {
    std::int64_t phase_ns;
    std::uint32_t stream;
  };
  std::vector<Entry> order_;  // by phase
  std::size_t next_ = 0;
  std::int64_t base_ns_;
  std::int64_t interval_ns_;
};

}  // namespace rtpool::bench
