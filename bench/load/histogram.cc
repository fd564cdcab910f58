#include "bench/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace rtpool::bench {
namespace {

constexpr int kSubBits = 7;  // 128 buckets to a power of two
constexpr int kMaxBits = 40;
constexpr std::int64_t kLongest = (std::int64_t{1} << kMaxBits) - 1;
constexpr std::size_t kBuckets = std::size_t{kMaxBits - kSubBits + 1} << kSubBits;

}  // namespace

Histogram::Histogram() : counts_(kBuckets) {}

// Below 256 each value has a bucket of its own; above, a bucket is its exponent and leading bits.
std::size_t Histogram::bucket_of(std::int64_t ns) {
  const auto value = static_cast<std::uint64_t>(std::clamp<std::int64_t>(ns, 0, kLongest));
  const int exponent = std::max(static_cast<int>(std::bit_width(value)) - kSubBits - 1, 0);
  return (static_cast<std::size_t>(exponent) << kSubBits) + (value >> exponent);
}

std::int64_t Histogram::lowest_of(std::size_t bucket) {
  const std::size_t exponent = bucket < (2U << kSubBits) ? 0 : (bucket >> kSubBits) - 1;
  return static_cast<std::int64_t>((bucket - (exponent << kSubBits)) << exponent);
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::int64_t Histogram::quantile_ns(double quantile) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(count_)));
  if (wanted == count_) return max_;
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (counts_[bucket] == 0 || seen < wanted) continue;
    return std::min((lowest_of(bucket) + lowest_of(bucket + 1)) / 2, max_);
  }
  return 0;
}

std::uint64_t Histogram::longer_than(std::int64_t ns) const {
  std::uint64_t longer = 0;
  for (std::size_t bucket = bucket_of(ns) + 1; bucket < counts_.size(); ++bucket) {
    longer += counts_[bucket];
  }
  return longer;
}

}  // namespace rtpool::bench
