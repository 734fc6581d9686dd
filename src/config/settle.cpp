#include "config/settle.hpp"

#include <utility>

#include "config/socket_address.hpp"

namespace holdfast::config {
namespace {

constexpr std::size_t max_pem_bytes = 4U << 20U;
constexpr std::size_t max_token_bytes = 4096;
constexpr std::size_t max_secret_bytes = 4096;
constexpr std::size_t min_secret_bytes = 16;  // 128 bits, if each byte were random
constexpr const char* certificate_mark = "-----BEGIN CERTIFICATE-----";
constexpr const char* key_mark = "PRIVATE KEY-----";

std::string indexed(const char* list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

std::string default_route_name(const Route& route) {
  std::string name = route.host + route.path;
  if (name.empty()) name = "*";
  for (std::size_t i = 0; i < route.listeners.size(); ++i)
    name += (i == 0 ? " on " : ",") + route.listeners[i];
  return name;
}

bool is_token(const std::string& text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7f) return false;
  }
  return !text.empty();
}

}  // namespace

std::string trimmed(const std::string& text) {
  constexpr const char* white_space = " \t\r\n";
  const std::size_t first = text.find_first_not_of(white_space);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

void settle_numeric(Address& address, const std::filesystem::path& directory, const std::string& place,
                    Problems& problems) {
  if (address.kind == AddressKind::unix_path && !address.path.empty()) {
    address.path = (directory / address.path).lexically_normal().string();
    const auto socket = unix_socket(address.path);
    if (!socket)
      return problems.error(
          place, quote(address.path) + " is longer than the 107 bytes a unix socket's path may have");
    address.sockets = {*socket};
  }
  if (!address.text.empty() && address.sockets.empty())
    problems.error(place,
                   "is " + quote(address.text) + ", must be an IP address: names are for discover.dns");
}

Settler::Settler(const World& world, std::filesystem::path directory, Problems& problems)
    : world_(world), directory_(std::move(directory)), problems_(problems) {}

void Settler::settle(Config& config) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    settle_listener(config.listeners[i], indexed("listeners", i));
  }
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    settle_upstream(config.upstreams[i], indexed("upstreams", i));
  }
  for (std::size_t i = 0; i < config.feeds.size(); ++i) settle_feed(config.feeds[i], indexed("feeds", i));
  const bool only_one = config.upstreams.size() == 1;
  if (config.routes.empty() && only_one && !problems_.has("routes")) {
    config.routes.emplace_back().name = "default";
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    Route& route = config.routes[i];
    if (route.name.empty()) route.name = default_route_name(route);
    if (route.upstream.empty() && route.feed.empty() && only_one) route.upstream = config.upstreams[0].name;
    read_secret(route.reroute.secret_file, route.reroute.secret,
                indexed("routes", i) + ".reroute.secret_file");
    if (route.auth) settle_auth(*route.auth, indexed("routes", i) + ".auth");
  }
  settle_admin(config.admin);
  if (config.log.access != "-") make_absolute(config.log.access);
}

void Settler::settle_listener(Listener& listener, const std::string& place) {
  if (listener.name.empty()) listener.name = listener.bind.text;
  const std::string error = resolve(listener.bind);
  if (!error.empty()) problems_.error(place + ".bind", error);
  if (!listener.tls) return;
  for (std::size_t i = 0; i < listener.tls->certificates.size(); ++i) {
    read_certificate(listener.tls->certificates[i], place + "." + indexed("tls.certificates", i));
  }
  read_pem(listener.tls->client_ca, place + ".tls.client_ca", certificate_mark);
}

void Settler::settle_upstream(Upstream& upstream, const std::string& place) {
  const auto settle_type = [&](Probe& probe) {
    if (probe.type == ProbeType::automatic) probe.type = upstream.tls ? ProbeType::tls : ProbeType::tcp;
  };
  settle_type(upstream.probe);
  for (BackendConfig& backend : upstream.backends) {
    if (backend.probe) settle_type(*backend.probe);
  }
  for (std::size_t i = 0; i < upstream.backends.size(); ++i) {
    Address& address = upstream.backends[i].address;
    const std::string where = place + "." + indexed("backends", i) + ".address";
    const std::string error = resolve(address);
    if (error.empty()) continue;
    // A name server that is down must not keep the proxy from starting; a bad path is a mistake.
    if (address.kind == AddressKind::tcp) {
      problems_.warning(where, error + "; the backend stays unhealthy until a reload resolves it");
    } else {
      problems_.error(where, error);
    }
  }
  // A floating address may be here only later: no error.
  for (std::size_t i = 0; world_.check_source && i < upstream.source.size(); ++i) {
    const std::string why = world_.check_source(upstream.source[i]);
    if (!why.empty())
      problems_.warning(place + "." + indexed("source", i), "can't be used on this machine: " + why);
  }
  if (upstream.sticky)
    read_secret(upstream.sticky->secret_file, upstream.sticky->secret, place + ".sticky.secret_file");
  if (upstream.discover) make_absolute(upstream.discover->file);
  if (!upstream.tls) return;
  UpstreamTls& tls = *upstream.tls;
  read_pem(tls.ca, place + ".tls.ca", certificate_mark);
  const bool half = tls.certificate.chain.path.empty() != tls.certificate.key.path.empty();
  if (half) {
    problems_.error(place + ".tls.certificate", "must have both chain and key, or neither");
  } else if (!tls.certificate.chain.path.empty()) {
    read_certificate(tls.certificate, place + ".tls.certificate");
  }
}

void Settler::settle_admin(Admin& admin) {
  if (admin.bind) {
    const std::string error = resolve(*admin.bind);
    if (!error.empty()) problems_.error("admin.bind", error);
  }
  if (admin.token_file.empty()) return;
  make_absolute(admin.token_file);
  const FileContent content = world_.read_file(admin.token_file, max_token_bytes);
  if (!content.error.empty()) {
    problems_.error("admin.token_file", quote(admin.token_file) + " can't be read: " + content.error);
    return;
  }
  admin.token = trimmed(content.bytes);
  if (is_token(admin.token)) return;
  problems_.error("admin.token_file",
                  quote(admin.token_file) + " must hold one word of visible ASCII characters");
}

void Settler::read_secret(std::string& file, std::string& secret, const std::string& place) {
  if (file.empty()) return;
  make_absolute(file);
  const FileContent content = world_.read_file(file, max_secret_bytes);
  if (!content.error.empty()) {
    problems_.error(place, quote(file) + " can't be read: " + content.error);
    return;
  }
  secret = trimmed(content.bytes);
  if (secret.size() >= min_secret_bytes) return;
  problems_.error(place, quote(file) + " must hold at least " + std::to_string(min_secret_bytes) +
                             " bytes, white space around them aside");
}

void Settler::read_certificate(Certificate& certificate, const std::string& place) {
  read_pem(certificate.chain, place + ".chain", certificate_mark);
  read_pem(certificate.key, place + ".key", key_mark);
  const bool whole = !certificate.chain.empty() && !certificate.key.empty();
  if (!whole || !world_.check_certificate) return;
  const std::string why = world_.check_certificate(certificate);
  if (!why.empty()) problems_.error(place, why);
}

void Settler::read_pem(PemFile& file, const std::string& place, const char* expected) {
  if (file.path.empty()) return;
  make_absolute(file.path);
  FileContent content = world_.read_file(file.path, max_pem_bytes);
  if (!content.error.empty()) {
    problems_.error(place, quote(file.path) + " can't be read: " + content.error);
    return;
  }
  if (content.bytes.find(expected) == std::string::npos) {
    problems_.error(place, quote(file.path) + " is not PEM: nothing in it says \"" + expected + "\"");
    return;
  }
  file.pem = std::move(content.bytes);
}

std::string Settler::resolve(Address& address) {
  if (address.kind == AddressKind::unix_path) {
    if (address.path.empty()) return {};
    make_absolute(address.path);
    address.sockets.clear();
    const auto socket = unix_socket(address.path);
    if (!socket) return quote(address.path) + " is longer than the 107 bytes a unix socket's path may have";
    address.sockets.push_back(*socket);
    return {};
  }
  const bool nothing_to_do =
      address.kind != AddressKind::tcp || address.host.empty() || !address.sockets.empty();
  if (nothing_to_do) return {};
  const auto [found, is_new] = resolved_.try_emplace(address.host);
  Resolved& resolved = found->second;
  if (is_new) resolved.sockets = world_.resolve(address.host, resolved.error);
  for (const SocketAddress& socket : resolved.sockets)
    address.sockets.push_back(with_port(socket, address.port));
  if (!address.sockets.empty()) return {};
  return quote(address.host) + " can't be resolved: " + resolved.error;
}

void Settler::make_absolute(std::string& path) const {
  if (!path.empty()) path = (directory_ / path).lexically_normal().string();
}

}  // namespace holdfast::config
