#include "frontend/hash_key.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "frontend/common_fields.hpp"
#include "holdfast/balance/view.hpp"

namespace holdfast::frontend {
namespace {

using config::HashOn;
using config::Policy;
using config::PolicyKind;

const std::string stem =
    "GET /rooms/7?room=blue&x=1&room=red&empty=&flag HTTP/1.1\r\n"
    "Host: h\r\nX-User: Ann \r\nCookie: a=1; sid=s1 ;b=2\r\nCookie: sid2=s2\r\nX-Forwarded-For: 192.0.2.7\r\n"
    "Empty:\r\n";

std::optional<std::uint64_t> key(HashOn on, std::string name = "", const std::string& of = stem) {
  return hash_key(Policy{PolicyKind::hash, on, std::move(name)}, of);
}

TEST_CASE("each policy hashes its own part of the request") {
  using balance::hash_of;
  CHECK(key(HashOn::ip) == hash_of("192.0.2.7"));
  CHECK(key(HashOn::header, "x-user") == hash_of("Ann"));
  CHECK(key(HashOn::cookie, "sid") == hash_of("s1"));
  CHECK(key(HashOn::cookie, "sid2") == hash_of("s2"));
  CHECK(key(HashOn::cookie, "b") == hash_of("2"));
  CHECK(key(HashOn::query, "room") == hash_of("blue"));
  CHECK(key(HashOn::query, "x") == hash_of("1"));
  CHECK(key(HashOn::path) == hash_of("/rooms/7"));
  CHECK(key(HashOn::path, "", "GET /a HTTP/1.1\r\nHost: h\r\n") == hash_of("/a"));
}

TEST_CASE("requests without it, or with an empty one, have no key") {
  CHECK_FALSE(key(HashOn::header, "X-Other").has_value());
  CHECK_FALSE(key(HashOn::header, "Empty").has_value());
  CHECK_FALSE(key(HashOn::cookie, "SID").has_value());  // cookies' names have case
  CHECK_FALSE(key(HashOn::cookie, "s1").has_value());
  CHECK_FALSE(key(HashOn::query, "empty").has_value());
  CHECK_FALSE(key(HashOn::query, "flag").has_value());
  CHECK_FALSE(key(HashOn::query, "roo").has_value());
  CHECK_FALSE(key(HashOn::query, "room", "GET /rooms HTTP/1.1\r\n").has_value());
  CHECK_FALSE(key(HashOn::ip, "", "GET / HTTP/1.1\r\nHost: h\r\n").has_value());
  CHECK_FALSE(hash_key(Policy{}, stem).has_value());
}

// An untrusted client's own X-Forwarded-For never gets here: there is one address, ours. A trusted peer's is
// followed by the peer.
TEST_CASE("behind a trusted peer the client is who the peer names last") {
  const auto of = [](const std::string& forwarded) {
    return key(HashOn::ip, "", "GET / HTTP/1.1\r\nX-Forwarded-For: " + forwarded + "\r\n");
  };
  CHECK(of("203.0.113.9, 10.0.0.1") == balance::hash_of("203.0.113.9"));
  CHECK(of("forged, 203.0.113.9,10.0.0.1") == balance::hash_of("203.0.113.9"));
  CHECK(of("2001:db8::1") == balance::hash_of("2001:db8::1"));
}

TEST_CASE("what was kept for reroutes gives the same keys as the first handshake") {
  CommonFields fields;
  const auto kept = session::Continuation::make(fields.split(stem), "", "");
  for (const auto& [on, name] : std::vector<std::pair<HashOn, std::string>>{{HashOn::ip, ""},
                                                                            {HashOn::header, "Host"},
                                                                            {HashOn::cookie, "sid2"},
                                                                            {HashOn::query, "room"},
                                                                            {HashOn::path, ""}}) {
    const Policy policy{PolicyKind::hash, on, name};
    REQUIRE(hash_key(policy, stem).has_value());
    CHECK(hash_key(policy, *kept) == hash_key(policy, stem));
  }
  CHECK_FALSE(hash_key(Policy{}, *kept).has_value());
}

TEST_CASE("cookies of one name are found one after the other, whatever stands between them") {
  std::string_view rest = "x; sid=1;sid = 2 ; =sid; sid; sidx=3;sid=";
  std::vector<std::string> found;
  while (const auto value = next_cookie(rest, "sid")) found.emplace_back(*value);
  CHECK(found == std::vector<std::string>{"1", "2", "", ""});
  rest = "";
  CHECK_FALSE(next_cookie(rest, "sid").has_value());
}

}  // namespace
}  // namespace holdfast::frontend
