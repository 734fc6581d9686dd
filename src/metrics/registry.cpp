#include "holdfast/metrics/registry.hpp"

#include <prometheus/text_serializer.h>

#include <cassert>
#include <sstream>
#include <utility>

#include "metrics/collector.hpp"

namespace holdfast::metrics {

Registry::Registry(std::size_t setup_threads, std::size_t pump_threads, BuildInfo build,
                   std::function<Sample()> sample)
    : setup_threads_(setup_threads),
      pump_threads_(pump_threads),
      build_(std::move(build)),
      sample_(std::move(sample)),
      setup_(std::make_unique<SetupCells[]>(setup_threads)),
      pumps_(std::make_unique<PumpCells[]>(pump_threads)) {}

Registry::~Registry() = default;

RouteCells& Registry::route(std::size_t pump_thread, std::string_view route) {
  assert(pump_thread < pump_threads_);
  auto found = routes_.find(route);
  if (found == routes_.end()) {
    found = routes_.emplace(std::string(route), std::make_unique<RouteCells[]>(pump_threads_)).first;
  }
  return found->second[pump_thread];
}

ListenerCells& Registry::listener(std::size_t setup_thread, std::string_view listener) {
  assert(setup_thread < setup_threads_);
  auto found = listeners_.find(listener);
  if (found == listeners_.end()) {
    found =
        listeners_.emplace(std::string(listener), std::make_unique<ListenerCells[]>(setup_threads_)).first;
  }
  return found->second[setup_thread];
}

SessionCells& Registry::sessions(std::size_t pump_thread, std::string_view listener, std::string_view route) {
  assert(pump_thread < pump_threads_);
  std::pair<std::string, std::string> key(listener, route);
  auto found = sessions_.find(key);
  if (found == sessions_.end()) {
    found = sessions_.emplace(std::move(key), std::make_unique<SessionCells[]>(pump_threads_)).first;
  }
  return found->second[pump_thread];
}

SetupCells& Registry::setup(std::size_t setup_thread) {
  assert(setup_thread < setup_threads_);
  return setup_[setup_thread];
}

PumpCells& Registry::pump(std::size_t pump_thread) {
  assert(pump_thread < pump_threads_);
  return pumps_[pump_thread];
}

std::uint64_t Registry::open_sessions(std::string_view listener) const {
  std::int64_t open = 0;
  for (const auto& [key, blocks] : sessions_) {
    if (key.first != listener) continue;
    for (std::size_t i = 0; i < pump_threads_; ++i) open += blocks[i].open.value();
  }
  // Cells of several threads are not read at one moment.
  return open < 0 ? 0 : static_cast<std::uint64_t>(open);
}

std::string Registry::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, Collector(*this).Collect());
  return out.str();
}

}  // namespace holdfast::metrics
