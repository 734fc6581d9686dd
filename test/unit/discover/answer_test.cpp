#include "holdfast/discover/answer.hpp"

#include <arpa/nameser.h>
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "holdfast/net/socket.hpp"

namespace holdfast::discover {
namespace {

std::string two_bytes(unsigned value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xffU)};
}

std::string name(const std::string& text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    out += static_cast<char>(end - begin);
    out += text.substr(begin, end - begin);
    begin = end + 1;
  }
  return out + '\0';
}

std::string record(unsigned type, unsigned ttl, const std::string& data) {
  return name("chat.test") + two_bytes(type) + two_bytes(ns_c_in) + two_bytes(ttl >> 16U) +
         two_bytes(ttl & 0xffffU) + two_bytes(static_cast<unsigned>(data.size())) + data;
}

std::string service(unsigned priority, unsigned weight, unsigned port, const std::string& target) {
  return record(ns_t_srv, 30, two_bytes(priority) + two_bytes(weight) + two_bytes(port) + name(target));
}

std::string message(const std::vector<std::string>& records) {
  std::string out = two_bytes(7) + two_bytes(0x8180) + two_bytes(1) +
                    two_bytes(static_cast<unsigned>(records.size())) + two_bytes(0) + two_bytes(0) +
                    name("chat.test") + two_bytes(ns_t_a) + two_bytes(ns_c_in);
  for (const std::string& each : records) out += each;
  return out;
}

Result<Answer> parse(const std::string& bytes) {
  return parse_answer({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
}

std::vector<std::string> texts(const std::vector<config::BackendConfig>& backends) {
  std::vector<std::string> out;
  for (const auto& each : backends) out.push_back(each.address.text);
  return out;
}

const std::string v4("\xc0\x00\x02\x07", 4);
const std::string v6("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);

TEST_CASE("addresses of both families are taken, with the shortest time to live") {
  const auto answer = parse(
      message({record(ns_t_cname, 20, name("b.test")), record(ns_t_a, 60, v4), record(ns_t_aaaa, 40, v6)}));
  REQUIRE(answer.has_value());
  REQUIRE(answer.value().addresses.size() == 2);
  CHECK(net::host_text(answer.value().addresses[0]) == "192.0.2.7");
  CHECK(net::host_text(answer.value().addresses[1]) == "2001:db8::1");
  CHECK(answer.value().ttl == std::chrono::seconds(20));
}

TEST_CASE("a time to live that is none is zero") {
  CHECK(parse(message({record(ns_t_a, 0x80000001U, v4)})).value().ttl == std::chrono::seconds(0));
  CHECK(parse(message({})).value().ttl == std::chrono::seconds(0));
}

TEST_CASE("services have target, port, priority and weight; a dot is no service") {
  const auto answer =
      parse(message({service(1, 2, 9001, "a.test"), service(1, 2, 0, "b.test"), service(0, 0, 1, "")}));
  REQUIRE(answer.has_value());
  REQUIRE(answer.value().services.size() == 1);
  CHECK(answer.value().services[0] == Service{"a.test", 9001, 1, 2});
}

TEST_CASE("backends are sorted, each once, with addresses that can be dialled") {
  const auto addresses =
      parse(message({record(ns_t_aaaa, 9, v6), record(ns_t_a, 9, v4), record(ns_t_a, 9, v4)}))
          .value()
          .addresses;
  const auto backends = backends_of(addresses, 9001);
  CHECK(texts(backends) == std::vector<std::string>{"192.0.2.7:9001", "[2001:db8::1]:9001"});
  CHECK(net::to_text(backends[0].address.sockets.at(0)) == "192.0.2.7:9001");
}

TEST_CASE("the lowest priority that has an address makes primaries, those above it backups") {
  const auto four = parse(message({record(ns_t_a, 9, v4)})).value().addresses;
  const std::vector<Service> services{{"gone.test", 1, 0, 9},
                                      {"c.test", 4, 9, 1},
                                      {"a.test", 2, 5, 0},
                                      {"b.test", 3, 5, 7},
                                      {"d.test", 5, 8, 1}};
  const auto backends = backends_of(services, {{}, four, four, four, four});
  CHECK(texts(backends) ==
        std::vector<std::string>{"192.0.2.7:2", "192.0.2.7:3", "192.0.2.7:4", "192.0.2.7:5"});
  CHECK(backends[0].rank == config::BackendConfig::Rank::primary);
  CHECK(backends[1].rank == config::BackendConfig::Rank::primary);
  CHECK(backends[2].rank == config::BackendConfig::Rank::backup);
  CHECK(backends[3].rank == config::BackendConfig::Rank::backup);
}

TEST_CASE("weights are scaled to ours, within their priority") {
  const auto four = parse(message({record(ns_t_a, 9, v4)})).value().addresses;
  const std::vector<Service> services{
      {"a.test", 1, 0, 0}, {"b.test", 2, 0, 65535}, {"c.test", 3, 0, 32768}, {"d.test", 4, 1, 3}};
  const auto backends = backends_of(services, {four, four, four, four});
  REQUIRE(backends.size() == 4);
  CHECK(backends[0].weight == 1);
  CHECK(backends[1].weight == 256);
  CHECK(backends[2].weight == 128);
  CHECK(backends[3].weight == 3);
}

TEST_CASE("an address with several priorities has its best one, whatever the order of the records") {
  const auto four = parse(message({record(ns_t_a, 9, v4)})).value().addresses;
  const Service late{"a.test", 1, 7, 2};
  const Service early{"b.test", 1, 3, 5};
  for (const auto& services : {std::vector{late, early}, std::vector{early, late}}) {
    const auto backends = backends_of(services, {four, four});
    REQUIRE(backends.size() == 1);
    CHECK(backends[0].rank == config::BackendConfig::Rank::primary);
    CHECK(backends[0].weight == 5);
  }
}

TEST_CASE("mutilated answers are errors or answers, nothing else") {
  const std::string whole =
      message({record(ns_t_a, 60, v4), service(1, 2, 9001, "a.test"), record(ns_t_aaaa, 60, v6)});
  std::mt19937 random(1);
  int refused = 0;
  for (int run = 0; run < 20'000; ++run) {
    std::string bytes = whole.substr(0, random() % (whole.size() + 1));
    for (int n = 0; n < 2 && !bytes.empty(); ++n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (!parse(bytes).has_value()) ++refused;
  }
  CHECK(refused > 1000);
}

}  // namespace
}  // namespace holdfast::discover
