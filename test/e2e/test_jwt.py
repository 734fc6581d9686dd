"""Tokens at the handshake and during the session: routes[].auth.jwt."""
import json
import struct
import time

import pytest

import backend as fake
import harness
import peers
import reroutes
import tokens
import wire


def with_secret(tmp_path, **jwt):
    file = tmp_path / "secret"
    file.write_text(tokens.SECRET + "\n")
    return {"auth": {"jwt": {"secret_file": str(file), **jwt}}}


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def answer_to(proxy, path="/", extra=()):
    with wire.connect(proxy.public) as stream:
        stream.send(wire.request(path, extra=extra))
        return stream.head()


def told_fields(client):
    return [tuple(field) for field in json.loads(client.data_frame()[2])["fields"]]


def values(fields, name):
    return [value for field, value in fields if field == name]


def said(proxy, count=1):
    return [line.replace("\\x20", " ") for line in proxy.access_lines(count)]


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_a_token_of_each_algorithm_opens_a_session(start, backend, tmp_path, algorithm):
    signer = tokens.Signer(tmp_path, algorithm, kid="one")
    keys = tmp_path / "keys.json"
    keys.write_text(tokens.jwks(signer))
    route = {"auth": {"jwt": {"keys_file": str(keys), "algorithms": [algorithm]}}}
    proxy = start(harness.config_for(backend(fake.echo).address, route=route))
    with wire.open_session(proxy.public, extra=bearer(signer.token())) as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"
    stranger = tokens.Signer(tmp_path, algorithm, kid="one", secret="somebody else's, also long enough for HS256")
    assert answer_to(proxy, extra=bearer(stranger.token())).status == 401
    assert proxy.metric("holdfast_auth_tokens_total", route="all", result="accepted") == 1
    assert proxy.metric("holdfast_auth_tokens_total", route="all", result="bad_signature") == 1


def test_a_pem_public_key_will_do(start, backend, tmp_path):
    signer = tokens.Signer(tmp_path, "RS256")
    keys = tmp_path / "public.pem"
    keys.write_text(signer.public_pem())
    proxy = start(harness.config_for(backend(fake.echo).address, route={"auth": {"jwt": {"keys_file": str(keys)}}}))
    wire.open_session(proxy.public, extra=bearer(signer.token())).close()
    # What makes libraries fall: the public key, which everybody knows, as an HMAC secret.
    forged = tokens.Signer(tmp_path, "HS256", secret=signer.public_pem())
    assert answer_to(proxy, extra=bearer(forged.token())).status == 401
    assert proxy.metric("holdfast_auth_tokens_total", route="all", result="algorithm") == 1


def test_refusals_say_little_and_the_log_says_why(start, backend, tmp_path):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, route=with_secret(tmp_path, issuer="me", audience=["chat"])))
    signer = tokens.Signer(tmp_path)
    good = {"iss": "me", "aud": ["chat", "mail"]}
    none = f"{tokens.b64(json.dumps({'alg': 'none'}).encode())}.{tokens.b64(json.dumps(good).encode())}."
    cases = [("missing", []),
             ("malformed", bearer("not.a.token")),
             ("algorithm", bearer(none)),
             ("expired", bearer(signer.token(lasts=-11, **good))),
             ("not_yet_valid", bearer(signer.token(nbf=time.time() + 60, **good))),
             ("no_expiry", bearer(signer.token(lasts=None, **good))),
             ("issuer", bearer(signer.token(iss="you", aud="chat"))),
             ("audience", bearer(signer.token(iss="me", aud="mail"))),
             ("ambiguous", bearer(signer.token(**good)) + bearer(signer.token(lasts=90, **good)))]
    for number, (why, extra) in enumerate(cases):
        answer = answer_to(proxy, extra=extra)
        challenge = "Bearer" if why == "missing" else 'Bearer error="invalid_token"'
        assert (answer.status, answer.one("www-authenticate")) == (401, challenge), why
        line = said(proxy, number + 1)[number]
        assert "status=401" in line and f"detail=token: {why}" in line
        assert all(value.split()[-1] not in proxy.log() + line for _, value in extra)
        assert proxy.metric("holdfast_auth_tokens_total", route="all", result=why) == 1
    assert proxy.metric("holdfast_handshakes_total", result="unauthorized") == len(cases)
    assert server.heads == []
    wire.open_session(proxy.public, extra=bearer(signer.token(**good))).close()


def test_a_token_may_come_by_cookie_query_or_header_and_is_stripped_if_told(start, backend, tmp_path):
    signer = tokens.Signer(tmp_path)
    places = ["header", "cookie:sid", "query:token", "header:X-Token"]
    token = signer.token()
    ways = [dict(extra=bearer(token)), dict(extra=[("Cookie", f"a=1; sid={token}; b=2")]),
            dict(path=f"/chat?room=7&token={token}&x=1"), dict(extra=[("X-Token", token)])]
    proxy = start(harness.config_for(backend(fake.tell_head).address, route=with_secret(tmp_path, **{"from": places})))
    for way in ways:
        with wire.open_session(proxy.public, **way) as client:
            assert token in client.data_frame()[2].decode()
    proxy.reload(harness.config_for(backend(fake.tell_head).address,
                                    route=with_secret(tmp_path, strip=True, **{"from": places})))
    starts, cookies = [], []
    for way in ways:
        with wire.open_session(proxy.public, **way) as client:
            told = json.loads(client.data_frame()[2])
            assert token not in json.dumps(told)
            starts.append(told["start"])
            cookies += values(told["fields"], "cookie")
    assert starts[2] == "GET /chat?room=7&x=1 HTTP/1.1"
    assert cookies == ["a=1; b=2"]
    assert token not in proxy.log() + "".join(proxy.access_lines(8))


def test_a_token_among_the_subprotocols_is_never_offered_nor_echoed(start, backend, tmp_path):
    signer = tokens.Signer(tmp_path)
    chooses = lambda stream, head: fake.switch(stream, head, extra=[("Sec-WebSocket-Protocol", "chat")])  # noqa: E731
    server = backend(lambda stream, head: (chooses if head.one("sec-websocket-protocol") else fake.switch)(stream, head))
    proxy = start(harness.config_for(server.address, route=with_secret(tmp_path, **{"from": ["subprotocol"]})))
    token = signer.token()
    expected = [(f"chat, bearer, {token}", "chat", "chat"), (f"bearer, {token}", None, "bearer"),
                (f"access_token.{token}, chat", "chat", "chat"), (f"access_token.{token}", None, None)]
    for number, (offered, passed, chosen) in enumerate(expected):
        with wire.open_session(proxy.public, extra=[("Sec-WebSocket-Protocol", offered)]) as client:
            assert server.wait_heads(number + 1)[number].one("sec-websocket-protocol") == passed
            assert client.answer.one("sec-websocket-protocol") == chosen
            assert token not in server.heads[number].raw.decode()
    assert answer_to(proxy, extra=[("Sec-WebSocket-Protocol", "bearer, chat")]).status == 401


def test_a_browsers_way_works_with_a_client_that_insists_on_a_subprotocol(start, echo, tmp_path):
    """npm ws, as browsers, ends a connection that offered subprotocols and was told none."""
    proxy = start(harness.config_for(echo().address, route=with_secret(tmp_path, leeway=0, **{"from": ["subprotocol"]})))
    token = tokens.Signer(tmp_path).token(lasts=1.5)
    result = peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "subprotocols": ["bearer", token],
                                          "steps": [{"echo": "text", "size": 100}]})
    assert result["protocol"] == "bearer"
    assert result["closed"] == {"code": 4401, "reason": "token expired"}


def test_claims_become_fields_that_no_client_can_forge(start, backend, tmp_path):
    route = with_secret(tmp_path, claims_to_headers={"sub": "X-User", "groups": "X-Groups", "/realm/id": "X-Realm",
                                                     "absent": "X-Absent"})
    proxy = start(harness.config_for(backend(fake.tell_head).address, route=route))
    token = tokens.Signer(tmp_path).token(sub="ann", groups=["a", "b"], realm={"id": 7})
    forged = [("X-User", "root"), ("x_user", "root"), ("X-Absent", "root"), ("X_GROUPS", "wheel")]
    with wire.open_session(proxy.public, extra=bearer(token) + forged) as client:
        fields = told_fields(client)
    assert values(fields, "x-user") == ["ann"]
    assert values(fields, "x-groups") == ["a,b"]
    assert values(fields, "x-realm") == ["7"]
    assert [name for name, value in fields if value in ("root", "wheel")] == []
    bad = tokens.Signer(tmp_path).token(sub="ann\r\nX-Admin: 1")
    assert answer_to(proxy, extra=bearer(bad)).status == 401
    assert proxy.metric("holdfast_auth_tokens_total", route="all", result="claims") == 1


def test_the_next_backend_gets_the_claims_too(start, backend, tmp_path):
    route = with_secret(tmp_path, strip=True, claims_to_headers={"sub": "X-User"}, **{"from": ["query:t", "header"]})
    one, two = backend(fake.tell_head), backend(fake.tell_head)
    proxy = start(harness.config_for(one.address, two.address, route=route))
    token = tokens.Signer(tmp_path).token(sub="ann")
    with wire.open_session(proxy.public, path=f"/?t={token}&a=1", extra=[("x_user", "root")]) as client:
        before = json.loads(client.data_frame()[2])
        (one if one.connections else two).stop()
        after = json.loads(client.data_frame()[2])
        for told in (before, after):
            assert told["start"] == "GET /?a=1 HTTP/1.1"
            assert values(told["fields"], "x-user") == ["ann"]
            assert values(told["fields"], "x_user") == []


@pytest.mark.parametrize("code", [4401, 1008])
def test_a_session_ends_with_its_token(start, backend, tmp_path, code):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, route=with_secret(tmp_path, leeway="1s", at_expiry=code)))
    expires = time.time() + 0.5
    token = tokens.Signer(tmp_path).token(exp=expires)
    with wire.open_session(proxy.public, extra=bearer(token)) as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"
        opcode, _, payload = client.data_frame()
        assert expires + 1 <= time.time() < expires + 1 + 1.5 * harness.SLOWNESS
        assert opcode == wire.CLOSE and payload == struct.pack(">H", code) + b"token expired"
        client.send(wire.close_frame(code))
    line = proxy.access_lines(1)[0]
    assert f"close_code={code} reason=token_expired closed_by=proxy" in line
    label = "1008" if code == 1008 else "4xxx"
    assert proxy.metric("holdfast_session_ends_total", reason="token_expired", code=label) == 1


def test_a_session_that_may_stay_outlives_its_token(start, backend, tmp_path):
    config = lambda at: harness.config_for(  # noqa: E731
        server.address, route=with_secret(tmp_path, leeway=0, at_expiry=at))
    server = backend(fake.echo)
    proxy = start(config("stay"))
    with wire.open_session(proxy.public, extra=bearer(tokens.Signer(tmp_path).token(lasts=0.3))) as client:
        time.sleep(0.6)
        client.send(wire.frame(wire.TEXT, b"still here"))
        assert client.data_frame()[2] == b"still here"
        # A reload reaches live sessions at their next look, 5 s later at most.
        proxy.reload(config(1008))
        assert client.close_code() == 1008


def test_a_session_without_a_backend_ends_with_its_token_too(start, puppet, tmp_path):
    server = puppet()
    route = with_secret(tmp_path, leeway=0)
    proxy = start(reroutes.config(server.address, route=route, reroute={"hold": "10m", "attempts": 100}))
    client = wire.open_session(proxy.public, extra=bearer(tokens.Signer(tmp_path).token(lasts=1)))
    server.next()
    server.stop()
    assert client.close_code() == 4401
    assert "reason=token_expired" in proxy.access_lines(1)[0]


def test_keys_are_rotated_by_a_reload(start, backend, tmp_path):
    old, new = tokens.Signer(tmp_path, "ES256", kid="old"), tokens.Signer(tmp_path, "ES256", kid="new")
    keys = tmp_path / "keys.json"
    keys.write_text(tokens.jwks(old))
    config = harness.config_for(backend(fake.echo).address, route={"auth": {"jwt": {"keys_file": str(keys)}}})
    proxy = start(config)
    with wire.open_session(proxy.public, extra=bearer(old.token())) as client:
        assert answer_to(proxy, extra=bearer(new.token())).status == 401
        assert proxy.metric("holdfast_auth_tokens_total", route="all", result="unknown_key") == 1
        keys.write_text(tokens.jwks(new))
        proxy.reload(config)
        harness.eventually(lambda: "route all changed: auth" in proxy.log(), what="the change in the log")
        wire.open_session(proxy.public, extra=bearer(new.token())).close()
        assert answer_to(proxy, extra=bearer(old.token())).status == 401
        # A file that is broken changes nothing.
        keys.write_text('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}')
        assert proxy.get("/reload", method="POST")[0] != 200
        wire.open_session(proxy.public, extra=bearer(new.token())).close()
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"


@pytest.mark.parametrize("content, why", [
    ("{", "must be a JSON object"),
    ('{"keys": []}', "has no key for any of the algorithms"),
    ('{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}', "has no key for any of the algorithms"),
    ("RSA 1024", "keys[0]: its RSA key has 1024 bits, must be 2048 to 8192"),
    ('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}', "keys[0]: its \"x\" and \"y\" must be 32 bytes")])
def test_keys_that_are_none_are_errors_with_their_place(tmp_path, content, why):
    if content == "RSA 1024":
        content = tokens.jwks(tokens.Signer(tmp_path, "RS256", bits=1024))
    (tmp_path / "keys.json").write_text(content)
    config = harness.config_for("127.0.0.1:1", route={"auth": {"jwt": {"keys_file": "keys.json"}}})
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = harness.run("check", "-c", tmp_path / "config.json")
    assert result.returncode == 2
    assert "routes[0].auth.jwt.keys_file: " in result.stderr and why in result.stderr


def test_check_and_status_tell_what_a_route_asks_for(start, backend, tmp_path):
    config = harness.config_for(backend(fake.echo).address, route=with_secret(tmp_path, **{"from": ["cookie:sid"]}))
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = harness.run("check", "-c", tmp_path / "config.json")
    assert "route all asks for a token (HS256; cookie:sid)" in result.stdout
    proxy = start(config)
    answer_to(proxy)
    told = proxy.status()["routes"][0]["auth"]
    assert told["asks_for"] == "a token (HS256; cookie:sid)"
    assert told["tokens"]["missing"] == 1 and told["tokens"]["accepted"] == 0
