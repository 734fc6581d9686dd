// Who may resume with which ticket, and for how long. OpenSSL's own client and our server leg, in both
// versions of TLS.
#include "holdfast/net/ticket_keys.hpp"

#include <doctest/doctest.h>

#include "net/openssl.hpp"
#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

using std::chrono::minutes;
using Ticket = std::unique_ptr<SSL_SESSION, openssl::Deleter<SSL_SESSION_free>>;
using Connection = std::unique_ptr<SSL, openssl::Deleter<SSL_free>>;

struct Setting {
  std::shared_ptr<const TlsServer> server(const std::string& listener = "public") {
    return TlsServer::create({{identity().certificate}, config::TlsVersion::v1_2, {}}, listener, keys)
        .value();
  }
  TimePoint now{std::chrono::hours(1000)};
  TicketKeys keys{[this] { return now; }};
};

struct Visit {
  bool resumed = false;
  Ticket ticket;  ///< the one to come back with
};

// One TLS handshake with `server`; the client shows `ticket` if there is one.
Visit visit(const TlsServer& server, int version, SSL_SESSION* ticket = nullptr) {
  Pair pair = tcp_pair();
  const auto ours = make_tls_server_leg(std::move(pair.ours), server);
  const ContextPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  const Connection theirs(SSL_new(context.get()));
  SSL_set_fd(theirs.get(), pair.theirs.get());
  SSL_set_connect_state(theirs.get());
  if (ticket != nullptr) REQUIRE(SSL_set_session(theirs.get(), ticket) == 1);
  const TimePoint deadline = Clock::now() + patience;
  for (bool done = false; !done;) {
    const bool theirs_done = SSL_do_handshake(theirs.get()) == 1;
    done = ours->handshake() == HandshakeStep::done && theirs_done;
    REQUIRE(Clock::now() < deadline);
  }
  // In TLS 1.3 the ticket comes behind the handshake, in front of the first data.
  REQUIRE(ours->write(bytes_of("x")).bytes == 1);
  std::array<char, 1> got{};
  while (SSL_read(theirs.get(), got.data(), 1) != 1) REQUIRE(Clock::now() < deadline);
  ERR_clear_error();
  // Else OpenSSL never again resumes it: an end without close_notify.
  SSL_set_shutdown(theirs.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  return {SSL_session_reused(theirs.get()) == 1, Ticket(SSL_get1_session(theirs.get()))};
}

constexpr std::array<int, 2> versions{TLS1_2_VERSION, TLS1_3_VERSION};

TEST_CASE("a client resumes with its ticket at any context of its listener: another thread's, a reload's") {
  Setting all;
  for (const int version : versions) {
    const Visit first = visit(*all.server(), version);
    CHECK_FALSE(first.resumed);
    CHECK(visit(*all.server(), version, first.ticket.get()).resumed);
  }
}

TEST_CASE("a ticket is no good at another listener or in another process") {
  Setting all;
  Setting others;
  for (const int version : versions) {
    const Visit first = visit(*all.server(), version);
    CHECK_FALSE(visit(*all.server("another"), version, first.ticket.get()).resumed);
    CHECK_FALSE(visit(*others.server(), version, first.ticket.get()).resumed);
  }
}

TEST_CASE("a ticket outlives the change of keys, is renewed with the new one, and ends with its lifetime") {
  Setting all;
  const auto server = all.server();
  for (const int version : versions) {
    const Visit first = visit(*server, version);
    all.now += TicketKeys::period;
    const Visit second = visit(*server, version, first.ticket.get());
    CHECK(second.resumed);
    // The last moment of the first key is long before the last one of the second.
    all.now += TicketKeys::lifetime - minutes(1);
    CHECK(visit(*server, version, first.ticket.get()).resumed);
    all.now += minutes(1);
    CHECK_FALSE(visit(*server, version, first.ticket.get()).resumed);
    CHECK(visit(*server, version, second.ticket.get()).resumed);
    all.now += TicketKeys::period;
    CHECK_FALSE(visit(*server, version, second.ticket.get()).resumed);
  }
}

TEST_CASE("keys change while nobody resumes, too") {
  Setting all;
  const auto server = all.server();
  const Visit first = visit(*server, TLS1_3_VERSION);
  for (int n = 0; n < 3; ++n) {
    all.now += TicketKeys::period;
    (void)visit(*server, TLS1_3_VERSION);
  }
  CHECK_FALSE(visit(*server, TLS1_3_VERSION, first.ticket.get()).resumed);
}

TEST_CASE("clients are told how long a ticket is good for") {
  Setting all;
  for (const int version : versions) {
    const Visit first = visit(*all.server(), version);
    const auto told = std::chrono::seconds(SSL_SESSION_get_ticket_lifetime_hint(first.ticket.get()));
    CHECK(told == TicketKeys::lifetime);
  }
}

}  // namespace
}  // namespace holdfast::net::test
