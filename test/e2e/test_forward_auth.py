"""Handshakes that an HTTP service decides about: routes[].auth.forward_auth."""
import json
import ssl

import pytest

import backend as fake
import harness
import tokens
import wire


def http(status, *fields, body=b""):
    """A script: this answer for every question."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return fake.answer(("\r\n".join(lines) + "\r\n\r\n").encode() + body)


def guarded(server, service, **options):
    return harness.config_for(server.address, route={"auth": {"forward_auth": {
        "url": f"http://{service.address}/verify?from=us", **options}}})


def answer_to(proxy, path="/", extra=()):
    with wire.connect(proxy.public) as stream:
        stream.send(wire.request(path, extra=extra))
        return stream.head()


def told_fields(client):
    return [tuple(field) for field in json.loads(client.data_frame()[2])["fields"]]


def forwards(proxy, result):
    return proxy.metric("holdfast_auth_forward_total", route="all", result=result)


def test_who_is_allowed_gets_a_session_with_the_fields_of_the_service(start, backend):
    service = backend(http("200 OK", "X-User: ann", "X-Team: a", "X-Team: b", "X-Other: no"))
    server = backend(fake.tell_head)
    proxy = start(guarded(server, service, copy_headers=["X-User", "X-Team", "X-Role"]))
    forged = [("X-User", "root"), ("x_user", "root"), ("X-Role", "admin"), ("X_Team", "root")]
    with wire.open_session(proxy.public, path="/chat?a=1",
                           extra=[("Cookie", "sid=7"), ("Authorization", "Basic eDp5"), *forged]) as client:
        fields = told_fields(client)
    question = service.heads[0]
    assert question.start == "GET /verify?from=us HTTP/1.1"
    assert question.one("host") == service.address
    assert question.one("x-forwarded-method") == "GET"
    assert question.one("x-forwarded-uri") == "/chat?a=1"
    assert question.one("x-forwarded-host") == "test.example"
    assert question.one("x-forwarded-for") == "127.0.0.1"
    assert question.one("cookie") == "sid=7" and question.one("authorization") == "Basic eDp5"
    assert not question.all("upgrade") and not question.all("sec-websocket-key")
    assert question.one("connection") == "close"
    named = [(name, value) for name, value in fields if name.replace("_", "-") in ("x-user", "x-team", "x-role", "x-other")]
    assert named == [("x-user", "ann"), ("x-team", "a"), ("x-team", "b")]
    assert ("cookie", "sid=7") in fields
    assert forwards(proxy, "allowed") == 1
    assert proxy.metric("holdfast_auth_forward_duration_seconds_count", route="all") == 1


def test_a_4xx_is_the_clients_answer(start, backend):
    service = backend(http("403 Forbidden", 'WWW-Authenticate: Basic realm="x"', "X-Secret: 1", body=b"inner details"))
    server = backend(fake.echo)
    proxy = start(guarded(server, service))
    with wire.connect(proxy.public) as stream:
        stream.send(wire.request())
        whole = stream.rest().decode()
    assert whole.startswith("HTTP/1.1 403 Forbidden\r\n")
    assert 'WWW-Authenticate: Basic realm="x"' in whole
    assert "inner details" not in whole and "X-Secret" not in whole
    assert server.heads == []
    assert forwards(proxy, "denied") == 1
    assert proxy.metric("holdfast_handshakes_total", result="unauthorized") == 1
    assert "detail=forward_auth:\\x20denied\\x20403" in proxy.access_lines(1)[0]


@pytest.mark.parametrize("script, result", [
    (http("500 Oops"), "unexpected"), (http("302 Found", "Location: /login"), "unexpected"),
    (fake.answer(b"nonsense\r\n\r\n"), "unexpected"), (fake.answer(b""), "unreachable"), (fake.silent, "timeout")],
    ids=["500", "302", "garbage", "eof", "timeout"])
def test_no_decision_keeps_everybody_out(start, backend, script, result):
    server = backend(fake.echo)
    proxy = start(guarded(server, backend(script), timeout="200ms", cache="1m"))
    for count in (1, 2):
        assert answer_to(proxy).status == 503
        assert forwards(proxy, result) == count  # asked again: what is no decision is not remembered
    assert server.heads == []
    assert proxy.metric("holdfast_handshakes_total", result="auth_failed") == 2
    assert f"detail=forward_auth:\\x20{result}" in proxy.access_lines(1)[0]


def test_nobody_there_keeps_everybody_out(start, backend):
    service = backend(http("200 OK"))
    proxy = start(guarded(backend(fake.echo), service))
    service.stop()
    assert answer_to(proxy).status == 503
    assert forwards(proxy, "unreachable") == 1


def test_the_same_question_is_asked_once(start, backend):
    service = backend(lambda stream, head: http("200 OK", "X-User: " + head.one("cookie"))(stream, head))
    config = guarded(backend(fake.tell_head), service, copy_headers=["X-User"], cache="1m")
    proxy = start({**config, "workers": 1})
    for who in ("ann", "ann", "bob", "ann", "bob"):
        with wire.open_session(proxy.public, extra=[("Cookie", who)]) as client:
            assert ("x-user", who) in told_fields(client)
    assert len(service.heads) == 2
    assert proxy.metric("holdfast_auth_cache_hits_total", route="all") == 3
    assert forwards(proxy, "allowed") == 5
    # Who may be at one path may not be at another.
    wire.open_session(proxy.public, path="/admin", extra=[("Cookie", "ann")]).close()
    assert len(service.heads) == 3


def test_a_no_is_remembered_too_but_not_for_long(start, backend):
    service = backend(http("401 Unauthorized"))
    proxy = start({**guarded(backend(fake.echo), service, cache="100ms"), "workers": 1})
    harness.eventually(lambda: [answer_to(proxy).status for _ in range(3)] == [401] * 3
                       and proxy.metric("holdfast_auth_cache_hits_total", route="all") >= 1, what="a hit")
    asked = len(service.heads)
    harness.eventually(lambda: answer_to(proxy).status == 401 and len(service.heads) > asked, what="a new question")


def test_a_client_that_goes_does_not_wait_for_the_service(start, backend):
    service = backend(fake.silent)
    proxy = start(guarded(backend(fake.echo), service, timeout="1m"))
    with wire.connect(proxy.public) as stream:
        stream.send(wire.request())
        service.wait_heads(1)
    assert "closed while its forward_auth service was asked".replace(" ", "\\x20") in proxy.access_lines(1)[0]
    assert proxy.metric("holdfast_handshakes_total", result="client_gone") == 1


def test_the_service_may_be_asked_over_tls(start, backend, authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("localhost"))
    service = backend(http("204 No Content"), tls=tls)
    port = service.address.rsplit(":", 1)[1]
    auth = {"url": f"https://localhost:{port}/", "ca": str(authority.ca)}
    proxy = start(harness.config_for(backend(fake.echo).address, route={"auth": {"forward_auth": auth}}))
    wire.open_session(proxy.public).close()
    # Without the authority its certificate is nobody's.
    proxy.reload(harness.config_for(backend(fake.echo).address, route={"auth": {"forward_auth": {"url": auth["url"]}}}))
    assert answer_to(proxy).status == 503


def test_the_token_comes_first_and_the_service_learns_its_claims(start, backend, tmp_path):
    (tmp_path / "secret").write_text(tokens.SECRET)
    service = backend(http("200 OK", "X-Plan: gold"))
    auth = {"jwt": {"secret_file": str(tmp_path / "secret"), "claims_to_headers": {"sub": "X-User"}},
            "forward_auth": {"url": f"http://{service.address}", "copy_headers": ["X-Plan"]}}
    proxy = start(harness.config_for(backend(fake.tell_head).address, route={"auth": auth}))
    assert answer_to(proxy).status == 401
    assert service.heads == []
    token = tokens.Signer(tmp_path).token(sub="ann")
    with wire.open_session(proxy.public, extra=[("Authorization", "Bearer " + token), ("X-User", "root")]) as client:
        fields = told_fields(client)
    assert service.heads[0].all("x-user") == ["ann"]
    assert ("x-user", "ann") in fields and ("x-plan", "gold") in fields and ("x-user", "root") not in fields


@pytest.mark.parametrize("auth, why", [
    ({"forward_auth": {"url": "ftp://x/"}}, 'routes[0].auth.forward_auth.url: is "ftp://x/", must be a URL'),
    ({"forward_auth": {"url": "http://u@x/"}}, "must be a URL"),
    ({"forward_auth": {"url": "http://127.0.0.1:1/", "copy_headers": ["Host"]}}, "copy_headers[0]: is \"Host\", must not be"),
    ({"forward_auth": {"url": "http://127.0.0.1:1/", "copy_headers": ["X-A", "x_a"]}}, "which is given twice"),
    ({"jwt": {}}, "routes[0].auth.jwt: must have keys_file or secret_file"),
    ({"jwt": {"secret_file": "short"}}, "must hold at least 32 bytes"),
    ({"jwt": {"secret_file": "short", "at_expiry": 1006}}, "at_expiry: is 1006, must be 1008, 3000-4999 or \"stay\""),
    ({"jwt": {"secret_file": "short", "from": ["body"]}}, "from[0]: is \"body\", must be \"header\""),
    ({"jwt": {"secret_file": "short", "algorithms": ["RS256"]}}, "algorithms: must be [\"HS256\"] with a secret_file"),
    ({"jwt": {"secret_file": "short", "claims_to_headers": {"sub": "Holdfast-User"}}}, "must not be a field that belongs")])
def test_settings_that_make_no_sense_are_errors(tmp_path, auth, why):
    (tmp_path / "short").write_text("too short")
    (tmp_path / "config.json").write_text(json.dumps(harness.config_for("127.0.0.1:1", route={"auth": auth})))
    result = harness.run("check", "-c", tmp_path / "config.json")
    assert result.returncode == 2
    assert why in result.stderr


def test_who_is_not_known_yet_keeps_no_place_of_the_circuit_breaker(start, backend):
    """A place in circuit_breaker.max_sessions was taken before the service was asked: as many clients without a token
    as it has places kept everybody else out for as long as a slow service took."""
    unknown = []

    def slow_for_some(stream, head):
        if not head.all("authorization"):
            unknown.append(stream)
            stream.more()
        http("200 OK")(stream, head)

    service, server = backend(slow_for_some), backend(fake.echo)
    config = guarded(server, service, timeout="20s")
    config["upstreams"][0]["circuit_breaker"] = {"max_sessions": 2}
    proxy = start(config)
    strangers = []
    for _ in range(4):
        strangers.append(wire.connect(proxy.public))
        strangers[-1].send(wire.request())
    harness.eventually(lambda: len(unknown) == 4, what="four questions")
    known = [("Authorization", "Basic eDp5")]
    with wire.open_session(proxy.public, extra=known), wire.open_session(proxy.public, extra=known):
        # Nobody is asked about who would find no place.
        assert answer_to(proxy).status == 503
        assert len(unknown) == 4
        # Who was being asked about finds none either.
        for stream in unknown:
            stream.sock.shutdown(2)
    harness.eventually(lambda: proxy.status()["upstreams"][0]["circuit"]["sessions"] == 0, what="no places taken")
    for stream in strangers:
        stream.close()


@pytest.mark.parametrize("place, carry", [
    ("header", lambda token: {"extra": [("Authorization", "Bearer " + token)]}),
    ("header:X-Token", lambda token: {"extra": [("X-Token", token)]}),
    ("cookie:t", lambda token: {"extra": [("Cookie", f"a=1; t={token}")]}),
    ("query:t", lambda token: {"path": f"/?a=1&t={token}"}),
    ("subprotocol", lambda token: {"extra": [("Sec-WebSocket-Protocol", f"chat, bearer, {token}")]}),
    ("subprotocol", lambda token: {"extra": [("Sec-WebSocket-Protocol", f"access_token.{token}")]})])
def test_a_token_that_is_stripped_reaches_neither_service_nor_backends(start, backend, tmp_path, place, carry):
    """A token among the subprotocols was kept from backends, but told to the service."""
    signer = tokens.Signer(tmp_path)
    (tmp_path / "secret").write_text(signer.secret)
    service, first, second = backend(http("200 OK")), backend(fake.echo), backend(fake.echo)
    config = guarded(first, service)
    config["upstreams"][0]["backends"].append({"address": second.address})
    config["routes"][0]["auth"]["jwt"] = {"secret_file": str(tmp_path / "secret"), "from": [place], "strip": True}
    proxy = start(config)
    token = signer.token()
    with wire.open_session(proxy.public, **carry(token)):
        used, other = (first, second) if first.heads else (second, first)
        used.stop()
        other.wait_heads(1)
    for head in (service.heads[0], used.heads[0], other.heads[0]):
        assert token not in str(vars(head))
    if "chat" in str(carry(token)):
        assert service.heads[0].one("sec-websocket-protocol") == "chat"
        assert used.heads[0].one("sec-websocket-protocol") == "chat"
