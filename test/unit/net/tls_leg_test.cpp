// TLS legs on both sides of a loopback connection, in both planes' ways of reading.
#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <vector>

#include "unit/net/pair.hpp"

namespace holdfast::net::test {
namespace {

constexpr std::size_t batch = Leg::read_batch_bytes;

// A server leg of ours and the client's end.
struct Tunnel {
  explicit Tunnel(int our_buffers = 0, int their_buffers = 0) {
    Pair pair = tcp_pair(our_buffers, their_buffers);
    descriptor = pair.ours.get();
    const int their_descriptor = pair.theirs.get();
    ours = make_tls_server_leg(std::move(pair.ours), *identity().server);
    auto theirs = make_tls_client_leg(std::move(pair.theirs), *identity().client, "localhost");
    shake_hands(*ours, *theirs);
    peer = std::make_unique<Peer>(std::move(theirs), their_descriptor);
  }
  void wait_readable() const {
    pollfd entry{descriptor, POLLIN, 0};
    REQUIRE(poll(&entry, 1, 30'000) == 1);
  }
  // Reads in the pump's way until the end or until `bytes` have come; the scratch is clean after each read.
  std::string read(std::size_t bytes, IoState& state) {
    std::string got;
    std::string into(batch, '\0');
    state = IoState::drained;
    while (got.size() < bytes) {
      wait_readable();
      const IoResult result = ours->read(std::as_writable_bytes(std::span(into)));
      CHECK(scratch.begin == scratch.end);
      got.append(into, 0, result.bytes);
      state = result.state;
      if (state == IoState::end || state == IoState::failed) break;
    }
    return got;
  }

  int descriptor = -1;
  std::unique_ptr<TlsLeg> ours;
  std::unique_ptr<Peer> peer;
  CipherScratch scratch;
};

// A server leg of ours with little room, and OpenSSL itself on the client's end.
struct RawTunnel {
  explicit RawTunnel(std::uint8_t max_fragment_length = TLSEXT_max_fragment_length_DISABLED) {
    Pair pair = tcp_pair(8192, 8192);
    descriptor = pair.ours.get();
    their_socket = std::move(pair.theirs);
    ours = make_tls_server_leg(std::move(pair.ours), *identity().server);
    SSL_set_tlsext_max_fragment_length(theirs, max_fragment_length);
    SSL_set_fd(theirs, their_socket.get());
    SSL_set_connect_state(theirs);
    const TimePoint deadline = Clock::now() + patience;
    for (bool done = false; !done;) {
      const bool theirs_done = SSL_do_handshake(theirs) == 1;
      done = ours->handshake() == HandshakeStep::done && theirs_done;
      REQUIRE(Clock::now() < deadline);
    }
  }
  RawTunnel(const RawTunnel&) = delete;
  RawTunnel& operator=(const RawTunnel&) = delete;
  ~RawTunnel() { SSL_free(theirs); }
  // A record, or nothing.
  std::string hear() const {
    std::string some(64 * 1024, ' ');
    std::size_t size = 0;
    (void)SSL_read_ex(theirs, some.data(), some.size(), &size);
    some.resize(size);
    return some;
  }
  void ask_for_new_keys_and_say(const std::string& word) const {
    CHECK(SSL_key_update(theirs, SSL_KEY_UPDATE_REQUESTED) == 1);
    REQUIRE(SSL_write(theirs, word.data(), static_cast<int>(word.size())) == static_cast<int>(word.size()));
  }

  CipherScratch scratch;
  Socket their_socket;
  SSL* theirs = SSL_new(identity().client->context());
  std::unique_ptr<TlsLeg> ours;
  int descriptor = -1;
};

TEST_CASE("a self-signed certificate verifies against itself, by name") {
  const Tunnel tunnel;
  CHECK(tunnel.ours->peer_subject().empty());  // the client showed none
}

TEST_CASE("a client refuses a certificate for another name, and says why") {
  Pair pair = tcp_pair();
  const auto server = make_tls_server_leg(std::move(pair.ours), *identity().server);
  const auto strict =
      TlsClient::create(
          {config::UpstreamTls::Verify::yes, {"", identity().certificate.chain.pem}, "elsewhere.example", {}})
          .value();
  const auto client = make_tls_client_leg(std::move(pair.theirs), *strict, "localhost");
  HandshakeStep outcome = HandshakeStep::want_read;
  const TimePoint deadline = Clock::now() + patience;
  while (outcome != HandshakeStep::failed && Clock::now() < deadline) {
    (void)server->handshake();
    outcome = client->handshake();
    REQUIRE(outcome != HandshakeStep::done);
  }
  CHECK(client->failure().find("hostname mismatch") != std::string::npos);
}

TEST_CASE("bytes that are not TLS fail the handshake with OpenSSL's reason") {
  Pair pair = tcp_pair();
  const int descriptor = pair.ours.get();
  const int their_descriptor = pair.theirs.get();
  const auto server = make_tls_server_leg(std::move(pair.ours), *identity().server);
  Peer peer(make_plain_leg(std::move(pair.theirs)), their_descriptor);
  peer.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  pollfd entry{descriptor, POLLIN, 0};
  REQUIRE(poll(&entry, 1, 30'000) == 1);
  CHECK(server->handshake() == HandshakeStep::failed);
  CHECK(server->failure() == "http request");
}

TEST_CASE("before its hand-over a leg gives one record a read") {
  Tunnel tunnel;
  tunnel.peer->send("one");
  tunnel.peer->send("two");
  tunnel.wait_readable();
  std::array<std::byte, 1024> into{};
  const IoResult got = tunnel.ours->read(into);
  CHECK(got.bytes == 3);
  CHECK(got.state == IoState::more);
}

TEST_CASE("what was read ahead before the hand-over comes first behind it, then what is in the kernel") {
  Tunnel tunnel;
  tunnel.peer->send("one");
  tunnel.peer->send("two");
  tunnel.wait_readable();
  std::array<std::byte, 1024> into{};
  CHECK(tunnel.ours->read(into).bytes == 3);
  tunnel.peer->send("three");
  tunnel.ours->use_scratch(tunnel.scratch);
  std::string batch_of(batch, '\0');
  std::string got;
  const TimePoint deadline = Clock::now() + patience;
  while (got.size() < 8 && Clock::now() < deadline) {
    const IoResult result = tunnel.ours->read(std::as_writable_bytes(std::span(batch_of)));
    got.append(batch_of, 0, result.bytes);
    CHECK(tunnel.scratch.begin == tunnel.scratch.end);
  }
  CHECK(got == "twothree");
}

TEST_CASE("through the scratch everything arrives, and no ciphertext stays in it after any read") {
  Tunnel tunnel;
  tunnel.ours->use_scratch(tunnel.scratch);
  const std::string much = std::string(3 * 1024 * 1024, 'm') + "end";
  std::size_t sent = 0;
  std::string got;
  while (got.size() < much.size()) {
    if (sent < much.size()) sent += tunnel.peer->send_some(std::string_view(much).substr(sent));
    IoState state = IoState::drained;
    got += tunnel.read(1, state);
    REQUIRE(state != IoState::failed);
  }
  CHECK((got == much));
}

TEST_CASE("with limited reads a leg takes little from the kernel at once, and all of it in the end") {
  constexpr std::size_t limit = 4'000;
  constexpr std::size_t record = 16 * 1024;
  Tunnel tunnel;
  tunnel.ours->use_scratch(tunnel.scratch);
  tunnel.ours->limit_reads(limit);
  const std::string much = std::string(512 * 1024, 'm') + "end";
  std::string batch_of(batch, '\0');
  std::size_t sent = 0;
  std::string got;
  const TimePoint deadline = Clock::now() + patience;
  while (got.size() < much.size() && Clock::now() < deadline) {
    if (sent < much.size()) sent += tunnel.peer->send_some(std::string_view(much).substr(sent));
    const IoResult result = tunnel.ours->read(std::as_writable_bytes(std::span(batch_of)));
    REQUIRE(result.state != IoState::failed);
    CHECK(result.bytes <= record + limit);
    CHECK(tunnel.scratch.begin == tunnel.scratch.end);
    got.append(batch_of, 0, result.bytes);
  }
  CHECK((got == much));
}

TEST_CASE("two legs that share a scratch never see each other's bytes") {
  Tunnel one;
  Tunnel two;
  one.ours->use_scratch(one.scratch);
  two.ours->use_scratch(one.scratch);
  std::string into(batch, '\0');
  const auto take = [&](const Tunnel& from) {
    from.wait_readable();
    const IoResult got = from.ours->read(std::as_writable_bytes(std::span(into)));
    CHECK(got.state != IoState::failed);
    return into.substr(0, got.bytes);
  };
  std::string first;
  std::string second;
  for (int n = 0; n < 50; ++n) {
    one.peer->send(std::string(700, '1'));
    two.peer->send(std::string(900, '2'));
    first += take(one);
    second += take(two);
  }
  while (first.size() < 50 * 700) first += take(one);
  while (second.size() < 50 * 900) second += take(two);
  CHECK((first == std::string(50 * 700, '1')));
  CHECK((second == std::string(50 * 900, '2')));
}

TEST_CASE("a write that went half goes on with the very bytes that were not taken, from a moved buffer") {
  // Without a scratch a record at a time, with one several by one send.
  for (const bool is_pump : {false, true}) {
    CAPTURE(is_pump);
    Tunnel tunnel(8192, 8192);
    if (is_pump) tunnel.ours->use_scratch(tunnel.scratch);
    std::string text;
    for (unsigned n = 0; n < 200'000; ++n) text += std::to_string(n) + " ";
    std::size_t taken = 0;
    std::size_t offered = 0;
    unsigned blocked = 0;
    std::string got;
    const TimePoint deadline = Clock::now() + patience;
    while (got.size() < text.size()) {
      REQUIRE(Clock::now() < deadline);
      if (taken < text.size()) {
        // Now all, now a little more than it was offered before.
        offered = blocked % 2 == 0 ? text.size() : std::max(offered, std::min(taken + 1000, text.size()));
        const std::string moved = text.substr(taken, offered - taken);  // a new address each time
        const IoResult sent = tunnel.ours->write(bytes_of(moved));
        REQUIRE(sent.state != IoState::failed);
        CHECK((sent.state == IoState::drained) == (sent.bytes < moved.size()));
        CHECK(tunnel.ours->committed_bytes() <= moved.size() - sent.bytes);
        if (sent.state == IoState::drained) {
          ++blocked;
          offered = taken + sent.bytes + tunnel.ours->committed_bytes();  // so much must be offered again
        }
        taken += sent.bytes;
      }
      got += tunnel.peer->read_now();  // doesn't wait: what completes its record may not have been taken yet
    }
    CHECK(blocked > 0);
    CHECK((got == text));
  }
}

// Of a leg that dies what was not taken is given to another one: nobody may have had it by then.
TEST_CASE("a slow peer never has whole messages that do not count as taken") {
  Tunnel tunnel(8192, 8192);
  tunnel.ours->use_scratch(tunnel.scratch);
  const std::string text(1UL << 20, 't');
  std::size_t taken = 0;
  std::size_t got = 0;
  unsigned halves = 0;  // writes that sent a part of what waited
  const TimePoint deadline = Clock::now() + patience;
  while (got < text.size()) {
    REQUIRE(Clock::now() < deadline);
    if (taken < text.size()) {
      const std::size_t before = tunnel.ours->committed_bytes();
      const IoResult sent = tunnel.ours->write(bytes_of(text).subspan(taken));
      REQUIRE(sent.state != IoState::failed);
      taken += sent.bytes;
      if (before > sent.bytes && sent.bytes > 0) ++halves;
    }
    for (int n = 0; n < 3; ++n) got += tunnel.peer->read_now(5'000).size();
    REQUIRE(got <= taken);
  }
  CHECK(halves > 0);
}

TEST_CASE("what was not taken leaves neither with an answer to new keys nor with the end") {
  RawTunnel tunnel;
  const auto& ours = tunnel.ours;
  ours->use_scratch(tunnel.scratch);
  const std::string text(1UL << 20, 't');
  std::size_t taken = 0;
  while (ours->committed_bytes() < 48 * 1024UL) {
    const IoResult sent = ours->write(bytes_of(text).subspan(taken));
    REQUIRE(sent.state != IoState::failed);
    taken += sent.bytes;
  }
  std::size_t heard = 0;
  const auto hear = [&] {
    for (int n = 0; n < 50; ++n) heard += tunnel.hear().size();
  };
  hear();
  std::string into(batch, '\0');
  const TimePoint deadline = Clock::now() + patience;
  for (int n = 0; n < 5; ++n) {
    tunnel.ask_for_new_keys_and_say("data");
    std::size_t got = 0;
    while (got < 4 && Clock::now() < deadline)
      got += ours->read(std::as_writable_bytes(std::span(into))).bytes;
    CHECK(got == 4);
    hear();
    CHECK(heard == taken);
  }
  ours->finish_writing();
  hear();
  CHECK(heard == taken);
}

TEST_CASE("a peer that asks for small records gets all of it in such ones") {
  for (const bool is_pump : {false, true}) {
    CAPTURE(is_pump);
    RawTunnel tunnel(TLSEXT_max_fragment_length_512);
    const auto& ours = tunnel.ours;
    if (is_pump) ours->use_scratch(tunnel.scratch);
    std::string text;
    for (unsigned n = 0; n < 60'000; ++n) text += std::to_string(n) + " ";
    const std::array<std::span<const std::byte>, 2> pieces{bytes_of("sealed "), bytes_of(text).first(16'000)};
    std::vector<std::byte> ciphertext;
    REQUIRE(ours->seal(pieces, ciphertext));
    ours->keep(ciphertext);
    std::size_t taken = 0;
    std::string heard;
    const std::string all = "sealed " + text.substr(0, 16'000) + text;
    const TimePoint deadline = Clock::now() + patience;
    while (heard.size() < all.size() && Clock::now() < deadline) {
      const IoResult sent = ours->write(bytes_of(text).subspan(taken));
      REQUIRE(sent.state != IoState::failed);
      taken += sent.bytes;
      const std::string some = tunnel.hear();
      CHECK(some.size() <= 512);
      heard += some;
    }
    CHECK((heard == all));
  }
}

TEST_CASE("what was sealed and not sent goes before what is written next") {
  Tunnel tunnel;
  const std::string head = "sealed ";
  const std::string tail(9000, 's');
  const std::array<std::span<const std::byte>, 2> pieces{bytes_of(head), bytes_of(tail)};
  std::vector<std::byte> ciphertext{std::byte{1}};  // somebody else's
  REQUIRE(tunnel.ours->seal(pieces, ciphertext));
  const std::span<const std::byte> record = std::span(ciphertext).subspan(1);
  REQUIRE(record.size() > head.size() + tail.size());
  REQUIRE(send(tunnel.descriptor, record.data(), 1234, 0) == 1234);
  tunnel.ours->keep(record.subspan(1234));
  std::vector<std::byte> none;
  CHECK_FALSE(tunnel.ours->seal(pieces, none));
  CHECK(none.empty());
  CHECK(tunnel.ours->write(bytes_of(" written")).bytes == 8);
  std::string got;
  while (got.size() < head.size() + tail.size() + 8) got += tunnel.peer->read_some();
  CHECK((got == head + tail + " written"));
  CHECK(tunnel.ours->seal(pieces, none));
}

TEST_CASE("a leg with half a record on its way seals nothing, one whose rest can't leave says so") {
  Tunnel tunnel(8192, 8192);
  const std::string large(1UL << 20, 'l');
  const std::array<std::span<const std::byte>, 1> one{bytes_of("one")};
  std::vector<std::byte> ciphertext;
  const IoResult sent = tunnel.ours->write(bytes_of(large));
  REQUIRE(sent.state == IoState::drained);
  CHECK_FALSE(tunnel.ours->seal(one, ciphertext));
  CHECK(ciphertext.empty());

  Tunnel full(8192, 8192);
  std::string said;
  while (full.ours->flush() == IoState::more) {
    const std::string next(4000, static_cast<char>('a' + said.size() / 4000 % 26));
    const std::array<std::span<const std::byte>, 1> piece{bytes_of(next)};
    ciphertext.clear();
    REQUIRE(full.ours->seal(piece, ciphertext));
    full.ours->keep(ciphertext);
    said += next;
    REQUIRE(said.size() < (64UL << 20));
  }
  CHECK(full.ours->write(bytes_of("behind")).state == IoState::drained);
  std::string got;
  while (got.size() < said.size()) {
    got += full.peer->read_now();
    CHECK(full.ours->flush() != IoState::failed);
  }
  CHECK((got == said));
}

TEST_CASE("close_notify is an end behind the data, a bare FIN as well, garbage is a failure") {
  IoState state = IoState::drained;
  {
    Tunnel tunnel;
    tunnel.ours->use_scratch(tunnel.scratch);
    tunnel.peer->send("bye");
    tunnel.peer->finish();
    CHECK(tunnel.read(1000, state) == "bye");
    CHECK(state == IoState::end);
  }
  {
    Tunnel tunnel;
    tunnel.ours->use_scratch(tunnel.scratch);
    tunnel.peer->send("bye");
    shutdown(tunnel.peer->descriptor(), SHUT_WR);
    CHECK(tunnel.read(1000, state) == "bye");
    CHECK(state == IoState::end);
  }
  {
    Tunnel tunnel;
    tunnel.ours->use_scratch(tunnel.scratch);
    tunnel.peer->send("fine");
    const std::string garbage(500, '\x7f');
    REQUIRE(send(tunnel.peer->descriptor(), garbage.data(), garbage.size(), 0) == 500);
    CHECK(tunnel.read(1000, state) == "fine");
    CHECK(state == IoState::failed);
    tunnel.ours->finish_writing();  // without SSL_shutdown, which OpenSSL forbids now
  }
}

TEST_CASE("our close_notify ends the peer's reading") {
  Tunnel tunnel;
  CHECK(tunnel.ours->write(bytes_of("last")).bytes == 4);
  tunnel.ours->finish_writing();
  CHECK(tunnel.peer->read_to_end() == "last");
  CHECK_FALSE(tunnel.peer->was_reset());
}

// A peer that asks for new keys makes OpenSSL answer; where it reads nothing that answer can't leave.
// Whatever then stayed in the scratch would be taken for the next leg's bytes.
TEST_CASE("a request for new keys on a blocked leg leaves nothing in the scratch") {
  RawTunnel tunnel;
  const auto& ours = tunnel.ours;
  ours->use_scratch(tunnel.scratch);
  const TimePoint deadline = Clock::now() + patience;
  const std::string flood(1024 * 1024, 'f');
  const IoResult begun = ours->write(bytes_of(flood));
  REQUIRE(begun.state == IoState::drained);
  std::string got;
  std::string into(batch, '\0');
  for (int n = 0; n < 5; ++n) {
    tunnel.ask_for_new_keys_and_say("data");
  }
  IoState state = IoState::drained;
  while (got.size() < 20 && state != IoState::failed) {
    pollfd entry{tunnel.descriptor, POLLIN, 0};
    REQUIRE(poll(&entry, 1, 30'000) == 1);
    const IoResult result = ours->read(std::as_writable_bytes(std::span(into)));
    state = result.state;
    CHECK(tunnel.scratch.begin == tunnel.scratch.end);
    got.append(into, 0, result.bytes);
  }
  CHECK(got == "datadatadatadatadata");
  // The answers leave behind what waits, and what comes then has the new keys.
  std::size_t taken = begun.bytes;
  std::string heard;
  while (heard.size() < flood.size()) {
    REQUIRE(Clock::now() < deadline);
    taken += ours->write(bytes_of(flood).subspan(taken)).bytes;
    heard += tunnel.hear();
  }
  CHECK((heard == flood));
}

TEST_CASE("a peer that asks for new keys without end and takes no answer is given up") {
  RawTunnel tunnel;
  const auto& ours = tunnel.ours;
  ours->use_scratch(tunnel.scratch);
  const std::string flood(1024 * 1024, 'f');
  REQUIRE(ours->write(bytes_of(flood)).state == IoState::drained);
  std::string into(batch, '\0');
  IoState state = IoState::drained;
  int asked = 0;
  for (; asked < 20'000 && state != IoState::failed; ++asked) {
    REQUIRE(SSL_key_update(tunnel.theirs, SSL_KEY_UPDATE_REQUESTED) == 1);
    (void)SSL_do_handshake(tunnel.theirs);
    state = ours->read(std::as_writable_bytes(std::span(into))).state;
    CHECK(tunnel.scratch.begin == tunnel.scratch.end);
  }
  CHECK(state == IoState::failed);
  CHECK(asked > 100);
}

}  // namespace
}  // namespace holdfast::net::test
