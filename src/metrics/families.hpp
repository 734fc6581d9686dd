#pragma once
// Building prometheus families without repeating the library's field names everywhere.

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/metrics/cells.hpp"

namespace holdfast::metrics {

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

/// A family that grows sample by sample. One without samples is left out of the exposition.
class FamilyBuilder {
 public:
  FamilyBuilder(std::string name, std::string help, prometheus::MetricType type);

  void counter(const Labels& labels, double value);
  void gauge(const Labels& labels, double value);

  /// Adds several threads' cells up into one sample. All have the same bounds.
  void histogram(const Labels& labels, const std::vector<const Histogram*>& cells);

  void append_to(std::vector<prometheus::MetricFamily>& families) &&;

 private:
  prometheus::ClientMetric& add(const Labels& labels);

  prometheus::MetricFamily family_;
};

[[nodiscard]] FamilyBuilder counter_family(std::string name, std::string help);
[[nodiscard]] FamilyBuilder gauge_family(std::string name, std::string help);
[[nodiscard]] FamilyBuilder histogram_family(std::string name, std::string help);

}  // namespace holdfast::metrics
