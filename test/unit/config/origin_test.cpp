#include "holdfast/config/origin.hpp"

#include <doctest/doctest.h>

namespace holdfast::config::test {
namespace {

bool takes(const char* pattern, const char* origin) {
  std::string why;
  const auto compiled = OriginPattern::compile(pattern, why);
  REQUIRE_MESSAGE(compiled, pattern, " ", why);
  return compiled->matches(origin);
}

struct Row {
  const char* pattern;
  const char* origin;
  bool taken;
};

TEST_CASE("an origin is scheme, host and port, each as a whole") {
  const Row rows[] = {
      {"https://app.example.com", "https://app.example.com", true},
      {"https://app.example.com", "http://app.example.com", false},
      {"https://app.example.com", "https://app.example.com.evil.net", false},
      {"https://app.example.com", "https://evil-app.example.com", false},
      {"https://app.example.com", "https://xapp.example.com", false},
      {"https://app.example.com", "https://example.com", false},
      {"https://app.example.com", "https://app.example.com.", false},
      // Case.
      {"HTTPS://App.Example.com", "https://app.example.com", true},
      {"https://app.example.com", "HTTPS://APP.EXAMPLE.COM", true},
      // Ports: an absent one is the scheme's.
      {"https://app.example.com", "https://app.example.com:443", true},
      {"https://app.example.com:443", "https://app.example.com", true},
      {"https://app.example.com", "https://app.example.com:8443", false},
      {"https://app.example.com:8443", "https://app.example.com:8443", true},
      {"https://app.example.com:8443", "https://app.example.com", false},
      {"http://app.example.com:443", "http://app.example.com", false},
      {"http://app.example.com", "http://app.example.com:80", true},
      {"http://localhost:*", "http://localhost:3000", true},
      {"http://localhost:*", "http://localhost", true},
      {"http://localhost:*", "https://localhost:3000", false},
      // Without a scheme: http and https, each with its own port.
      {"app.example.com", "https://app.example.com", true},
      {"app.example.com", "http://app.example.com", true},
      {"app.example.com", "http://app.example.com:443", false},
      {"app.example.com", "ftp://app.example.com", false},
      {"app.example.com:8080", "https://app.example.com:8080", true},
      // Exactly one label.
      {"*.example.com", "https://a.example.com", true},
      {"*.example.com", "https://example.com", false},
      {"*.example.com", "https://a.b.example.com", false},
      {"*.example.com", "https://aexample.com", false},
      {"*.example.com", "https://a.example.com:444", false},
      {"https://*.example.com:8443", "https://b.example.com:8443", true},
      {"https://*.example.com", "http://b.example.com", false},
      // Addresses and other schemes.
      {"http://[::1]:3000", "http://[::1]:3000", true},
      {"http://[::1]", "http://[::1]:80", true},
      {"http://127.0.0.1", "http://127.0.0.1", true},
      {"chrome-extension://abcdef", "chrome-extension://abcdef", true},
      {"chrome-extension://abcdef", "chrome-extension://abcdef:1", false},
      {"capacitor://localhost", "capacitor://localhost", true},
      // null is a literal.
      {"null", "null", true},
      {"null", "NULL", false},
      {"null", "https://null", false},
      {"null", "", false},
      {"https://null", "null", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.origin);
    CHECK(takes(row.pattern, row.origin) == row.taken);
  }
}

TEST_CASE("what is no origin is taken by no pattern") {
  for (const char* origin : {"",
                             " ",
                             "app.example.com",
                             "https://",
                             "https:///app.example.com",
                             "https://app.example.com/",
                             "https://app.example.com/path",
                             "https://app.example.com?x",
                             "https://app.example.com#x",
                             "https://user@app.example.com",
                             "https://app.example.com https://b.example.com",
                             "https://app.example.com,null",
                             " https://app.example.com",
                             "https://app.example.com ",
                             "https://app.example.com:",
                             "https://app.example.com:0",
                             "https://app.example.com:99999",
                             "https://app.example.com:+443",
                             "https://app.example.com:443:443",
                             "https://app..example.com",
                             "://app.example.com",
                             "1https://app.example.com",
                             "https://app.example.com\\.evil.net"}) {
    CAPTURE(origin);
    for (const char* pattern : {"https://app.example.com", "app.example.com", "app.example.com:*",
                                "*.example.com", "*.example.com:*", "https://*.example.com", "null"})
      CHECK_FALSE(takes(pattern, origin));
  }
}

TEST_CASE("mistyped patterns are refused") {
  for (const char* pattern : {"",
                              "*",
                              "*.",
                              "https://",
                              "https://*",
                              "https://app.example.com/",
                              "https://app.example.com/x",
                              "https://user@app.example.com",
                              "https://app.*.com",
                              "https://*app.example.com",
                              "Null ",
                              "http:/x",
                              "https://app.example.com:0",
                              "https://app.example.com:x",
                              "https://app.example.com:",
                              "https://bü.de",
                              "https://*.[::1]",
                              "https://a b",
                              "://a",
                              "https://.example.com",
                              "https://a..b",
                              "htt_p://a"}) {
    CAPTURE(pattern);
    std::string why;
    CHECK_FALSE(OriginPattern::compile(pattern, why));
    CHECK(why.starts_with("must "));
  }
}

}  // namespace
}  // namespace holdfast::config::test
