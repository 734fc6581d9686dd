// Files and addresses that routes[].auth needs.

#include "config/settle.hpp"

namespace holdfast::config {

namespace {
constexpr std::size_t most_keys_bytes = 1U << 20U;
constexpr std::size_t most_secret_bytes = 4096;
}  // namespace

void Settler::settle_auth(Auth& auth, const std::string& place) {
  if (auth.jwt) settle_jwt(*auth.jwt, place + ".jwt");
  if (auth.forward_auth) settle_forward_auth(*auth.forward_auth, place + ".forward_auth");
}

void Settler::settle_jwt(Jwt& jwt, const std::string& place) {
  const bool has_secret = !jwt.secret_file.empty();
  if (jwt.algorithms.empty())
    jwt.algorithms =
        has_secret ? std::vector{JwtAlgorithm::hs256} : std::vector{JwtAlgorithm::rs256, JwtAlgorithm::es256};
  if (!jwt.keys_file.empty()) jwt.keys = read_whole(jwt.keys_file, most_keys_bytes, place + ".keys_file");
  if (!has_secret) return;
  jwt.secret = trimmed(read_whole(jwt.secret_file, most_secret_bytes, place + ".secret_file"));
  if (jwt.secret.size() >= Jwt::least_secret_bytes) return;
  problems_.error(place + ".secret_file", quote(jwt.secret_file) + " must hold at least " +
                                              std::to_string(Jwt::least_secret_bytes) +
                                              " bytes, white space around them aside");
}

void Settler::settle_forward_auth(ForwardAuth& service, const std::string& place) {
  if (service.url.empty()) return;
  // As with backends: a name server that is down must not keep the proxy from starting.
  if (const std::string error = resolve(service.address); !error.empty())
    problems_.warning(place + ".url", error + "; nobody is let in until a reload resolves it");
  if (service.ca.empty()) return;
  PemFile file{service.ca, {}};
  read_pem(file, place + ".ca", "-----BEGIN CERTIFICATE-----");
  service.ca = std::move(file.path);
  service.ca_pem = std::move(file.pem);
}

std::string Settler::read_whole(std::string& path, std::size_t most_bytes, const std::string& place) {
  make_absolute(path);
  FileContent content = world_.read_file(path, most_bytes);
  if (!content.error.empty()) problems_.error(place, quote(path) + " can't be read: " + content.error);
  return std::move(content.bytes);
}

}  // namespace holdfast::config
