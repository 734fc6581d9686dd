// Contexts made from configured files: which certificate for which name, and errors that name the file.
#include <doctest/doctest.h>

#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

config::Certificate certificate_for(const std::vector<std::string>& names) {
  config::Certificate made = make_self_signed(names).value();
  made.chain.path = "/etc/tls/" + names.front() + ".pem";
  made.key.path = "/etc/tls/" + names.front() + ".key";
  return made;
}

TicketKeys& tickets() {
  static TicketKeys keys;
  return keys;
}

Result<std::shared_ptr<const TlsServer>> server_of(std::vector<config::Certificate> certificates) {
  return TlsServer::create({std::move(certificates), config::TlsVersion::v1_2, {}}, "public", tickets());
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a certificate is chosen by name: exact first, then one label of a wildcard, else the first") {
  const auto server = server_of({certificate_for({"default.example"}), certificate_for({"*.example.com"}),
                                 certificate_for({"chat.example.com", "talk.example.net"})})
                          .value();
  SSL_CTX* const first = server->default_context();
  SSL_CTX* const wild = server->for_name("any.example.com");
  SSL_CTX* const exact = server->for_name("chat.example.com");
  CHECK(server->for_name("default.example") == first);
  CHECK(wild != first);
  CHECK(exact != wild);
  CHECK(exact != first);
  CHECK(server->for_name("TALK.Example.NET") == exact);
  CHECK(server->for_name("ANY.example.COM") == wild);
  for (const char* nobody : {"example.com", "a.b.example.com", "example.org", "com", "", "."}) {
    CAPTURE(nobody);
    CHECK(server->for_name(nobody) == first);
  }
}

TEST_CASE("the name that a client asks for gets its certificate in the handshake") {
  const config::Certificate other = certificate_for({"other.example"});
  const auto server = server_of({certificate_for({"default.example"}), other}).value();
  const auto client =
      TlsClient::create({config::UpstreamTls::Verify::yes, {"", other.chain.pem}, "other.example", {}})
          .value();
  Pair pair = tcp_pair();
  const auto ours = make_tls_server_leg(std::move(pair.ours), *server);
  const auto theirs = make_tls_client_leg(std::move(pair.theirs), *client, "ignored");
  shake_hands(*ours, *theirs);  // which verifies
}

TEST_CASE("client certificates are asked for where client_ca is set, and their subject is known") {
  const config::Certificate ours = certificate_for({"localhost"});
  const config::Certificate theirs = certificate_for({"alice"});
  const auto server =
      TlsServer::create({{ours}, config::TlsVersion::v1_3, {"ca.pem", theirs.chain.pem}}, "public", tickets())
          .value();
  const config::UpstreamTls with{config::UpstreamTls::Verify::yes, {"", ours.chain.pem}, "", theirs};
  const auto client = TlsClient::create(with).value();
  Pair pair = tcp_pair();
  const auto server_leg = make_tls_server_leg(std::move(pair.ours), *server);
  const auto client_leg = make_tls_client_leg(std::move(pair.theirs), *client, "localhost");
  shake_hands(*server_leg, *client_leg);
  CHECK(server_leg->peer_subject() == "CN=alice");

  config::UpstreamTls without = with;
  without.certificate = {};
  const auto nobody = TlsClient::create(without).value();
  Pair second = tcp_pair();
  const auto refusing = make_tls_server_leg(std::move(second.ours), *server);
  const auto bare = make_tls_client_leg(std::move(second.theirs), *nobody, "localhost");
  HandshakeStep outcome = HandshakeStep::want_read;
  const TimePoint deadline = Clock::now() + patience;
  while (outcome != HandshakeStep::failed && Clock::now() < deadline) {
    (void)bare->handshake();
    outcome = refusing->handshake();
    REQUIRE(outcome != HandshakeStep::done);
  }
  CHECK(contains(refusing->failure(), "peer did not return a certificate"));
}

TEST_CASE("an address is verified as an address") {
  const config::Certificate certificate = certificate_for({"127.0.0.1", "::1"});
  const auto server = server_of({certificate}).value();
  const auto client =
      TlsClient::create({config::UpstreamTls::Verify::yes, {"", certificate.chain.pem}, "", {}}).value();
  for (const char* host : {"127.0.0.1", "::1"}) {
    Pair pair = tcp_pair();
    const auto ours = make_tls_server_leg(std::move(pair.ours), *server);
    const auto theirs = make_tls_client_leg(std::move(pair.theirs), *client, host);
    shake_hands(*ours, *theirs);
  }
}

TEST_CASE("every problem with a file names it") {
  const config::Certificate good = certificate_for({"good"});
  config::Certificate bad = certificate_for({"bad"});
  bad.key.pem = good.key.pem;
  auto made = server_of({good, bad});
  REQUIRE_FALSE(made.has_value());
  CHECK(contains(made.error().what, "/etc/tls/bad.key: does not fit /etc/tls/bad.pem"));
  bad.key.pem = "no PEM at all";
  CHECK(contains(server_of({bad}).error().what, "/etc/tls/bad.key: no usable PEM private key"));
  bad.chain.pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  CHECK(contains(server_of({bad}).error().what, "/etc/tls/bad.pem: no usable PEM certificate"));
  const auto no_ca =
      TlsServer::create({{good}, config::TlsVersion::v1_2, {"/etc/tls/ca.pem", "junk"}}, "p", tickets());
  REQUIRE_FALSE(no_ca.has_value());
  CHECK(contains(no_ca.error().what, "/etc/tls/ca.pem"));
  const auto client = TlsClient::create({config::UpstreamTls::Verify::yes, {"/etc/tls/up.pem", "x"}, "", {}});
  REQUIRE_FALSE(client.has_value());
  CHECK(contains(client.error().what, "/etc/tls/up.pem"));
}

TEST_CASE("one good file is taken after a bad one: no error is left behind") {
  CHECK_FALSE(server_of({{{"a", "junk"}, {"b", "junk"}}}).has_value());
  CHECK(server_of({certificate_for({"good"})}).has_value());
}

}  // namespace
}  // namespace holdfast::net::test
