#include "holdfast/net/proxy_header.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "holdfast/net/socket.hpp"

namespace holdfast::net {
namespace {

using config::ProxyVersion;
using namespace std::string_literals;

const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);

config::SocketAddress address(const std::string& text) {
  std::string why;
  return config::parse_address(text, config::AddressUse::backend, why)->sockets.at(0);
}

ProxyHeader sample() {
  ProxyHeader header;
  header.source = address("[2001:db8::1]:56324");
  header.destination = address("[2001:db8::2]:443");
  header.authority = "chat.example.com";
  header.over_tls = true;
  header.tls_version = "TLSv1.3";
  header.common_name = "ann";
  return header;
}

// As a reader does that must not take a byte of what follows.
Result<std::string> read_from(const std::string& stream) {
  std::string taken;
  for (;;) {
    const auto missing = proxy_header_missing(taken);
    if (!missing) return missing.error();
    if (missing.value() == 0) return taken;
    if (taken.size() == stream.size()) return Error{Failure::eof, Side::client, Retry::no, "eof"};
    taken += stream.substr(taken.size(), missing.value());
  }
}

TEST_CASE("a line of version 1 tells both addresses") {
  const auto header = parse_proxy_header(line);
  REQUIRE(header.has_value());
  CHECK(to_text(header.value().source) == "192.0.2.1:56324");
  CHECK(to_text(header.value().destination) == "198.51.100.7:443");
  CHECK_FALSE(header.value().over_tls);
  const auto six = parse_proxy_header("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
  REQUIRE(six.has_value());
  CHECK(to_text(six.value().source) == "[2001:db8::1]:1");
  CHECK(to_text(six.value().destination) == "[2001:db8::2]:65535");
}

TEST_CASE("who is not told is nobody") {
  for (const std::string& text :
       {"PROXY UNKNOWN\r\n"s, "PROXY UNKNOWN 1 2 whatever\r\n"s, build_proxy_header({}, ProxyVersion::v1),
        build_proxy_header({}, ProxyVersion::v2), signature + "\x21\x31\0\0"s}) {
    const auto header = parse_proxy_header(text);
    REQUIRE(header.has_value());
    CHECK_FALSE(header.value().is_told());
  }
}

TEST_CASE("what is not a PROXY header is refused, as soon as that is clear") {
  for (const std::string& text :
       {"GET / HTTP/1.1\r\n"s, "\x16\x03\x01"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"s,
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n"s,
        "PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n"s, "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"s,
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"s,
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"s, "PROXY TCP4 " + std::string(200, '1'),
        signature + "\x31\x11\0\0"s, signature + "\x22\x11\0\0"s, signature + "\x21\x11\xff\xff"s,
        signature + "\x21\x11\0\x04"s + "abcd", signature + "\x21\x11\0\x0e"s + "aaaabbbbccdd" + "\x02\x00"s,
        signature + "\x21\x11\0\x10"s + "aaaabbbbccdd" + "\x20\x00\x01\x01"s}) {
    CAPTURE(text);
    const auto taken = read_from(text);
    const bool is_one = taken.has_value() && parse_proxy_header(taken.value()).has_value();
    CHECK_FALSE(is_one);
  }
}

TEST_CASE("version 2 tells everything there and back, version 1 the addresses") {
  const auto all = parse_proxy_header(build_proxy_header(sample(), ProxyVersion::v2));
  REQUIRE(all.has_value());
  CHECK(all.value().source == sample().source);
  CHECK(all.value().destination == sample().destination);
  CHECK(all.value().authority == "chat.example.com");
  CHECK(all.value().over_tls);
  CHECK(all.value().tls_version == "TLSv1.3");
  CHECK(all.value().common_name == "ann");
  CHECK(build_proxy_header(sample(), ProxyVersion::v1) == "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n");
  CHECK(build_proxy_header(sample(), ProxyVersion::off).empty());
}

TEST_CASE("addresses of two families are not told") {
  ProxyHeader header = sample();
  header.destination = address("192.0.2.1:80");
  CHECK(build_proxy_header(header, ProxyVersion::v1) == "PROXY UNKNOWN\r\n");
  CHECK_FALSE(parse_proxy_header(build_proxy_header(header, ProxyVersion::v2)).value().is_told());
}

TEST_CASE("not a byte behind the header is taken") {
  const std::string behind = "GET / HTTP/1.1\r\n\r\n";
  for (const std::string& text :
       {line, "PROXY UNKNOWN\r\n"s, "PROXY UNKNOWN and more\r\n"s, "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"s,
        build_proxy_header(sample(), ProxyVersion::v1), build_proxy_header(sample(), ProxyVersion::v2),
        build_proxy_header({}, ProxyVersion::v2)}) {
    const auto taken = read_from(text + behind);
    REQUIRE(taken.has_value());
    CHECK(taken.value() == text);
  }
}

TEST_CASE("mutilated headers are refused or read, nothing else") {
  std::mt19937 random(1);
  const std::string whole[] = {line, build_proxy_header(sample(), ProxyVersion::v2)};
  for (int run = 0; run < 20'000; ++run) {
    std::string text = whole[run % 2];
    for (int n = 0; n < 3; ++n) text[random() % text.size()] = static_cast<char>(random());
    const auto taken = read_from(text);
    if (!taken) continue;
    CHECK(taken.value().size() <= longest_proxy_header);
    (void)parse_proxy_header(taken.value());
  }
}

}  // namespace
}  // namespace holdfast::net
