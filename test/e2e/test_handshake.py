"""The strict handshake: what is not RFC 6455 section 4 is answered, never tunnelled."""
import pytest

import backend as fake
import harness
import wire

VALID = {"Host": "h.example", "Upgrade": "websocket", "Connection": "Upgrade",
         "Sec-WebSocket-Key": wire.KEY, "Sec-WebSocket-Version": "13"}


def lines(start="GET / HTTP/1.1", drop=(), add=(), **changed):
    fields = {**VALID, **{name.replace("_", "-"): value for name, value in changed.items()}}
    pairs = [(name, value) for name, value in fields.items() if name not in drop] + list(add)
    return "\r\n".join([start, *(f"{name}: {value}" for name, value in pairs), "", ""]).encode()


REJECTED = {
    "POST": (lines("POST / HTTP/1.1"), 405),
    "HTTP/1.0": (lines("GET / HTTP/1.0"), 505),
    "HTTP/2.0 in text": (lines("GET / HTTP/2.0"), 505),
    "no HTTP at all": (b"hello\r\n\r\n", 400),
    "a target without slash": (lines("GET chat HTTP/1.1"), 400),
    "a blank in the target": (lines("GET /a b HTTP/1.1"), 400),
    "an absolute target": (lines("GET http://h.example/ HTTP/1.1"), 400),
    "no Host": (lines(drop=["Host"]), 400),
    "two Hosts": (lines(add=[("Host", "other.example")]), 400),
    "no Upgrade": (lines(drop=["Upgrade"]), (400, 426)),
    "Upgrade to something else": (lines(Upgrade="h2c"), (400, 426)),
    "no Connection": (lines(drop=["Connection"]), (400, 426)),
    "Connection without the token": (lines(Connection="keep-alive"), (400, 426)),
    "Connection with a longer token": (lines(Connection="upgrades"), (400, 426)),
    "no key": (lines(drop=["Sec-WebSocket-Key"]), 400),
    "two keys": (lines(add=[("Sec-WebSocket-Key", wire.KEY)]), 400),
    "a short key": (lines(Sec_WebSocket_Key="c2hvcnQ="), 400),
    "a key that is no base64": (lines(Sec_WebSocket_Key="!" * 24), 400),
    "no version": (lines(drop=["Sec-WebSocket-Version"]), (400, 426)),
    "version 8": (lines(Sec_WebSocket_Version="8"), 426),
    "a body by length": (lines(add=[("Content-Length", "5")]), 400),
    "a chunked body": (lines(add=[("Transfer-Encoding", "chunked")]), 400),
    "a folded line": (lines(add=[("X-Long", "a\r\n b")]), 400),
    "a blank before the colon": (lines(add=[("X-Odd ", "a")]), 400),
    "a control character": (lines(add=[("X-Odd", "a\x01b")]), 400),
    "a NUL": (lines(add=[("X-Odd", "a\x00b")]), 400),
    "a bare CR": (lines(add=[("X-Odd", "a\rb")]), 400),
    "a line without colon": (lines().replace(b"\r\n\r\n", b"\r\nnonsense\r\n\r\n"), 400),
    "101 fields": (lines(add=[(f"X-{i}", "a") for i in range(96)]), 431),
    "17 KiB of fields": (lines(add=[("X-Long", "a" * 17 * 1024)]), 431),
}

ACCEPTED = {
    "the plain one": lines(),
    "tokens in lists and other cases": lines(Upgrade="h2c, WebSocket", Connection="keep-alive, UPGRADE"),
    "lower-case names": lines().replace(b"Sec-WebSocket-Key", b"sec-websocket-key"),
    "100 fields": lines(add=[(f"X-{i}", "a") for i in range(95)]),
    "a long query": lines("GET /a/b?x=%41&y=[]{}|&&z HTTP/1.1"),
    "an empty field": lines(add=[("X-Empty", "")]),
}


@pytest.fixture
def strict(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address))
    proxy.server = server
    return proxy


def test_every_malformed_request_is_answered_and_opens_no_tunnel(strict):
    for name, (request, expected) in REJECTED.items():
        with wire.connect(strict.public) as client:
            client.send(request)
            status = client.head().status
            assert status in (expected if isinstance(expected, tuple) else (expected,)), f"{name}: {status}"
            client.rest()  # and then the connection ends
    assert strict.server.connections == 0


def test_every_legal_form_is_accepted(strict):
    for name, request in ACCEPTED.items():
        with wire.connect(strict.public) as client:
            client.send(request)
            head = client.head()
            assert head.status == 101, name
            assert head.one("sec-websocket-accept") == wire.accept_of(wire.KEY), name


def test_a_wrong_version_names_the_right_one(strict):
    with wire.connect(strict.public) as client:
        client.send(lines(Sec_WebSocket_Version="25"))
        head = client.head()
        assert head.status == 426
        assert head.one("sec-websocket-version") == "13"


def test_a_wrong_method_names_the_right_one(strict):
    with wire.connect(strict.public) as client:
        client.send(lines("DELETE / HTTP/1.1"))
        assert client.head().one("allow") == "GET"


def test_a_request_that_comes_in_single_bytes_is_accepted(strict):
    with wire.connect(strict.public) as client:
        for byte in lines():
            client.send(bytes([byte]))
        assert client.head().status == 101


def test_a_rejected_client_reads_the_answer_though_it_sent_more(strict):
    # Closing with unread input makes Linux send RST, and the client would lose the answer.
    with wire.connect(strict.public) as client:
        client.send(lines("POST / HTTP/1.1", add=[("Content-Length", "300000")]) + b"x" * 300000)
        assert client.head().status in (400, 405)


def test_an_unknown_route_is_404(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, route={"host": "chat.example", "path": "/ws/*"}))
    for host, path, status in [("chat.example", "/ws/room", 101), ("CHAT.example:8443", "/ws/", 101),
                               ("other.example", "/ws/room", 404), ("chat.example", "/other", 404),
                               ("chat.example", "/WS/room", 404)]:
        with wire.connect(proxy.public) as client:
            client.send(wire.request(path, host=host))
            assert client.head().status == status, (host, path)


def test_the_first_matching_route_wins_and_listeners_choose(start, backend):
    exact, tail, second = backend(fake.echo), backend(fake.echo), backend(fake.echo)
    upstreams = [{"name": name, "backends": [{"address": server.address}], "probe": {"type": "none"}}
                 for name, server in (("exact", exact), ("tail", tail), ("second", second))]
    proxy = start(harness.config_for(
        listeners=[{"name": "public", "bind": "127.0.0.1:0"}, {"name": "other", "bind": "127.0.0.2:0"}],
        upstreams=upstreams,
        routes=[{"name": "o", "listeners": ["other"], "upstream": "second"},
                {"name": "e", "path": "/a/b", "upstream": "exact"},
                {"name": "t", "path": "/a/*", "upstream": "tail"}]))
    wire.open_session(proxy.public, "/a/b?query=1").close()
    wire.open_session(proxy.public, "/a/bc").close()
    wire.open_session(proxy.listeners["other"], "/a/b").close()
    for server, path in ((exact, "/a/b?query=1"), (tail, "/a/bc"), (second, "/a/b")):
        assert [head.start.split()[1] for head in server.wait_heads(1)] == [path]
