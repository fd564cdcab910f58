// Counts of durations in nanoseconds, for percentiles of millions of packets in little memory.
// Buckets are 128 to a power of two, so a percentile is within 0.8 % of what was recorded. Negative
// durations count as zero, those beyond 2^40 ns (18 minutes) as that. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtpool::bench {

class Histogram {
 public:
  Histogram();

  void record(std::int64_t ns) {
    ++counts_[bucket_of(ns)];
    ++count_;
    if (ns > max_) max_ = ns;
  }
  void merge(const Histogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::int64_t max_ns() const { return max_; }
  // The duration that a share of `quantile` (0 to 1) is at most as long as: the middle of its
  // bucket, and the maximum itself for 1; 0 while nothing is recorded.
  [[nodiscard]] std::int64_t quantile_ns(double quantile) const;
  // How many were longer, to the bucket.
  [[nodiscard]] std::uint64_t longer_than(std::int64_t ns) const;

 private:
  static std::size_t bucket_of(std::int64_t ns);
  static std::int64_t lowest_of(std::size_t bucket);

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
};

}  // namespace rtpool::bench
