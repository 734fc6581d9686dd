#include "holdfast/discover/discovery.hpp"

#include <set>
#include <utility>

#include "discover/source.hpp"

namespace holdfast::discover {

namespace {

// What the configuration lists stays as it is written, also where it is found, too.
void add(config::Upstream& upstream, const Backends& found) {
  std::set<std::string> listed;
  for (const config::BackendConfig& backend : upstream.backends) listed.insert(backend.address.text);
  for (const config::BackendConfig& backend : found) {
    if (!listed.contains(backend.address.text)) upstream.backends.push_back(backend);
  }
}

}  // namespace

Source::Source(const config::Upstream& upstream, std::string what, Discovery::Sink& sink)
    : upstream_([&] {
        config::Upstream known;
        known.name = upstream.name;
        known.discover = upstream.discover;
        known.probe = upstream.probe;
        return known;
      }()),
      sink_(sink) {
  report_.source = std::move(what);
}

bool Source::serves(const config::Upstream& upstream) const {
  return upstream.discover == upstream_.discover && upstream.probe == upstream_.probe;
}

void Source::found(Backends backends) {
  report_.found_at = Clock::now();
  if (!report_.error.empty()) {
    report_.error.clear();
    sink_.discovery_recovered(upstream_.name);
  }
  if (backends == backends_) {
    ++report_.confirmations;
    return;
  }
  ++report_.changes;
  backends_ = std::move(backends);
  report_.backends = backends_.size();
  sink_.found(upstream_.name);
}

void Source::failed(std::string why) {
  ++report_.failures;
  if (why == report_.error) return;
  report_.error = std::move(why);
  sink_.discovery_failed(upstream_.name, report_.source + ": " + report_.error);
}

Discovery::Discovery(boost::asio::io_context& io, Sink& sink) : io_(io), sink_(sink) {}
Discovery::~Discovery() = default;

config::Config Discovery::complete(const config::Config& written) const {
  config::Config whole = written;
  for (config::Upstream& upstream : whole.upstreams) {
    if (!upstream.discover) continue;
    const auto known = sources_.find(upstream.name);
    if (known != sources_.end() && known->second->serves(upstream)) {
      add(upstream, known->second->backends());
    } else if (!upstream.discover->file.empty()) {
      std::string why;  // told by the source that will be made
      if (const auto found = read_backends(upstream, why)) add(upstream, *found);
    }
  }
  return whole;
}

void Discovery::follow(const config::Config& written) {
  std::map<std::string, std::unique_ptr<Source>> next;
  for (const config::Upstream& upstream : written.upstreams) {
    if (!upstream.discover) continue;
    const auto known = sources_.find(upstream.name);
    if (known != sources_.end() && known->second->serves(upstream)) {
      next.insert(sources_.extract(known));
    } else if (upstream.discover->file.empty()) {
      next.emplace(upstream.name, make_dns_source(io_, upstream, sink_));
    } else {
      next.emplace(upstream.name, make_file_source(io_, upstream, sink_));
    }
  }
  sources_ = std::move(next);
}

std::optional<Report> Discovery::report(const std::string& upstream) const {
  const auto found = sources_.find(upstream);
  if (found == sources_.end()) return std::nullopt;
  return found->second->report();
}

}  // namespace holdfast::discover
