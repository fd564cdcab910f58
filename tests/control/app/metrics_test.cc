#include "control/app/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, ValuesOfOneNameAreOneFamilyWithTheirLabels) {
  MetricPage page;
  page.counter("rtpool_drops_total", "Dropped datagrams.", 3, {{"reason", "empty"}});
  page.gauge("rtpool_calls", "Calls now.", 2);
  page.counter("rtpool_drops_total", "Dropped datagrams.", 4, {{"reason", "no_peer"}});
  const std::string text = page.text();
  EXPECT_THAT(
      text, HasSubstr("# TYPE rtpool_drops_total counter\nrtpool_drops_total{reason=\"empty\"} 3\n"
                      "rtpool_drops_total{reason=\"no_peer\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("rtpool_calls 2\n"));
}

TEST(Metrics, LatenciesFallIntoTheirBuckets) {
  LatencyHistogram histogram;
  histogram.observe(0.0004);
  histogram.observe(0.2);
  MetricPage page;
  histogram.write(page, "rtpool_ng_seconds", "Times.");
  const std::string text = page.text();
  EXPECT_THAT(text, HasSubstr("rtpool_ng_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("rtpool_ng_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("rtpool_ng_seconds_count 2\n"));
}

}  // namespace
}  // namespace rtpool::control
