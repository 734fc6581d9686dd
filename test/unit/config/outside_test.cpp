// What the loader takes from outside: files and host names.
#include <doctest/doctest.h>

#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

const char* const tls_text = R"({"listeners": [{"bind": "127.0.0.1:8443", "tls": {"client_ca": "/ca.pem",
    "certificates": [{"chain": "c.pem", "key": "../k.pem"}]}}],
  "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:1"}]}]})";

TEST_CASE("PEM files are read at load, relative to the file's directory") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/c.pem", chain_pem}, {"/etc/k.pem", key_pem}, {"/ca.pem", chain_pem}};
  const LoadResult result = world.load(tls_text);
  REQUIRE_MESSAGE(result.config, check_report(result));
  const ListenerTls& tls = *result.config->listeners[0].tls;
  CHECK(tls.certificates[0].chain.pem == chain_pem);
  CHECK(tls.certificates[0].key.path == "/etc/k.pem");
  CHECK(tls.client_ca.pem == chain_pem);
}

TEST_CASE("missing files, files that are not PEM and pairs that do not fit are errors") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/c.pem", chain_pem}, {"/etc/k.pem", "garbage"}};
  LoadResult result = world.load(tls_text);
  CHECK(result.problems.size() == 2);
  CHECK(contains(what_at(result, "listeners[0].tls.certificates[0].key"), "\"/etc/k.pem\" is not PEM"));
  CHECK(what_at(result, "listeners[0].tls.client_ca") ==
        "\"/ca.pem\" can't be read: No such file or directory");

  world.files = {{"/etc/holdfast/c.pem", chain_pem}, {"/etc/k.pem", key_pem}, {"/ca.pem", chain_pem}};
  World strict = world.world();
  strict.check_certificate = [](const Certificate& certificate) {
    return "the key " + certificate.key.path + " does not fit";
  };
  result = load_text(tls_text, "/etc/holdfast/holdfast.json", strict);
  CHECK(what_at(result, "listeners[0].tls.certificates[0]") == "the key /etc/k.pem does not fit");
}

TEST_CASE("half a client certificate for the backends is an error") {
  FakeWorld world;
  const LoadResult result = world.load(R"({"listeners": [{"bind": "127.0.0.1:1"}], "upstreams": [{"name": "u",
      "backends": [{"address": "127.0.0.1:1"}], "tls": {"certificate": {"chain": "c.pem"}}}]})");
  CHECK(contains(what_at(result, "upstreams[0].tls.certificate"), "both chain and key"));
}

TEST_CASE("an admin port that others can reach needs a token") {
  FakeWorld world;
  world.files = {{"/etc/holdfast/token", "  s3cret\n"},
                 {"/etc/holdfast/two", "two words"},
                 {"/etc/holdfast/none", "\n"}};
  CHECK(contains(what_at(world.load(with(R"("admin": {"bind": "0.0.0.0:9900"},)")), "admin.bind"),
                 "must be a loopback"));
  CHECK(world.load(with(R"("admin": {"bind": "127.1.2.3:9900"},)")).config);
  CHECK(world.load(with(R"("admin": {"bind": "[::1]:9900"},)")).config);
  CHECK(world.load(with(R"("admin": {"bind": "unix:/run/admin"},)")).config);
  const LoadResult good = world.load(with(R"("admin": {"bind": "0.0.0.0:9900", "token_file": "token"},)"));
  REQUIRE(good.config);
  CHECK(good.config->admin.token == "s3cret");
  for (const char* file : {"two", "none", "missing"}) {
    const LoadResult bad = world.load(with(R"("admin": {"token_file": ")" + std::string(file) + "\"},"));
    CHECK(bad.problems.size() == 1);
    CHECK_FALSE(what_at(bad, "admin.token_file").empty());
  }
}

TEST_CASE("a backend name that does not resolve is a warning, a bind that does not is an error") {
  FakeWorld world;
  world.names = {{"here.example", "10.1.2.3"}};
  const char* text = R"({"listeners": [{"bind": "127.0.0.1:1"}], "upstreams": [{"name": "u", "backends": [
      {"address": "gone.example:1"}, {"address": "gone.example:2"}, {"address": "here.example:3"}]}]})";
  const LoadResult result = world.load(text);
  REQUIRE(result.config);
  CHECK(result.warnings.size() == 2);
  CHECK(result.warnings.at(0).place == "upstreams[0].backends[0].address");
  CHECK(world.resolutions == 2);  // one per name, not one per address
  const auto& backends = result.config->upstreams[0].backends;
  CHECK(backends[0].address.sockets.empty());
  REQUIRE(backends[2].address.sockets.size() == 1);
  CHECK(backends[2].address.sockets[0] == *numeric_socket("10.1.2.3", 3));

  const LoadResult bind = world.load(R"({"listeners": [{"bind": "gone.example:1"}],
      "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:1"}]}]})");
  CHECK(contains(what_at(bind, "listeners[0].bind"), "can't be resolved: Name or service not known"));
}

TEST_CASE("a unix path that the kernel can't take is an error once it is absolute") {
  FakeWorld world;
  const std::string path(100, 'p');
  const LoadResult result = world.load(R"({"listeners": [{"bind": "unix:)" + path + R"("}],
      "upstreams": [{"name": "u", "backends": [{"address": "127.0.0.1:1"}]}]})");
  CHECK(contains(what_at(result, "listeners[0].bind"), "107 bytes"));
}

}  // namespace
}  // namespace holdfast::config::test
