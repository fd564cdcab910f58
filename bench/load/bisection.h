// Finds the largest number that passes, by doubling until one fails and halving between: asked
// step by step, so that the caller measures as it likes. Pure.
#pragma once

#include <algorithm>
#include <cstddef>

namespace rtpool::bench {

class Bisection {
 public:
  // Tries begin at `start` (> 0) and stay at or below `limit`; the search ends when what passed and
  // what failed are at most `resolution` (a share of what passed, such as 0.05) apart.
  Bisection(std::size_t start, std::size_t limit, double resolution)
      : limit_(std::max<std::size_t>(limit, 1)),
        resolution_(resolution),
        next_(std::min(std::max<std::size_t>(start, 1), limit_)) {}

  // What to try next; 0 when the search is over.
  [[nodiscard]] std::size_t next() const { return next_; }
  void report(bool passed) {
    (passed ? low_ : high_) = next_;
    if (high_ == 0) {
      next_ = low_ >= limit_ ? 0 : std::min(low_ * 2, limit_);
      return;
    }
    const auto step = static_cast<std::size_t>(static_cast<double>(low_) * resolution_);
    next_ = high_ - low_ <= std::max<std::size_t>(step, 1) ? 0 : low_ + (high_ - low_) / 2;
  }
  // The largest that passed; 0 when none did.
  [[nodiscard]] std::size_t best() const { return low_; }
  // Nothing failed up to the limit: the true answer lies beyond.
  [[nodiscard]] bool unbounded() const { return high_ == 0; }

 private:
  std::size_t limit_;
  double resolution_;
  std::size_t next_;
  std::size_t low_ = 0, high_ = 0;
};

}  // namespace rtpool::bench
