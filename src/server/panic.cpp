#include "server/panic.hpp"

#include <utility>

namespace holdfast::server {

namespace {

std::string shares(const upstream::Upstream& upstream) {
  const upstream::Upstream::Census census = upstream.census();
  return std::to_string(census.eligible) + " of " + std::to_string(census.active) +
         " active backends are eligible";
}

}  // namespace

std::string panic_sentence(const upstream::Upstream& upstream) {
  return "upstream " + upstream.name() + " panics: " + shares(upstream) + ", fewer than panic_percent (" +
         std::to_string(upstream.outlier().rules().panic_percent) + " %): all active ones are used";
}

PanicWatch::News PanicWatch::look(const Destinations& destinations) {
  News news;
  std::set<std::string> now;
  for (const auto& destination : destinations) {
    const upstream::Upstream& upstream = *destination->upstream;
    if (upstream.panics()) {
      now.insert(upstream.name());
      if (!panicking_.contains(upstream.name())) news.begun.push_back(panic_sentence(upstream));
    } else if (panicking_.contains(upstream.name())) {
      news.over.push_back("upstream " + upstream.name() + " panics no longer: " + shares(upstream));
    }
  }
  panicking_ = std::move(now);
  return news;
}

}  // namespace holdfast::server
