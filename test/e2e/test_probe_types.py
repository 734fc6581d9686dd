"""What each type of probe finds, told by real fake backends: what passes, and each way of failing."""
import ssl
import threading
import time

import pytest

import backend as fake
import harness
import wire

RHYTHM = {"interval": "50ms", "timeout": "300ms", "rise": 1, "fall": 1}


def verdict(proxy, address):
    """(health, why) once there is one."""
    entry = harness.eventually(lambda: next((b for b in [proxy.backends()[address]] if b["health"] != "unknown"), None),
                               what="a verdict")
    return entry["health"], entry["probe"]["error"]


def probed(start, address, probe, **upstream):
    proxy = start(harness.config_for(address, upstream={"probe": {**RHYTHM, **probe}, **upstream}))
    return verdict(proxy, address)


def answer(head, body=b""):
    """Sends head and body for any request, and ends."""
    return fake.answer(head.encode() + b"\r\n\r\n" + body)


# --- http ---

OK = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close"
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
HTTP = {
    "200": ({}, answer(OK, b"all is well"), None),
    "302": ({}, answer("HTTP/1.1 302 Found\r\nContent-Length: 0"), None),
    "500": ({}, answer("HTTP/1.1 500 Oh\r\nContent-Length: 0"), "answered 500"),
    "204 where it is wanted": ({"expect_status": "204"}, answer("HTTP/1.1 204 Fine"), None),
    "200 where 204 is wanted": ({"expect_status": "204,300-399"}, answer(OK, b"all is well"), "answered 200"),
    "503 where it is wanted": ({"expect_status": "500-599"}, answer("HTTP/1.1 503 Ill\r\nContent-Length: 0"), None),
    "body": ({"expect_body": "is well"}, answer(OK, b"all is well"), None),
    "body by an expression": ({"expect_body": "/^all .* w[a-z]+$/"}, answer(OK, b"all is well"), None),
    "another body": ({"expect_body": "is bad"}, answer(OK, b"all is well"), "the body lacks"),
    "body cut in chunks": ({"expect_body": "all is well"}, answer(CHUNKED, b"4\r\nall \r\n7\r\nis well\r\n0\r\n\r\n"), None),
    "body until the end": ({"expect_body": "well"}, answer("HTTP/1.1 200 OK", b"all is well"), None),
    "body behind 64 KiB": ({"expect_body": "well"}, answer("HTTP/1.1 200 OK", b"x" * 70000 + b"well"), "first 64 KiB"),
    "garbage": ({}, fake.answer(b"SSH-2.0-nothing\r\n\r\n"), ""),
    "mute": ({}, fake.silent, "timed out"),
    "reset": ({}, fake.reset, ""),
    "half a head": ({}, fake.answer(b"HTTP/1.1 200 OK\r\n"), ""),
}


@pytest.mark.parametrize("name", HTTP)
def test_an_http_probe_judges(start, backend, name):
    probe, script, why = HTTP[name]
    health, told = probed(start, backend(script).address, {"type": "http", **probe})
    assert health == ("healthy" if why is None else "unhealthy"), told
    assert (why or "") in told


def test_an_http_probe_asks_as_it_is_told(start, backend):
    server = backend(answer(OK, b"all is well"))
    probed(start, server.address, {"type": "http", "method": "OPTIONS", "path": "/health?deep=1", "host": "app.example",
                                   "headers": {"Authorization": "Bearer x", "User-Agent": "me"}})
    head = server.wait_heads(1)[0]
    assert head.start == "OPTIONS /health?deep=1 HTTP/1.1"
    assert head.one("host") == "app.example"
    assert head.one("authorization") == "Bearer x"
    assert head.one("user-agent") == "me"


# --- websocket ---

def talks(reply):
    """A backend that answers text messages by reply(stream, text), pings by pongs."""
    def script(stream, head):
        offered = head.one("sec-websocket-protocol")
        fake.switch(stream, head, extra=[("Sec-WebSocket-Protocol", offered)] if offered else [])
        while True:
            opcode, _, payload = stream.frame()
            if opcode == wire.CLOSE:
                return stream.send(wire.frame(wire.CLOSE, payload, masked=False))
            if opcode == wire.PING:
                stream.send(wire.frame(wire.PONG, payload, masked=False))
            if opcode == wire.TEXT:
                reply(stream, payload)
    return script


def in_two_pieces(stream, text):
    stream.send(wire.frame(wire.TEXT, b"you said ", fin=False, masked=False))
    stream.send(wire.frame(wire.PING, b"", masked=False))
    stream.send(wire.frame(wire.CONTINUATION, text, masked=False))


def greets(stream, head):
    fake.switch(stream, head, then=wire.frame(wire.TEXT, b"welcome", masked=False))
    fake.echo_frames(stream)


def no_subprotocol(stream, head):
    fake.switch(stream, head)
    fake.echo_frames(stream)


def closes(stream, head):
    fake.switch(stream, head, then=wire.close_frame(1013, masked=False))
    stream.rest()


def never_pongs(stream, head):
    fake.switch(stream, head)
    stream.rest()


def masks(stream, head):
    fake.switch(stream, head, then=wire.frame(wire.TEXT, b"hi"))
    stream.rest()


ECHO = talks(lambda stream, text: stream.send(wire.frame(wire.TEXT, text, masked=False)))
WEBSOCKET = {
    "pong": ({}, ECHO, None),
    "subprotocol": ({"subprotocol": "chat.v2"}, ECHO, None),
    "no agreement on the subprotocol": ({"subprotocol": "chat.v2"}, no_subprotocol, "did not agree on the subprotocol"),
    "text and text": ({"send": "health?", "expect": "health"}, ECHO, None),
    "text and expression": ({"send": "health 17", "expect": "/^health [0-9]+$/"}, ECHO, None),
    "text and any answer": ({"send": "health?"}, ECHO, None),
    "an answer in pieces": ({"send": "x", "expect": "you said x"}, talks(in_two_pieces), None),
    "another answer": ({"send": "health?", "expect": "/^ok$/"}, ECHO, "no message that is expected: timed out"),
    "no answer": ({"send": "health?"}, talks(lambda stream, text: None), "timed out"),
    "it speaks first": ({"expect": "welcome"}, greets, None),
    "it should speak first": ({"expect": "welcome"}, ECHO, "timed out"),
    "no pong": ({}, never_pongs, "no pong: timed out"),
    "a Close instead": ({}, closes, "it sent a Close"),
    "a masked frame": ({}, masks, "mask"),
    "mute": ({}, fake.silent, "timed out"),
    "403": ({}, answer("HTTP/1.1 403 No\r\nContent-Length: 0"), "answered 403"),
    "wrong accept": ({}, lambda s, h: fake.switch(s, h, accept="c2hvcnQ=" + "A" * 20), "Accept"),
    "unasked extension": ({}, lambda s, h: fake.switch(
        s, h, extra=[("Sec-WebSocket-Extensions", "permessage-deflate")]), ""),
    "the end behind the 101": ({}, lambda s, h: fake.switch(s, h), "no pong"),
}


@pytest.mark.parametrize("name", WEBSOCKET)
def test_a_websocket_probe_judges(start, backend, name):
    probe, script, why = WEBSOCKET[name]
    health, told = probed(start, backend(script).address, {"type": "websocket", **probe})
    assert health == ("healthy" if why is None else "unhealthy"), told
    assert (why or "") in told


def test_a_websocket_probe_leaves_as_a_client_does(start, backend):
    """A backend whose probes are just cut logs an error every two seconds."""
    endings = []

    def script(stream, head):
        fake.switch(stream, head)
        while True:
            opcode, _, payload = stream.frame()
            if opcode == wire.PING:
                stream.send(wire.frame(wire.PONG, payload, masked=False))
            if opcode == wire.CLOSE:
                stream.send(wire.frame(wire.CLOSE, payload, masked=False))
                return endings.append((payload, stream.rest()))
    server = backend(script)
    probed(start, server.address, {"type": "websocket"})
    harness.eventually(lambda: len(endings) >= 3, what="three ends")
    assert set(endings) == {(b"\x03\xe8", b"")}
    assert server.errors == []


def test_a_websocket_probe_asks_as_it_is_told(start, backend):
    server = backend(ECHO)
    probed(start, server.address, {"type": "websocket", "path": "/socket", "headers": {"Origin": "https://probe.test"},
                                   "subprotocol": "chat.v2"})
    head = server.wait_heads(1)[0]
    assert head.start == "GET /socket HTTP/1.1"
    assert head.one("host") == server.address
    assert head.one("origin") == "https://probe.test"
    assert head.one("sec-websocket-protocol") == "chat.v2"


# --- tls ---

def server_context(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(*names))
    return context


@pytest.fixture
def over_tls(authority):
    return {"tls": {"ca": str(authority.ca), "server_name": "probe.test"}}


@pytest.mark.parametrize("kind", ["tls", "http", "websocket"])
def test_a_probe_over_tls_passes_where_sessions_would(start, backend, authority, over_tls, kind):
    script = ECHO if kind == "websocket" else answer(OK, b"all is well")
    server = backend(script, tls=server_context(authority, "probe.test"))
    assert probed(start, server.address, {"type": kind}, **over_tls) == ("healthy", "")


@pytest.mark.parametrize("kind", ["tls", "http", "websocket"])
def test_a_probe_over_tls_fails_for_a_certificate_that_sessions_would_refuse(start, backend, authority, over_tls, kind):
    server = backend(ECHO, tls=server_context(authority, "other.test"))
    health, told = probed(start, server.address, {"type": kind}, **over_tls)
    assert health == "unhealthy"
    assert "TLS" in told


def test_a_tls_probe_finds_what_a_tcp_probe_does_not(start, backend, over_tls):
    mute, plain = backend(), backend(fake.answer(b"HTTP/1.1 400 No\r\n\r\n"), on_accept=lambda stream: (
        stream.send(b"HTTP/1.1 400 No\r\n\r\n"), True)[1])
    for server in (mute, plain):
        assert probed(start, server.address, {"type": "tls"}, **over_tls)[0] == "unhealthy"
        assert probed(start, server.address, {"type": "tcp"}, **over_tls)[0] == "healthy"


def test_an_upstream_with_tls_is_probed_over_tls_when_nothing_else_is_said(start, backend, authority, over_tls):
    server = backend(ECHO, tls=server_context(authority, "other.test"))
    assert probed(start, server.address, {}, **over_tls)[0] == "unhealthy"


# --- where and when ---

def test_a_probe_of_another_port(start, backend):
    sessions, health = backend(ECHO), backend(answer(OK, b"all is well"))
    port = int(health.address.rsplit(":", 1)[1])
    assert probed(start, sessions.address, {"type": "http", "port": port}) == ("healthy", "")
    assert sessions.heads == []
    assert health.wait_heads(1)[0].one("host") == health.address


def test_a_backends_own_probe_takes_the_rest_from_its_upstream(start, backend):
    one, two = (backend(answer(OK, b"all is well")) for _ in range(2))
    config = harness.config_for(upstreams=[{
        "name": "main", "probe": {"type": "http", "path": "/common", "expect_body": "well", **RHYTHM},
        "backends": [{"address": one.address}, {"address": two.address, "probe": {"path": "/own", "expect_body": "ill"}}]}])
    proxy = start(config)
    assert verdict(proxy, one.address)[0] == "healthy"
    assert verdict(proxy, two.address)[0] == "unhealthy"
    assert one.wait_heads(1)[0].start == "GET /common HTTP/1.1"
    assert two.wait_heads(1)[0].start == "GET /own HTTP/1.1"
    # A reload takes it away, and probes at once.
    del config["upstreams"][0]["backends"][1]["probe"]
    proxy.reload(config)
    harness.eventually(lambda: proxy.backends()[two.address]["health"] == "healthy", what="healthy by the common probe")


def test_a_backend_without_a_probe_among_probed_ones(start, backend):
    dead = fake.refused_address()
    server = backend(ECHO)
    proxy = start(harness.config_for(upstreams=[{
        "name": "main", "probe": RHYTHM,
        "backends": [{"address": dead, "probe": {"type": "none"}}, {"address": server.address}]}]))
    assert verdict(proxy, server.address)[0] == "healthy"
    assert proxy.backends()[dead]["health"] == "unknown"
    assert proxy.backends()[dead]["probe"]["result"] == "none"


def rate(proxy, address, seconds):
    def count():
        return proxy.metric("holdfast_probe_total", backend=address)
    before = count()
    time.sleep(seconds)
    return (count() - before) / seconds


def test_an_unhealthy_backend_has_an_interval_of_its_own(start, backend):
    dead, server = fake.refused_address(), backend(ECHO)
    rhythm = {**RHYTHM, "interval": "50ms", "interval_down": "1h"}
    proxy = start(harness.config_for(dead, server.address, upstream={"probe": rhythm}))
    assert verdict(proxy, dead)[0] == "unhealthy"
    assert verdict(proxy, server.address)[0] == "healthy"
    assert rate(proxy, dead, 1) == 0
    assert rate(proxy, server.address, 1) > 5 / harness.SLOWNESS
    # A reload that says otherwise does not wait for the hour.
    proxy.reload(harness.config_for(dead, server.address, upstream={"probe": {**rhythm, "interval_down": "50ms"}}))
    harness.eventually(lambda: rate(proxy, dead, 0.5) > 5 / harness.SLOWNESS, what="frequent probes")


def test_the_latest_probe_is_told(start, backend):
    gate = threading.Event()

    def slow(stream, head):
        gate.wait(0.1)
        answer(OK, b"all is well")(stream, head)
    server = backend(slow)
    proxy = start(harness.config_for(server.address, upstream={"probe": {"type": "http", **RHYTHM}}))
    verdict(proxy, server.address)
    told = proxy.backends()[server.address]["probe"]
    assert told["result"] == "passed" and told["error"] == ""
    assert 0.1 <= told["seconds"] < 5 * harness.SLOWNESS
    assert 0 <= told["age_seconds"] < 5 * harness.SLOWNESS
    assert proxy.metric("holdfast_probe_duration_seconds_count") >= 1
