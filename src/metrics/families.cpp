#include "metrics/families.hpp"

#include <limits>

namespace holdfast::metrics {

FamilyBuilder::FamilyBuilder(std::string name, std::string help, prometheus::MetricType type) {
  family_.name = std::move(name);
  family_.help = std::move(help);
  family_.type = type;
}

prometheus::ClientMetric& FamilyBuilder::add(const Labels& labels) {
  prometheus::ClientMetric& metric = family_.metric.emplace_back();
  for (const auto& [name, value] : labels) metric.label.push_back({std::string(name), std::string(value)});
  return metric;
}

void FamilyBuilder::counter(const Labels& labels, double value) {
  add(labels).counter.value = value;
}

void FamilyBuilder::gauge(const Labels& labels, double value) {
  add(labels).gauge.value = value;
}

void FamilyBuilder::histogram(const Labels& labels, const std::vector<const Histogram*>& cells) {
  if (cells.empty()) return;
  prometheus::ClientMetric::Histogram& out = add(labels).histogram;
  const auto bounds = cells.front()->bounds();
  for (std::size_t index = 0; index <= bounds.size(); ++index) {
    for (const Histogram* cell : cells) out.sample_count += cell->bucket(index);
    const double bound = index < bounds.size() ? bounds[index] : std::numeric_limits<double>::infinity();
    out.bucket.push_back({out.sample_count, bound});
  }
  for (const Histogram* cell : cells) out.sample_sum += cell->sum_seconds();
}

void FamilyBuilder::append_to(std::vector<prometheus::MetricFamily>& families) && {
  if (!family_.metric.empty()) families.push_back(std::move(family_));
}

FamilyBuilder counter_family(std::string name, std::string help) {
  return {std::move(name), std::move(help), prometheus::MetricType::Counter};
}

FamilyBuilder gauge_family(std::string name, std::string help) {
  return {std::move(name), std::move(help), prometheus::MetricType::Gauge};
}

FamilyBuilder histogram_family(std::string name, std::string help) {
  return {std::move(name), std::move(help), prometheus::MetricType::Histogram};
}

}  // namespace holdfast::metrics
