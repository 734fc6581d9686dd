// What probes and ejections can't do together. What only does less than it seems to is a warning.

#include "config/validate.hpp"

namespace holdfast::config {
namespace {

// `base`: what the keys are where they are not written.
void check_probe(const Upstream& upstream, const Probe& probe, const Probe& base, const std::string& place,
                 Problems& problems) {
  const std::string type = quote(std::string(to_string(probe.type)));
  const bool http = probe.type == ProbeType::http;
  const bool websocket = probe.type == ProbeType::websocket;
  if (probe.type == ProbeType::tls && !upstream.tls)
    problems.error(place + ".type", "is \"tls\", which needs tls in the upstream: it tells what to verify");
  const auto unused = [&](bool is_used, const auto& value, const auto& unwritten, const char* key) {
    if (is_used || value == unwritten || probe.type == ProbeType::none) return;
    problems.warning(place + "." + key, "means nothing for a probe of type " + type);
  };
  unused(http || websocket, probe.path, base.path, "path");
  unused(http || websocket, probe.host, base.host, "host");
  unused(http || websocket, probe.headers, base.headers, "headers");
  unused(http, probe.method, base.method, "method");
  unused(http, probe.expect_status, base.expect_status, "expect_status");
  unused(http, probe.expect_body, base.expect_body, "expect_body");
  unused(websocket, probe.subprotocol, base.subprotocol, "subprotocol");
  unused(websocket, probe.send, base.send, "send");
  unused(websocket, probe.expect, base.expect, "expect");
  if (http && probe.method == "HEAD" && !probe.expect_body.empty())
    problems.error(place + ".expect_body", "can't be had with method HEAD: its answer has no body");
}

void check_port(const Probe& probe, const Address& address, const std::string& place, Problems& problems) {
  if (probe.port == 0 || address.kind != AddressKind::unix_path) return;
  problems.error(place + ".port", "is " + std::to_string(probe.port) + ", but " + quote(address.text) +
                                      " is a unix socket, which has no port");
}

void check_outlier(const Upstream& upstream, const std::string& place, Problems& problems) {
  const Outlier& outlier = upstream.outlier;
  if (outlier.eject_max < outlier.eject_for)
    problems.error(place + ".eject_max", "must not be shorter than eject_for");
  const bool off = outlier.max_ejected_percent == 0 || outlier.panic_percent == 0;
  if (!off && outlier.max_ejected_percent + outlier.panic_percent > 100)
    problems.warning(place + ".panic_percent",
                     "is " + std::to_string(outlier.panic_percent) + " and max_ejected_percent " +
                         std::to_string(outlier.max_ejected_percent) +
                         ": ejections alone can make this upstream panic, and then count for nothing");
}

}  // namespace

void validate_health(const Upstream& upstream, const std::string& place, Problems& problems) {
  check_probe(upstream, upstream.probe, Probe{}, place + ".probe", problems);
  for (std::size_t n = 0; n < upstream.backends.size(); ++n) {
    const BackendConfig& backend = upstream.backends[n];
    const std::string own = place + ".backends[" + std::to_string(n) + "].probe";
    if (backend.probe) check_probe(upstream, *backend.probe, upstream.probe, own, problems);
    check_port(probe_of(upstream.probe, backend.probe), backend.address,
               backend.probe ? own : place + ".probe", problems);
  }
  check_outlier(upstream, place + ".outlier", problems);
}

}  // namespace holdfast::config
