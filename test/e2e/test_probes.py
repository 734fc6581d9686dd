"""Probes flip backends, once per change, and the balance follows."""
import pytest

import backend as fake
import harness
import wire

RHYTHM = {"interval": "50ms", "timeout": "300ms", "rise": 2, "fall": 2}


class Switchable:
    """A backend whose probe and session behaviour can be broken and mended."""

    def __init__(self, make, kind):
        self.kind, self.sick = kind, False
        self.server = make(self.script)
        self.address = self.server.address

    def script(self, stream, head):
        if self.kind == "http" and head.one("upgrade") is None:
            status = "500 Sick" if self.sick else "204 Fine"
            return stream.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        if self.sick:
            return None
        return fake.echo(stream, head)


def health(proxy, address):
    return proxy.backends()[address]["health"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_probe_flips_its_backend_down_and_up(start, backend, kind):
    one, two = Switchable(backend, kind), Switchable(backend, kind)
    proxy = start(harness.config_for(one.address, two.address,
                                     upstream={"probe": {"type": kind, "path": "/health", **RHYTHM}}))
    harness.eventually(lambda: health(proxy, one.address) == health(proxy, two.address) == "healthy", what="healthy")
    one.sick = True
    harness.eventually(lambda: health(proxy, one.address) == "unhealthy", what="unhealthy")
    assert proxy.metric("holdfast_backend_up", backend=one.address) == 0
    assert proxy.metric("holdfast_backend_up", backend=two.address) == 1
    clients = [wire.open_session(proxy.public) for _ in range(6)]
    assert proxy.backends()[two.address]["sessions"] == 6
    one.sick = False
    harness.eventually(lambda: health(proxy, one.address) == "healthy", what="healthy again")
    assert proxy.metric("holdfast_backend_up", backend=one.address) == 1
    clients += [wire.open_session(proxy.public) for _ in range(6)]
    assert proxy.backends()[one.address]["sessions"] == 6
    for client in clients:
        client.close()


def test_a_flip_is_one_log_line(start, backend):
    one = Switchable(backend, "http")
    proxy = start(harness.config_for(one.address, upstream={"probe": {"type": "http", **RHYTHM}}))
    harness.eventually(lambda: health(proxy, one.address) == "healthy")
    one.sick = True
    harness.eventually(lambda: health(proxy, one.address) == "unhealthy")
    seen = proxy.metric("holdfast_probe_total", backend=one.address)
    harness.eventually(lambda: proxy.metric("holdfast_probe_total", backend=one.address) >= seen + 3)
    def flips():
        return [line for line in proxy.log().splitlines() if one.address in line and "unhealthy" in line]
    harness.eventually(flips, what="the flip in the log")
    assert len(flips()) == 1, proxy.log()


def test_a_tcp_probe_sees_a_port_close_and_open(start, echo):
    server = echo()
    proxy = start(harness.config_for(server.address, upstream={"probe": {"type": "tcp", **RHYTHM}}))
    harness.eventually(lambda: health(proxy, server.address) == "healthy")
    server.stop()
    harness.eventually(lambda: health(proxy, server.address) == "unhealthy")
    assert proxy.metric("holdfast_probe_total", backend=server.address) > 0
    echo(port=server.port)
    harness.eventually(lambda: health(proxy, server.address) == "healthy")


def test_a_websocket_probe_wants_its_own_pong(start, backend):
    def wrong_pong(stream, head):
        fake.switch(stream, head)
        while True:
            opcode, _, _ = stream.frame()
            if opcode == wire.PING:
                stream.send(wire.frame(wire.PONG, b"something else", masked=False))
    server = backend(wrong_pong)
    proxy = start(harness.config_for(server.address, upstream={"probe": {"type": "websocket", **RHYTHM}}))
    harness.eventually(lambda: health(proxy, server.address) == "unhealthy")


def test_a_backend_that_was_never_probed_is_used(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, upstream={"probe": {"type": "websocket", "interval": "1h"}}))
    wire.open_session(proxy.public).close()


def test_nobody_healthy_is_503_and_not_ready(start):
    address = fake.refused_address()
    proxy = start(harness.config_for(address, upstream={"probe": {"type": "tcp", **RHYTHM}}))
    harness.eventually(lambda: health(proxy, address) == "unhealthy")
    with wire.connect(proxy.public) as client:
        client.send(wire.request())
        head = client.head()
    assert head.status == 503
    assert head.one("retry-after")
    assert proxy.get("/readyz")[0] == 503
    assert proxy.get("/healthz")[0] == 200


def test_a_session_outlives_its_backends_bad_probes(start, backend):
    one = Switchable(backend, "http")
    proxy = start(harness.config_for(one.address, upstream={"probe": {"type": "http", **RHYTHM}}))
    with wire.open_session(proxy.public) as client:
        one.sick = True
        harness.eventually(lambda: health(proxy, one.address) == "unhealthy")
        client.send(wire.frame(wire.TEXT, b"still here"))
        assert client.data_frame()[2] == b"still here"
