#pragma once
// Sums the cells of all threads into families. Kept apart from the registry's ownership.

#include <prometheus/collectable.h>

#include "holdfast/metrics/registry.hpp"

namespace holdfast::metrics {

/// A view of a registry for one scrape.
class Registry::Collector : public prometheus::Collectable {
 public:
  explicit Collector(const Registry& registry) : registry_(registry) {}

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  using Families = std::vector<prometheus::MetricFamily>;

  void sessions(Families& out) const;
  void handshakes(Families& out) const;
  void auth(Families& out) const;   // collect_auth.cpp
  void feeds(Families& out) const;  // collect_feeds.cpp
  void traffic(Families& out) const;
  void ends(Families& out) const;
  void losses(Families& out) const;
  void reroutes(Families& out, const Sample& sample) const;
  void durations(Families& out) const;
  void backends(Families& out, const Sample& sample) const;
  void balancing(Families& out, const Sample& sample) const;
  static void discoveries(Families& out, const Sample& sample);
  void protection(Families& out, const Sample& sample) const;
  void process(Families& out, const Sample& sample) const;

  const Registry& registry_;
};

}  // namespace holdfast::metrics
