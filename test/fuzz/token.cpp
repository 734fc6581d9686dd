// Bytes of strangers against everything of `auth`. The first byte says what the rest is: a token, the header
// and the payload of a token that is signed rightly (else no claim would ever be looked at), a file of keys,
// or a request that may carry tokens.
#include "holdfast/auth/token.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "holdfast/auth/credentials.hpp"
#include "unit/auth/signed.hpp"

namespace {

namespace auth = holdfast::auth;
namespace config = holdfast::config;
namespace ws = holdfast::ws;
using holdfast::metrics::TokenResult;

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

config::Jwt rules() {
  config::Jwt jwt = auth::test::rules();
  jwt.claims_to_headers = {{"sub", "X-User"}, {"/a/0", "X-A"}, {"/a/b~1c", "X-B"}};
  return jwt;
}

auth::TokenVerdict judge(std::string_view token) {
  static const config::Jwt jwt = rules();
  static const auth::KeySet keys = auth::KeySet::create(jwt).value();
  return auth::judge_token(token, jwt, keys, auth::test::now);
}

void check_signed(std::string_view rest) {
  const std::size_t middle = std::min(rest.find('\n'), rest.size());
  const std::string_view payload = rest.substr(std::min(middle + 1, rest.size()));
  const auto verdict = judge(auth::test::sign(rest.substr(0, middle), payload));
  require(verdict.result != TokenResult::bad_signature);
  if (verdict.result != TokenResult::accepted) return require(verdict.grant.fields.empty());
  require(verdict.grant.until && *verdict.grant.until > auth::test::now);
  for (const auto& [name, value] : verdict.grant.fields) {
    require(!value.empty() && value.size() <= 4096);
    require(
        std::ranges::none_of(value, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }));
  }
}

void check_keys(std::string_view rest) {
  config::Jwt jwt;
  jwt.keys = rest;
  jwt.algorithms = {config::JwtAlgorithm::hs256, config::JwtAlgorithm::rs256, config::JwtAlgorithm::es256};
  const auto keys = auth::KeySet::create(jwt);
  if (!keys) return require(!keys.error().what.empty());
  for (const auth::Key& key : keys.value().keys()) require(!key.verifies("text", "no signature"));
}

void check_request(std::string_view rest) {
  const auto head = ws::RequestHead::parse(rest);
  if (!head) return;
  const auto request = ws::check_request(head.value());
  if (!request) return;
  using Kind = config::TokenPlace::Kind;
  const std::vector<config::TokenPlace> places{
      {Kind::header, ""}, {Kind::cookie, "t"}, {Kind::query, "t"}, {Kind::subprotocol, ""}};
  ws::ForwardedBy by;
  auth::strip_tokens(head.value(), request.value(), places, by.edits);
  const std::string stem = ws::with_offer(ws::build_request_stem(head.value(), by), head.value(), by.edits);
  const auto again = ws::RequestHead::parse(ws::finish_request(stem, "dGhlIHNhbXBsZSBub25jZQ=="));
  if (!again) return;  // our own fields may make it too large
  const auto read = ws::check_request(again.value());
  require(read.has_value());
  const std::vector<config::TokenPlace> stripped(places.begin(), places.begin() + 3);
  require(auth::find_token(again.value(), read.value(), stripped).result == TokenResult::missing);
  const auto parts = auth::part_subprotocols(request.value().subprotocols);
  require(parts.others.size() + parts.tokens.size() <= request.value().subprotocols.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 't':
      require(judge(rest).result != TokenResult::accepted);
      break;
    case 's':
      check_signed(rest);
      break;
    case 'k':
      check_keys(rest);
      break;
    default:
      check_request(rest);
  }
  return 0;
}
