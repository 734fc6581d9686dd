"""What of a handshake passes through, and what the proxy says itself."""
import json
import re

import backend as fake
import harness
import wire


def told(proxy, **options):
    """The request head as the backend saw it, as a wire.Head."""
    with wire.open_session(proxy.public, **options) as client:
        seen = json.loads(client.data_frame()[2])
        head = wire.Head(b"")
        head.start, head.fields = seen["start"], [tuple(pair) for pair in seen["fields"]]
        return head


def test_end_to_end_fields_pass_and_hop_by_hop_fields_do_not(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address))
    head = told(proxy, path="/a%20b/../c?x=1&y=%2F", extra=[
        ("Origin", "https://app.example"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Authorization", "Bearer t"),
        ("X-Twice", "1"), ("x-twice", "2"), ("Connection", "X-Secret, keep-alive"), ("X-Secret", "hop"),
        ("Keep-Alive", "timeout=5"), ("Proxy-Authorization", "Basic x"), ("TE", "trailers"),
        ("Holdfast-Session", "forged"), ("User-Agent", "test")])
    assert head.start == "GET /a%20b/../c?x=1&y=%2F HTTP/1.1"
    assert head.one("host") == "test.example"
    assert head.one("origin") == "https://app.example"
    assert head.all("cookie") == ["a=1", "b=2"]
    assert head.one("authorization") == "Bearer t"
    assert head.all("x-twice") == ["1", "2"]
    assert head.one("user-agent") == "test"
    for name in ("x-secret", "keep-alive", "proxy-authorization", "te"):
        assert head.all(name) == [], name
    assert "forged" not in head.all("holdfast-session")


def test_the_proxy_owns_its_key(start, backend):
    server = backend(fake.tell_head)
    proxy = start(harness.config_for(server.address))
    keys = {told(proxy).one("sec-websocket-key") for _ in range(3)}
    assert len(keys) == 3
    assert wire.KEY not in keys


def test_every_session_has_an_id_of_its_own(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address))
    heads = [told(proxy, extra=[("Holdfast-Session", "0" * 32), ("Holdfast-Reroute", "1; cause=lost")])
             for _ in range(3)]
    for head in heads:
        assert re.fullmatch("[0-9a-f]{32}", head.one("holdfast-session"))
        assert head.all("holdfast-reroute") == []
    assert len({head.one("holdfast-session") for head in heads}) == 3


def test_only_compression_that_another_backend_could_go_on_with_is_offered(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address))
    head = told(proxy, extra=[("Sec-WebSocket-Extensions", "x-frames, permessage-deflate; client_max_window_bits"),
                              ("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert head.all("sec-websocket-extensions") == [
        "permessage-deflate; client_max_window_bits; client_no_context_takeover, "
        "permessage-deflate; client_no_context_takeover"]
    assert told(proxy, extra=[("Sec-WebSocket-Extensions", "x-frames")]).all("sec-websocket-extensions") == []


def test_a_client_keeps_no_context_though_the_backend_did_not_ask_for_it(start, backend):
    # A backend that has not seen the session's messages could not read the next one.
    def script(stream, head):
        fake.switch(stream, head, extra=[("Sec-WebSocket-Extensions", "permessage-deflate")])
        fake.echo_frames(stream)
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public, extra=[("Sec-WebSocket-Extensions", "permessage-deflate")]) as client:
        assert client.answer.all("sec-websocket-extensions") == ["permessage-deflate; client_no_context_takeover"]


def test_an_untrusted_client_cannot_forge_where_it_comes_from(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address))
    head = told(proxy, extra=[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"),
                              ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=6.6.6.6"),
                              ("X_Forwarded_For", "6.6.6.6")])
    assert head.one("x-forwarded-for") == "127.0.0.1"
    assert head.one("x-forwarded-proto") in ("http", "ws")
    assert head.one("x-forwarded-host") == "test.example"
    assert "6.6.6.6" not in json.dumps(head.fields)


def test_a_trusted_peer_is_appended_to(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address, listener={"trusted_peers": ["127.0.0.0/8"]}))
    head = told(proxy, extra=[("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-Proto", "https"),
                              ("Forwarded", "for=9.9.9.9;proto=https")])
    chain = ", ".join(head.all("x-forwarded-for"))
    assert [part.strip() for part in chain.split(",")] == ["9.9.9.9", "127.0.0.1"]
    assert head.one("x-forwarded-proto") == "https"
    forwarded = ", ".join(head.all("forwarded"))
    assert forwarded.startswith("for=9.9.9.9;proto=https")
    assert "127.0.0.1" in forwarded


def test_fields_of_the_backends_101_pass_each_as_often_as_it_came(start, backend):
    def script(stream, head):
        fake.switch(stream, head, extra=[("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Node", "7"),
                                         ("Server", "fake")])
        fake.echo_frames(stream)
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        assert client.answer.all("set-cookie") == ["a=1; Path=/", "b=2"]
        assert client.answer.one("x-node") == "7"
        assert client.answer.all("sec-websocket-accept") == [wire.accept_of(wire.KEY)]


def test_bytes_behind_the_request_reach_the_backend_after_its_101(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    early = wire.frame(wire.TEXT, b"early") + wire.frame(wire.BINARY, b"b" * 10000)
    with wire.open_session(proxy.public, early=early) as client:
        assert client.data_frame() == (wire.TEXT, True, b"early")
        assert client.data_frame() == (wire.BINARY, True, b"b" * 10000)


def test_more_early_bytes_than_are_kept_are_not_lost(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    messages = [bytes([65 + number]) * 20000 for number in range(10)]
    early = b"".join(wire.frame(wire.BINARY, message) for message in messages)
    with wire.open_session(proxy.public, early=early) as client:
        assert [client.data_frame()[2] for _ in messages] == messages


def test_bytes_behind_the_101_reach_the_client(start, backend):
    def script(stream, head):
        fake.switch(stream, head, then=wire.frame(wire.TEXT, b"welcome", masked=False) +
                    wire.frame(wire.BINARY, b"w" * 50000, masked=False))
        fake.echo_frames(stream)
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        assert client.data_frame() == (wire.TEXT, True, b"welcome")
        assert client.data_frame() == (wire.BINARY, True, b"w" * 50000)


def relayed(proxy, **options):
    with wire.connect(proxy.public) as client:
        client.send(wire.request(**options) + wire.frame(wire.TEXT, b"not for this backend"))
        return client.head(), client.rest()


def test_a_refusal_with_a_body_is_relayed_as_http(start, backend):
    server = backend(fake.answer(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nX-Two: a\r\nX-Two: b\r\n"
                                 b"Content-Length: 12\r\n\r\ngo and login"))
    proxy = start(harness.config_for(server.address))
    head, body = relayed(proxy)
    assert head.start == "HTTP/1.1 401 Unauthorized"
    assert head.one("www-authenticate") == "Bearer"
    assert head.all("x-two") == ["a", "b"]
    assert body == b"go and login"
    assert head.one("connection") == "close"


def test_a_chunked_refusal_is_relayed(start, backend):
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    server = backend(fake.answer(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks))
    head, body = relayed(start(harness.config_for(server.address)))
    assert head.status == 403
    assert head.one("transfer-encoding") == "chunked"
    assert body == chunks


def test_a_refusal_until_the_end_of_the_connection_is_relayed(start, backend):
    server = backend(fake.answer(b"HTTP/1.1 500 Oh\r\n\r\n" + b"z" * 300000))
    head, body = relayed(start(harness.config_for(server.address)))
    assert head.status == 500
    assert body == b"z" * 300000


def test_a_redirect_without_a_body_is_relayed(start, backend):
    server = backend(fake.answer(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"))
    head, body = relayed(start(harness.config_for(server.address)))
    assert (head.status, head.one("location"), body) == (302, "/there", b"")


def test_a_refusal_is_never_retried_on_another_backend(start, backend):
    servers = [backend(fake.answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) for _ in range(3)]
    proxy = start(harness.config_for(*(server.address for server in servers)))
    head, _ = relayed(proxy)
    assert head.start == "HTTP/1.1 503 Busy"
    assert sum(len(server.heads) for server in servers) == 1
