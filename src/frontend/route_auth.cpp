#include "holdfast/frontend/route_auth.hpp"

namespace holdfast::frontend {

namespace {

// dial::connect needs no more of an upstream than this.
Result<std::shared_ptr<const dial::Destination>> service_of(const config::ForwardAuth& settings) {
  auto service = std::make_shared<dial::Destination>();
  service->settings.name = settings.url;
  service->settings.connect_timeout = settings.timeout;
  if (settings.scheme == config::ForwardAuth::Scheme::https) {
    config::UpstreamTls tls;
    tls.ca = {settings.ca, settings.ca_pem};
    auto made = net::TlsClient::create(tls);
    if (!made) return made.error();
    service->tls = std::move(made.value());
  }
  return std::shared_ptr<const dial::Destination>(std::move(service));
}

std::string key_of(const config::ForwardAuth& settings) {
  std::string key = settings.url;
  for (const std::string& name : settings.copy_headers) key += "\n" + name;
  return key;
}

}  // namespace

std::shared_ptr<RouteAuth> RouteAuth::create(const config::Auth& settings, const std::string& place,
                                             std::vector<config::Problem>& problems) {
  auto made = std::make_shared<RouteAuth>();
  const std::size_t problems_before = problems.size();
  made->settings = settings;
  if (settings.jwt) {
    auto keys = auth::KeySet::create(*settings.jwt);
    if (keys) {
      made->keys = std::move(keys.value());
    } else {
      problems.push_back(
          {place + ".jwt.keys_file", "\"" + settings.jwt->keys_file + "\" " + keys.error().what});
    }
  }
  if (settings.forward_auth) {
    auto service = service_of(*settings.forward_auth);
    if (service) {
      made->service = std::move(service.value());
      made->service_key = key_of(*settings.forward_auth);
    } else {
      problems.push_back({place + ".forward_auth.ca", service.error().what});
    }
  }
  return problems.size() == problems_before ? made : nullptr;
}

}  // namespace holdfast::frontend
