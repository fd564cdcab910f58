// One scrape of /metrics: values are read from where they are counted anyway when a scrape asks for
// them, so that counting costs nothing twice. Text in Prometheus's exposition format.
//
// MetricPage is used by one thread for one scrape. LatencyHistogram is observed and scraped from
// any thread. Labels are this program's own words, never text from the network: their number is
// bounded.
#pragma once

#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rtpool::control {

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

class MetricPage {
 public:
  // Values of one name with different labels are one family; its help is the first one's.
  void counter(std::string_view name, std::string_view help, double value,
               const MetricLabels& labels = {});
  void gauge(std::string_view name, std::string_view help, double value,
             const MetricLabels& labels = {});
  void histogram(std::string_view name, std::string_view help,
                 const prometheus::Histogram& histogram, const MetricLabels& labels = {});

  [[nodiscard]] std::string text() const;

 private:
  prometheus::ClientMetric& add(std::string_view name, std::string_view help,
                                prometheus::MetricType type, const MetricLabels& labels);
  std::vector<prometheus::MetricFamily> families_;
};

// Times of an operation, from 0.1 ms to 2.5 s.
class LatencyHistogram {
 public:
  LatencyHistogram();
  void observe(double seconds) { histogram_.Observe(seconds); }
  void write(MetricPage& page, std::string_view name, std::string_view help,
             const MetricLabels& labels = {}) const {
    page.histogram(name, help, histogram_, labels);
  }

 private:
  prometheus::Histogram histogram_;
};

}  // namespace rtpool::control
