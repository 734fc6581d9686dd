#include <doctest/doctest.h>

#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

std::optional<Address> parse(const std::string& text, AddressUse use = AddressUse::bind) {
  std::string why;
  auto out = parse_address(text, use, why);
  CHECK(out.has_value() == why.empty());
  return out;
}

TEST_CASE("addresses keep their text and give kind, host and port") {
  const auto v4 = parse("127.0.0.1:80");
  REQUIRE(v4);
  CHECK(v4->kind == AddressKind::tcp);
  CHECK(v4->host == "127.0.0.1");
  CHECK(v4->port == 80);
  CHECK(v4->sockets.at(0).family() == AF_INET);
  const auto v6 = parse("[2001:db8::1]:65535", AddressUse::backend);
  REQUIRE(v6);
  CHECK(v6->host == "2001:db8::1");
  CHECK(v6->sockets.at(0).family() == AF_INET6);
  const auto name = parse("chat-1.example.com:9001", AddressUse::backend);
  REQUIRE(name);
  CHECK(name->sockets.empty());
  const auto any = parse("*:443");
  REQUIRE(any);
  CHECK(any->host == "0.0.0.0");
  CHECK(any->text == "*:443");
  const auto path = parse("unix:/run/a b");
  REQUIRE(path);
  CHECK(path->kind == AddressKind::unix_path);
  CHECK(path->path == "/run/a b");
  const auto passed = parse("fd:public");
  REQUIRE(passed);
  CHECK(passed->kind == AddressKind::passed);
  CHECK(passed->path == "public");
}

TEST_CASE("what is not an address is refused") {
  for (const char* text :
       {"",       ":",     ":80",   "a",      "a:",    "a:x",        "a:65536", "a:-1",
        "a:+1",   "a:1 ",  "a b:1", "::1:80", "[::1]", "[::1]:",     "[]:1",    "[127.0.0.1]:1",
        "[zz]:1", "unix:", "fd:",   "fd:a b", "a/b:1", "http://a:1", "ä:1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse(text));
  }
  for (const char* text : {"*:80", "a:0", "fd:x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse(text, AddressUse::backend));
  }
}

TEST_CASE("an address is equal whatever the order of its sockets") {
  Address a = *parse("name:1");
  Address b = a;
  const SocketAddress one = *numeric_socket("10.0.0.1", 1);
  const SocketAddress two = *numeric_socket("10.0.0.2", 1);
  a.sockets = {one, two};
  b.sockets = {two, one};
  CHECK(a == b);
  b.sockets = {two};
  CHECK_FALSE(a == b);
}

bool inside(const char* block, const char* peer) {
  std::string why;
  const auto network = parse_network(block, why);
  REQUIRE_MESSAGE(network, block);
  return network->contains(numeric_socket(peer, 1)->get());
}

TEST_CASE("an address block contains the peers that share its prefix") {
  CHECK(inside("10.0.0.0/8", "10.255.1.2"));
  CHECK_FALSE(inside("10.0.0.0/8", "11.0.0.0"));
  CHECK(inside("192.168.4.0/22", "192.168.7.255"));
  CHECK_FALSE(inside("192.168.4.0/22", "192.168.8.0"));
  CHECK(inside("1.2.3.4", "1.2.3.4"));
  CHECK_FALSE(inside("1.2.3.4", "1.2.3.5"));
  CHECK(inside("0.0.0.0/0", "9.9.9.9"));
  CHECK_FALSE(inside("0.0.0.0/0", "::1"));
  CHECK(inside("fd00::/8", "fdff::1"));
  CHECK_FALSE(inside("fd00::/8", "fe00::1"));
  CHECK(inside("10.0.0.0/8", "::ffff:10.1.1.1"));
}

TEST_CASE("what is not an address block is refused") {
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/8x", "fd00::/129", "a/8", "10/8"}) {
    CAPTURE(text);
    std::string why;
    CHECK_FALSE(parse_network(text, why));
    CHECK_FALSE(why.empty());
  }
}

}  // namespace
}  // namespace holdfast::config::test
