#include "bench/load/statistics.h"

#include <algorithm>

namespace rtpool::bench {

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {.median = median, .low = values.front(), .high = values.back()};
}

Spread ratio_of(const std::vector<double>& values, const std::vector<double>& base) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(values.size(), base.size()); ++i) {
    if (base[i] != 0) ratios.push_back(values[i] / base[i]);
  }
  return spread_of(std::move(ratios));
}

}  // namespace rtpool::bench
