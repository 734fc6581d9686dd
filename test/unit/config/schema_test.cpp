// Keeps conf/ equal to what the loader accepts. After a change of keys run the tests once with
// HOLDFAST_WRITE_SCHEMA=1 to write the schema file anew.
#include "config/schema.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

using json = nlohmann::ordered_json;

// This file's name is as the compiler got it: right in the directory where the build ran. Elsewhere
// HOLDFAST_SOURCE_DIR must tell.
std::string source_file(const std::string& name) {
  if (const char* root = std::getenv("HOLDFAST_SOURCE_DIR")) return std::string(root) + "/" + name;
  const std::string here(__FILE__);
  return here.substr(0, here.rfind("test/unit/config/")) + name;
}

std::string content(const std::string& name) {
  std::ifstream file(source_file(name));
  REQUIRE_MESSAGE(file, "run in the build directory or set HOLDFAST_SOURCE_DIR: can't open ", name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// "listeners", "listeners[].bind", …
void collect(const json& type, const std::string& prefix, std::set<std::string>& out) {
  for (const auto& [key, value] : type.at("properties").items()) {
    const std::string path = prefix + key;
    out.insert(path);
    if (value.contains("properties")) collect(value, path + ".", out);
    for (const json& either : value.value("anyOf", json::array())) {
      if (either.contains("properties")) collect(either, path + ".", out);
    }
    if (value.contains("items") && value["items"].contains("properties"))
      collect(value["items"], path + "[].", out);
  }
}

std::set<std::string> documented_keys() {
  std::set<std::string> out;
  std::istringstream lines(content("conf/README.md"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = line.find("` |");
    if (line.substr(0, 3) == "| `" && end != std::string::npos) out.insert(line.substr(3, end - 3));
  }
  return out;
}

TEST_CASE("the schema file is what the loader accepts") {
  if (std::getenv("HOLDFAST_WRITE_SCHEMA") != nullptr) {
    std::ofstream(source_file("conf/holdfast.schema.json")) << schema().dump(2) << "\n";
  }
  const json file = json::parse(content("conf/holdfast.schema.json"));
  CHECK_MESSAGE(file == schema(), json::diff(file, schema()).dump(2));
}

TEST_CASE("the table in conf/README.md has every key and no other") {
  std::set<std::string> keys;
  collect(schema(), "", keys);
  CHECK(documented_keys() == keys);
}

TEST_CASE("the minimal sample loads without a warning") {
  FakeWorld world;
  const LoadResult result = world.load(content("conf/minimal.json"));
  CHECK_MESSAGE(result.config, check_report(result));
  CHECK(result.warnings.empty());
}

// Every path that is written in a document.
void collect_written(const json& value, const std::string& prefix, std::set<std::string>& out) {
  if (value.is_array()) {
    for (const json& item : value) {
      if (item.is_object()) collect_written(item, prefix + "[]", out);
    }
    return;
  }
  for (const auto& [key, inner] : value.items()) {
    const std::string path = prefix.empty() ? key : prefix + "." + key;
    // A backend's own probe has the keys of its upstream's.
    if (prefix == "upstreams[].backends[].probe") {
      out.insert("upstreams[].probe." + key);
      continue;
    }
    out.insert(path);
    // What it has inside are names of fields, not keys.
    if (inner.is_structured() && key != "headers" && key != "header_files" && key != "claims_to_headers")
      collect_written(inner, path, out);
  }
}

TEST_CASE("the full sample loads and has every key but the client certificate's") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/chain.pem", chain_pem},
                 {"/etc/holdfast/key.pem", key_pem},
                 {"/etc/holdfast/backend-ca.pem", chain_pem},
                 {"/etc/holdfast/jwks.json", "{}"},
                 {"/etc/holdfast/source-token", "Bearer abc"},
                 {"/etc/holdfast/source-ca.pem", chain_pem},
                 {"/etc/holdfast/jwt-secret", "0123456789abcdef0123456789abcdef"}};
  const std::string text = content("conf/holdfast.json");
  const LoadResult result = world.load(text);
  CHECK_MESSAGE(result.config, check_report(result));
  CHECK(result.warnings.empty());

  std::set<std::string> keys;
  collect(schema(), "", keys);
  keys.erase("upstreams[].tls.certificate.chain");
  keys.erase("upstreams[].tls.certificate.key");
  std::set<std::string> written;
  collect_written(json::parse(text, nullptr, true, true), "", written);
  CHECK(written == keys);
}

TEST_CASE("the schema tells defaults, words and required keys") {
  const json properties = schema()["properties"];
  CHECK(properties["workers"]["default"] == "auto");
  CHECK(properties["admin"]["properties"]["bind"]["default"] == "127.0.0.1:9900");
  const json& route = properties["routes"]["items"]["properties"];
  CHECK(route["max_message"]["default"] == "64MiB");
  CHECK(route["ping"]["properties"]["interval"]["default"] == "20s");
  const json& upstream = properties["upstreams"]["items"];
  CHECK(upstream["required"] == json::array({"name"}));
  const json& reroute = route["reroute"]["properties"];
  CHECK(reroute["on"]["default"] == json::array({"lost", "unhealthy", "draining", "rebalance"}));
  CHECK(reroute["on"]["uniqueItems"] == true);
  CHECK(reroute["close_codes"]["items"]["anyOf"][0]["const"] == "none");
  CHECK(reroute["close_codes"]["default"] == json::array({1001, 1012, 1013}));
  CHECK(reroute["resend"]["default"] == "incomplete");
  CHECK(reroute["resend"]["anyOf"][1]["required"] == json::array({"unanswered"}));
  const json& policy = upstream["properties"]["policy"];
  CHECK(policy["anyOf"][0]["enum"] ==
        json::array({"least_connections", "round_robin", "two_choices", "random"}));
  CHECK(policy["anyOf"][1]["pattern"] == "^hash:(ip|path|(header|cookie|query):.+)$");
  CHECK(policy["default"] == "least_connections");
}

}  // namespace
}  // namespace holdfast::config::test
