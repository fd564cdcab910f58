// Medians of rounds. Pure.
#pragma once

#include <vector>

namespace rtpool::bench {

struct Spread {
  double median = 0, low = 0, high = 0;
};

// Of no values: zeros.
Spread spread_of(std::vector<double> values);
// The ratio of each round's value to the same round's `base`, then their spread: what slows the
// machine down for a while slows both. Rounds that one of them lacks or whose base is 0 are left
// out.
Spread ratio_of(const std::vector<double>& values, const std::vector<double>& base);

}  // namespace rtpool::bench
