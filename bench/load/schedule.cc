#include "bench/load/schedule.h"

#include <algorithm>

namespace rtpool::bench {

Schedule::Schedule(std::size_t streams, std::int64_t interval_ns, std::int64_t start_ns,
                   Random& random)
    : base_ns_(start_ns), interval_ns_(interval_ns) {
  order_.reserve(streams);
  for (std::size_t i = 0; i < streams; ++i) {
    const auto phase =
        static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(interval_ns));
    order_.push_back({phase, static_cast<std::uint32_t>(i)});
  }
  std::ranges::sort(order_, {}, &Entry::phase_ns);
}

void Schedule::resume(std::int64_t now_ns) {
  if (now_ns <= due_ns()) return;
  const std::int64_t behind = now_ns - base_ns_;
  base_ns_ += behind / interval_ns_ * interval_ns_;
  next_ = 0;
  while (due_ns() < now_ns) advance();
}

}  // namespace rtpool::bench
