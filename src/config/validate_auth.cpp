// What the keys of routes[].auth can't do together.

#include <algorithm>
#include <set>

#include "config/text_checks.hpp"
#include "config/validate.hpp"

namespace holdfast::config {
namespace {

void check_jwt(const Jwt& jwt, const std::string& place, Problems& problems) {
  const bool has_keys = !jwt.keys_file.empty();
  const bool has_secret = !jwt.secret_file.empty();
  if (has_keys == has_secret)
    problems.error(place, has_keys ? "has keys_file and secret_file: only one of them is allowed"
                                   : "must have keys_file or secret_file");
  const bool only_hmac =
      std::ranges::all_of(jwt.algorithms, [](JwtAlgorithm a) { return a == JwtAlgorithm::hs256; });
  if (has_secret && !has_keys && !only_hmac)
    problems.error(place + ".algorithms",
                   "must be [\"HS256\"] with a secret_file: RS256 and ES256 need public keys");
  const bool may_be_sent = jwt.at_expiry == Jwt::stay || jwt.at_expiry == 1008 || jwt.at_expiry >= 3000;
  if (!may_be_sent)
    problems.error(place + ".at_expiry",
                   "is " + std::to_string(jwt.at_expiry) +
                       ", must be 1008, 3000-4999 or \"stay\": other codes mean something else");
}

}  // namespace

void validate_auth(const Auth& auth, const std::string& place, Problems& problems) {
  if (!auth.jwt && !auth.forward_auth)
    problems.error(place, "is empty, must have jwt or forward_auth: as it is, anybody would be let in");
  std::set<std::string> fields;
  const auto check_once = [&](const std::string& field, const std::string& where) {
    if (!fields.insert(as_variable(field)).second)
      problems.error(where, "is " + quote(field) + ", which is given twice ('_' counts as '-')");
  };
  if (auth.jwt) {
    check_jwt(*auth.jwt, place + ".jwt", problems);
    for (const auto& [claim, field] : auth.jwt->claims_to_headers)
      check_once(field, place + ".jwt.claims_to_headers." + quote(claim));
  }
  if (!auth.forward_auth) return;
  for (std::size_t n = 0; n < auth.forward_auth->copy_headers.size(); ++n)
    check_once(auth.forward_auth->copy_headers[n],
               place + ".forward_auth.copy_headers[" + std::to_string(n) + "]");
  if (!auth.forward_auth->ca.empty() && auth.forward_auth->scheme == ForwardAuth::Scheme::http)
    problems.error(place + ".forward_auth.ca",
                   "means nothing for " + quote(auth.forward_auth->url) + ": only https:// is verified");
}

}  // namespace holdfast::config
