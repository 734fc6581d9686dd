"""Who gets no session: limits per listener, per address and per upstream, networks and origins, at tiny values.
Where a limit says no, no backend hears of it; when it ends, sessions come in again; a reload changes it."""
import json
import socket
import struct

import pytest

import backend as fake
import harness
import wire

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def tried(proxy, source=None, extra=(), path="/", **options):
    """The answer to one handshake; None when the connection is just closed."""
    try:
        with wire.connect(proxy.public, source=source, **options) as client:
            client.send(wire.request(path, extra=extra))
            return client.head()
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return None


def status_of(proxy, **options):
    head = tried(proxy, **options)
    return head and head.status


def refusals(proxy, reason):
    return proxy.metric("holdfast_refusals_total", listener="public", reason=reason)


def said(proxy, count):
    return [line.replace("\\x20", " ") for line in proxy.access_lines(count)]


def test_max_sessions_per_ip_is_429_for_one_address_and_nothing_for_another(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, listener={"max_sessions_per_ip": 2}))
    first, second = wire.open_session(proxy.public), wire.open_session(proxy.public)
    head = tried(proxy)
    assert head.status == 429
    assert int(head.one("retry-after")) >= 1
    assert "max_sessions_per_ip" in said(proxy, 1)[0]
    wire.open_session(proxy.public, source="127.0.0.2").close()
    assert refusals(proxy, "max_sessions_per_ip") == 1
    assert proxy.metric("holdfast_handshakes_total", result="client_limit") == 1
    assert proxy.status()["listeners"][0]["protection"]["refusals"]["max_sessions_per_ip"] == 1
    assert len(server.heads) == 3, "a refused client reached the backend"
    first.close()
    harness.eventually(lambda: status_of(proxy) == 101, what="a place once a session has ended")
    # Raised by a reload, and counting on: two are there again.
    proxy.reload(harness.config_for(server.address, listener={"max_sessions_per_ip": 3}))
    with second, wire.open_session(proxy.public):
        harness.eventually(lambda: proxy.sessions() == 2)
        with wire.open_session(proxy.public):
            assert status_of(proxy) == 429
        proxy.reload(harness.config_for(server.address, listener={}))
        wire.open_session(proxy.public).close()


def test_ipv6_clients_count_by_64(start, backend):
    def header(source):
        body = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
        body += struct.pack("!HH", 4711, 443)
        return SIGNATURE + b"\x21\x21" + struct.pack("!H", len(body)) + body

    listener = {"max_sessions_per_ip": 1, "proxy_protocol": True, "trusted_peers": ["127.0.0.1"]}
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))

    def status(source):
        stream = wire.connect(proxy.public)
        stream.send(header(source) + wire.request())
        return stream.head().status, stream

    held = [status("2001:db8:1:1::1")]
    assert held[0][0] == 101
    held.append(status("2001:db8:1:1:ffff::2"))
    assert held[1][0] == 429
    held.append(status("2001:db8:1:2::1"))
    assert held[2][0] == 101
    for _, stream in held:
        stream.close()


def test_handshakes_per_second_of_an_address(start, backend):
    server = backend(fake.echo)
    limits = {"max_handshakes_per_second_per_ip": 1, "handshake_burst_per_ip": 3}
    proxy = start(harness.config_for(server.address, listener=limits))
    heads = [tried(proxy) for _ in range(6)]
    statuses = [head.status for head in heads]
    assert statuses[:3] == [101] * 3
    refused = [head for head in heads if head.status == 429]
    assert refused and {head.one("retry-after") for head in refused} == {"1"}
    assert refusals(proxy, "max_handshakes_per_second_per_ip") == len(refused)
    assert status_of(proxy, source="127.0.0.2") == 101
    assert len(server.heads) == statuses.count(101) + 1, "a refused client reached the backend"
    harness.eventually(lambda: status_of(proxy) == 101, what="the next second")


def test_handshakes_per_second_of_a_listener(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, listener={"max_handshakes_per_second": 1, "handshake_burst": 2}))
    sources = [f"127.0.0.{n}" for n in range(2, 8)]
    statuses = [status_of(proxy, source=source) for source in sources]
    assert statuses[:2] == [101, 101]
    assert 503 in statuses[2:]
    assert refusals(proxy, "max_handshakes_per_second") >= 1
    assert proxy.metric("holdfast_handshakes_total", result="limit") >= 1
    proxy.reload(harness.config_for(server.address, listener={"max_handshakes_per_second": 1000}))
    assert {status_of(proxy, source=source) for source in sources} == {101}


def test_a_flood_of_one_address_is_closed_before_tls_and_touches_no_backend(start, backend, authority, trust):
    """Beyond twenty answers at once an address gets none: a TLS handshake for each would be the attack."""
    chain, key = authority.issue("flood.test")
    listener = {"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]},
                "max_handshakes_per_second_per_ip": 1, "handshake_burst_per_ip": 1}
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, listener=listener))
    flood = {"source": "127.0.0.66", "count": 0}

    def unanswered():
        return proxy.metric("holdfast_handshakes_total", result="unanswered")

    def rush():
        for _ in range(40):
            flood["count"] += 1
            try:
                wire.connect(proxy.public, source=flood["source"]).close()
            except (ConnectionResetError, BrokenPipeError):
                pass

    def tls_is_refused():
        rush()
        try:
            wire.connect(proxy.public, tls=trust, server_name="flood.test", source=flood["source"]).close()
        except OSError:
            return True
        return False

    with wire.open_session(proxy.public, tls=trust, server_name="flood.test", source="127.0.0.9") as client:
        harness.eventually(lambda: rush() or unanswered() >= 100, what="connections closed without an answer")
        harness.eventually(tls_is_refused, what="no TLS handshake in the middle of the flood")
        client.send(wire.frame(wire.TEXT, b"still here"))
        assert client.data_frame()[2] == b"still here"
        # Another address is not concerned.
        wire.open_session(proxy.public, tls=trust, server_name="flood.test", source="127.0.0.10").close()
    assert len(server.heads) == 2, "the flood reached a backend"
    # No line in the access log for each of them.
    assert len(proxy.access()) <= 2 + flood["count"] - unanswered() + 10
    assert proxy.metric("holdfast_client_addresses") >= 1
    harness.eventually(lambda: proxy.metric("holdfast_client_addresses") == 0, seconds=20,
                       what="the table to forget them")


def test_denied_addresses_are_closed_before_a_byte_is_read(start, backend, authority, trust):
    chain, key = authority.issue("deny.test")
    tls = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, listener={"tls": tls, "deny": ["127.0.0.2"]}))
    with pytest.raises(OSError):
        wire.open_session(proxy.public, tls=trust, server_name="deny.test", source="127.0.0.2")
    wire.open_session(proxy.public, tls=trust, server_name="deny.test").close()
    assert proxy.metric("holdfast_tls_handshakes_total") == 1, "a denied client got as far as TLS"
    assert refusals(proxy, "denied") == 1
    assert proxy.metric("holdfast_handshakes_total", result="forbidden") == 1
    assert any("denied" in line for line in said(proxy, 1))
    proxy.reload(harness.config_for(server.address, listener={"tls": tls, "allow": ["127.0.0.2/31"]}))
    with pytest.raises(OSError):
        wire.open_session(proxy.public, tls=trust, server_name="deny.test")
    wire.open_session(proxy.public, tls=trust, server_name="deny.test", source="127.0.0.2").close()
    assert len(server.heads) == 2


def test_the_address_of_a_proxy_header_is_what_is_judged(start, backend):
    listener = {"proxy_protocol": True, "trusted_peers": ["127.0.0.1"], "deny": ["192.0.2.0/24"],
                "max_handshakes_per_second_per_ip": 1, "handshake_burst_per_ip": 1}
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))

    def status(source):
        with wire.connect(proxy.public) as stream:
            stream.send(b"PROXY TCP4 %s 198.51.100.1 4711 443\r\n" % source + wire.request())
            try:
                return stream.head().status
            except (EOFError, ConnectionResetError):
                return None

    assert status(b"192.0.2.7") is None
    assert status(b"203.0.113.1") == 101
    assert status(b"203.0.113.1") == 429
    assert status(b"203.0.113.2") == 101
    assert refusals(proxy, "denied") == 1


def test_a_route_has_networks_of_its_own(start, backend):
    server = backend(fake.echo)
    route = {"path": "/inside", "allow": ["127.0.0.1"]}
    config = harness.config_for(server.address, route=route)
    config["routes"].append({"name": "rest", "upstream": "main"})
    proxy = start(config)
    assert status_of(proxy, path="/inside") == 101
    assert status_of(proxy, path="/inside", source="127.0.0.2") == 403
    assert status_of(proxy, path="/other", source="127.0.0.2") == 101
    assert refusals(proxy, "denied") == 1
    assert "denied by the route" in said(proxy, 1)[0] + said(proxy, 2)[1]


def test_origins(start, backend):
    server = backend(fake.echo)
    route = {"origins": ["https://app.example.com", "*.example.org", "null"]}
    proxy = start(harness.config_for(server.address, route=route))

    def status(*origins):
        return status_of(proxy, extra=[("Origin", origin) for origin in origins])

    assert status("https://APP.example.com:443") == 101
    assert status("http://a.example.org") == 101
    assert status("null") == 101
    assert status() == 101, "who sends no Origin is no browser"
    assert status("https://evil.example.com") == 403
    assert status("https://app.example.com.evil.net") == 403
    assert status("https://a.b.example.org") == 403
    assert status("https://app.example.com", "https://app.example.com") == 403, "two Origins are none"
    assert refusals(proxy, "origin") == 4
    assert len(server.heads) == 4
    proxy.reload(harness.config_for(server.address, route={**route, "require_origin": True}))
    assert status() == 403
    assert status("null") == 101
    proxy.reload(harness.config_for(server.address, route={}))
    assert status("https://evil.example.com") == 101


def test_circuit_breaker_sessions(start, backend):
    servers = [backend(fake.echo), backend(fake.echo)]
    addresses = [server.address for server in servers]
    breaker = {"circuit_breaker": {"max_sessions": 2}}
    proxy = start(harness.config_for(*addresses, upstream=breaker))
    one, two = wire.open_session(proxy.public), wire.open_session(proxy.public)
    head = tried(proxy)
    assert head.status == 503
    assert int(head.one("retry-after")) >= 1
    assert refusals(proxy, "circuit_sessions") == 1
    assert proxy.metric("holdfast_circuit_breaks_total", upstream="main", limit="sessions") == 1
    assert proxy.metric("holdfast_upstream_sessions", upstream="main") == 2
    assert proxy.metric("holdfast_handshakes_total", result="overload") == 1
    circuit = proxy.status()["upstreams"][0]["circuit"]
    assert (circuit["sessions"], circuit["max_sessions"], circuit["breaks"]["sessions"]) == (2, 2, 1)
    assert sum(len(server.heads) for server in servers) == 2
    one.close()
    harness.eventually(lambda: status_of(proxy) == 101, what="a place once a session has ended")
    proxy.reload(harness.config_for(*addresses))
    with wire.open_session(proxy.public), wire.open_session(proxy.public), two:
        pass
    harness.eventually(lambda: proxy.metric("holdfast_upstream_sessions", upstream="main") == 0)


def test_circuit_breaker_pending(start, backend):
    """Backends that are slow to answer must not get ever more handshakes to be slow with."""
    go = []

    def slow(stream, head):
        harness.eventually(lambda: go, 20)
        fake.echo(stream, head)

    server = backend(slow)
    upstream = {"circuit_breaker": {"max_pending": 1}, "handshake_timeout": "10m"}
    proxy = start(harness.config_for(server.address, upstream=upstream))
    with wire.connect(proxy.public, timeout=20 * harness.SLOWNESS) as waiting:
        waiting.send(wire.request())
        server.wait_heads(1)
        assert proxy.metric("holdfast_upstream_pending", upstream="main") == 1
        assert status_of(proxy) == 503
        assert refusals(proxy, "circuit_pending") == 1
        assert server.connections == 1
        go.append(True)
        assert waiting.head().status == 101
        assert status_of(proxy) == 101
    assert proxy.metric("holdfast_upstream_pending", upstream="main") == 0


def test_who_waits_in_the_queue_does_not_dial(start, backend):
    server = backend(fake.echo)
    upstream = {"circuit_breaker": {"max_pending": 1}, "queue": {"length": 5, "timeout": "10m"}}
    config = harness.config_for(server.address, upstream=upstream)
    config["upstreams"][0]["backends"][0]["max_sessions"] = 1
    proxy = start(config)
    first = wire.open_session(proxy.public)
    with wire.connect(proxy.public) as one, wire.connect(proxy.public) as two:
        one.send(wire.request())
        two.send(wire.request())
        harness.eventually(lambda: proxy.metric("holdfast_queued_sessions", upstream="main") == 2)
        assert proxy.metric("holdfast_upstream_pending", upstream="main") == 0
        assert proxy.metric("holdfast_upstream_sessions", upstream="main") == 3
        first.close()
        harness.eventually(lambda: len(server.heads) == 2, what="one of them at the backend")
    assert refusals(proxy, "circuit_pending") == 0


def test_a_session_that_loses_its_backend_waits_for_the_circuit_and_keeps_its_place(start, backend):
    go = []

    def slow_after_the_first(stream, head):
        if len(server.heads) > 1:
            harness.eventually(lambda: go, 20)
        fake.echo(stream, head)

    server, dying = backend(slow_after_the_first), backend(fake.echo)
    # max_sessions is reached by the session itself: it keeps its place while it is between two backends.
    breaker = {"max_sessions": 2, "max_pending": 1}
    config = harness.config_for(dying.address, upstream={"circuit_breaker": breaker, "handshake_timeout": "10m"},
                                route={"reroute": {"hold": "10m"}})
    proxy = start(config)
    client = wire.open_session(proxy.public)
    config["upstreams"][0]["backends"].append({"address": server.address})
    proxy.reload(config)
    with wire.open_session(proxy.public):  # the other backend's first
        dying.stop()
        server.wait_heads(2)  # the reroute is dialled and not answered: the only pending one
        assert status_of(proxy) == 503
        assert proxy.metric("holdfast_upstream_sessions", upstream="main") == 2
        go.append(True)
        client.send(wire.frame(wire.TEXT, b"after"))
        assert client.data_frame()[2] == b"after"
    client.close()


def test_without_retries_the_first_failure_is_the_answer_but_refused_connections_are_free(start, backend):
    garbage, good = backend(fake.answer(b"garbage\r\n\r\n")), backend(fake.echo)
    none = {"circuit_breaker": {"retry_percent": 0, "min_retries_per_second": 0}, "policy": "round_robin",
            "outlier": {"consecutive_failures": 0}}
    proxy = start(harness.config_for(garbage.address, good.address, upstream=none, workers=1))
    assert sorted(status_of(proxy) for _ in range(4)) == [101, 101, 502, 502]
    assert proxy.metric("holdfast_circuit_breaks_total", upstream="main", limit="retries") == 2
    refusing = start(harness.config_for(fake.refused_address(), good.address, upstream=none, workers=1))
    assert [status_of(refusing) for _ in range(20)] == [101] * 20


def test_check_and_the_log_say_what_means_nothing(tmp_path):
    config = harness.config_for("127.0.0.1:1", listener={"handshake_burst": 5}, route={"rate_mode": "close"})
    file = tmp_path / "holdfast.json"
    file.write_text(json.dumps(config))
    result = harness.run("check", "-c", file)
    assert result.returncode == 0
    assert "listeners[0].handshake_burst" in result.stdout
    assert "routes[0].rate_mode" in result.stdout
