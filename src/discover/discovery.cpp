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
  // What a file's backends say of their probes is read on top of the upstream's.
  const bool same_probe = upstream.discover->file.empty() || upstream.probe == upstream_.probe;
  return upstream.discover == upstream_.discover && same_probe;
}

void Source::inherit(const Source& before) {
  backends_ = before.backends_;
  report_.backends = backends_.size();
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
  adopt(std::move(backends));
}

void Source::found_in_part(Backends backends, std::string why) {
  failed(std::move(why));
  if (backends != backends_) adopt(std::move(backends));
}

void Source::adopt(Backends backends) {
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

void Source::same_again() {
  if (!report_.error.empty()) {
    ++report_.failures;
    return;
  }
  report_.found_at = Clock::now();
  ++report_.confirmations;
}

Discovery::Discovery(boost::asio::io_context& io, Sink& sink) : io_(io), sink_(sink) {}
Discovery::~Discovery() = default;

config::Config Discovery::complete(const config::Config& written) const {
  config::Config whole = written;
  for (config::Upstream& upstream : whole.upstreams) {
    if (!upstream.discover) continue;
    const auto known = sources_.find(upstream.name);
    std::optional<Backends> found;
    std::string why;  // told by the source that will be made
    if (!upstream.discover->file.empty() && (known == sources_.end() || !known->second->serves(upstream)))
      found = read_backends(upstream, why);
    if (!found && known != sources_.end()) found = known->second->backends();
    if (found) add(upstream, *found);
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
      continue;
    }
    auto made = upstream.discover->file.empty() ? make_dns_source(io_, upstream, sink_)
                                                : make_file_source(io_, upstream, sink_);
    if (known != sources_.end()) made->inherit(*known->second);
    next.emplace(upstream.name, std::move(made));
  }
  sources_ = std::move(next);
}

std::optional<Report> Discovery::report(const std::string& upstream) const {
  const auto found = sources_.find(upstream);
  if (found == sources_.end()) return std::nullopt;
  return found->second->report();
}

}  // namespace holdfast::discover
