"""TLS on both sides."""
import shutil
import socket
import ssl
import subprocess

import pytest

import backend as fake
import harness
import peers
import wire


def pair(names):
    return {"chain": str(names[0]), "key": str(names[1])}


def certificate_names(client):
    return {value for kind, value in client.sock.getpeercert()["subjectAltName"] if kind == "DNS"}


@pytest.fixture
def two_names(authority):
    return [pair(authority.issue("one.test")), pair(authority.issue("two.test", "two.test", "*.wild.test"))]


def test_the_certificate_is_chosen_by_sni(start, backend, two_names, trust):
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": {"certificates": two_names}}))
    for name, expected in [("one.test", "one.test"), ("two.test", "two.test"), ("a.wild.test", "two.test")]:
        with wire.open_session(proxy.public, tls=trust, server_name=name) as client:
            assert expected in certificate_names(client)
            client.send(wire.frame(wire.TEXT, b"hi"))
            assert client.data_frame()[2] == b"hi"


def test_an_unknown_or_missing_name_gets_the_first_certificate(start, backend, two_names, authority):
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": {"certificates": two_names}}))
    lenient = ssl.create_default_context(cafile=str(authority.ca))
    lenient.check_hostname = False
    for name in ("unknown.test", None):
        with wire.open_session(proxy.public, tls=lenient, server_name=name) as client:
            assert "one.test" in certificate_names(client)


def test_large_messages_pass_through_tls(start, node_echo, authority):
    server = pair(authority.issue("large.test", "localhost"))
    proxy = start(harness.config_for(node_echo().address, listener={"tls": {"certificates": [server]}}))
    steps = [{"echo": kind, "size": size} for size in (0, 1, 16384, 1 << 20, 16 << 20) for kind in ("binary", "text")]
    result = peers.run_node("client.js", {"url": f"wss://{proxy.public}/", "ca": str(authority.ca),
                                          "steps": [*steps, {"close": 3001, "reason": "bye"}]})
    assert result["closed"]["code"] == 3001


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_that_asks_for_small_records_gets_large_messages_whole(start, backend, two_names, version):
    """max_fragment_length (RFC 6066), which small devices ask for."""
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": {"certificates": two_names}}))
    ours, theirs = socket.socketpair()
    command = ["openssl", "s_client", "-quiet", "-maxfraglen", "512", version, "-connect", proxy.public]
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    theirs.close()
    try:
        with wire.Stream(ours) as client:
            client.send(wire.request())
            assert client.head().status == 101
            for size in (100, 600, 16_000, 100_000):
                payload = bytes(n * 7 % 251 for n in range(size))
                client.send(wire.frame(wire.BINARY, payload))
                assert client.data_frame()[2] == payload
    finally:
        program.kill()
        program.wait()


def test_old_tls_versions_are_refused(start, backend, two_names, authority):
    tls = {"certificates": two_names, "min_version": "1.3"}
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": tls}))
    old = ssl.create_default_context(cafile=str(authority.ca))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        wire.connect(proxy.public, tls=old, server_name="one.test")


def test_tls_1_2_works(start, backend, two_names, authority):
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": {"certificates": two_names}}))
    old = ssl.create_default_context(cafile=str(authority.ca))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with wire.open_session(proxy.public, tls=old, server_name="one.test") as client:
        client.send(wire.frame(wire.BINARY, b"x" * 100000))
        assert client.data_frame()[2] == b"x" * 100000


def test_client_ca_lets_in_only_its_own_clients(start, backend, two_names, authority, tmp_path):
    tls = {"certificates": two_names, "client_ca": str(authority.ca)}
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": tls}))
    known = ssl.create_default_context(cafile=str(authority.ca))
    known.load_cert_chain(*authority.issue("client.test"))
    with wire.open_session(proxy.public, tls=known, server_name="one.test") as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"
    from certificates import Authority
    stranger = ssl.create_default_context(cafile=str(authority.ca))
    stranger.load_cert_chain(*Authority(tmp_path, "other").issue("stranger.test"))
    for unknown in (stranger, ssl.create_default_context(cafile=str(authority.ca))):
        # In TLS 1.3 the refusal arrives with the first read.
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            wire.open_session(proxy.public, tls=unknown, server_name="one.test")


def server_context(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(*names))
    return context


def test_a_backend_with_the_right_name_is_trusted_and_gets_sni(start, backend, authority):
    context = server_context(authority, "inside.test")
    asked = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = backend(fake.echo, tls=context)
    upstream = {"tls": {"ca": str(authority.ca), "server_name": "inside.test"}}
    proxy = start(harness.config_for(server.address, upstream=upstream))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.BINARY, b"y" * 200000))
        assert client.data_frame()[2] == b"y" * 200000
    assert asked == ["inside.test"]


@pytest.mark.parametrize("upstream_tls", [
    {"server_name": "inside.test"},                     # our authority is not among the system's roots
    {"ca": "CA", "server_name": "another.test"}])       # right authority, wrong name
def test_an_unverified_backend_gets_no_request(start, backend, authority, upstream_tls):
    upstream_tls = {key: str(authority.ca) if value == "CA" else value for key, value in upstream_tls.items()}
    server = backend(fake.echo, tls=server_context(authority, "inside.test"))
    proxy = start(harness.config_for(server.address, upstream={"tls": upstream_tls}))
    with wire.connect(proxy.public) as client:
        client.send(wire.request())
        assert client.head().status in (502, 503)
    assert server.heads == []
    assert "verif" in (proxy.backends()[server.address]["last_error"] + proxy.log()).lower()


def test_verification_can_be_switched_off(start, backend, authority):
    server = backend(fake.echo, tls=server_context(authority, "inside.test"))
    proxy = start(harness.config_for(server.address, upstream={"tls": {"verify": False}}))
    wire.open_session(proxy.public).close()


def test_a_backend_may_ask_for_our_certificate(start, backend, authority):
    context = server_context(authority, "inside.test")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(authority.ca))
    server = backend(fake.echo, tls=context)
    upstream = {"tls": {"ca": str(authority.ca), "server_name": "inside.test",
                        "certificate": pair(authority.issue("proxy.test"))}}
    proxy = start(harness.config_for(server.address, upstream=upstream))
    wire.open_session(proxy.public).close()


def test_a_renewed_certificate_is_served_after_a_reload_and_sessions_stay(start, backend, authority, trust, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def install(names):
        shutil.copy(names[0], chain)
        shutil.copy(names[1], key)
    install(authority.issue("first", "renew.test", "first.test"))
    proxy = start(harness.config_for(backend(fake.echo).address,
                                     listener={"tls": {"certificates": [pair((chain, key))]}}))
    with wire.open_session(proxy.public, tls=trust, server_name="renew.test") as old:
        assert "first.test" in certificate_names(old)
        install(authority.issue("second", "renew.test", "second.test"))
        proxy.reload()
        with wire.open_session(proxy.public, tls=trust, server_name="renew.test") as new:
            assert "second.test" in certificate_names(new)
        old.send(wire.frame(wire.TEXT, b"still here"))
        assert old.data_frame()[2] == b"still here"


def test_close_notify_ends_a_tls_session_cleanly(start, backend, two_names, trust):
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": {"certificates": two_names}}))
    with wire.open_session(proxy.public, tls=trust, server_name="one.test") as client:
        client.send(wire.close_frame(1000))
        assert client.close_code() == 1000
        # suppress_ragged_eofs is on by default, so ask OpenSSL itself: unwrap() needs the peer's close_notify.
        client.sock.unwrap()


def says_goodbye(client):
    client.sock.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        client.sock.unwrap()  # our close_notify is out, theirs is not awaited


def says_too_much(client):
    client.send(wire.frame(wire.TEXT, b"early"))


def says_nothing(_client):
    pass


@pytest.mark.parametrize("last_words", [says_goodbye, says_too_much, says_nothing])
def test_a_client_that_leaves_while_its_backend_is_dialled_frees_its_descriptors(start, backend, two_names, trust,
                                                                                 last_words):
    """The end of a TLS client was not seen behind its close_notify or early bytes: with a mute backend each such
    client held its descriptors for setup_timeout."""
    server = backend(fake.silent)
    proxy = start(harness.config_for(server.address, listener={"tls": {"certificates": two_names}}, workers=1,
                                     upstream={"handshake_timeout": "10m", "setup_timeout": "30m"}))
    before = proxy.sockets()

    def client():
        made = wire.connect(proxy.public, tls=trust, server_name="one.test")
        made.send(wire.request())
        return made
    clients = [client() for _ in range(5)]
    server.wait_heads(5)
    for each in clients:
        last_words(each)
    # When this one's request has arrived, the only setup thread has seen the last words of the others.
    clients.append(client())
    server.wait_heads(6)
    for each in clients:
        each.close()
    harness.eventually(lambda: proxy.sockets() <= before, what="the sockets back")
    assert proxy.metric("holdfast_handshakes_total", result="client_gone") == 6
