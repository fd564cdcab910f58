#include "control/app/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>

namespace rtpool::control {

prometheus::ClientMetric& MetricPage::add(std::string_view name, std::string_view help,
                                          prometheus::MetricType type, const MetricLabels& labels) {
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const auto& f) { return f.name == name; });
  if (family == families_.end()) {
    families_.push_back({std::string(name), std::string(help), type, {}});
    family = std::prev(families_.end());
  }
  auto& metric = family->metric.emplace_back();
  for (const auto& [label, value] : labels)
    metric.label.push_back({std::string(label), std::string(value)});
  return metric;
}

void MetricPage::counter(std::string_view name, std::string_view help, double value,
                         const MetricLabels& labels) {
  add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricPage::gauge(std::string_view name, std::string_view help, double value,
                       const MetricLabels& labels) {
  add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricPage::histogram(std::string_view name, std::string_view help,
                           const prometheus::Histogram& histogram, const MetricLabels& labels) {
  auto& metric = add(name, help, prometheus::MetricType::Histogram, labels);
  metric.histogram = histogram.Collect().histogram;
}

std::string MetricPage::text() const {
  return prometheus::TextSerializer().Serialize(families_);
}

LatencyHistogram::LatencyHistogram()
    : histogram_({0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                  1.0, 2.5}) {}

}  // namespace rtpool::control
