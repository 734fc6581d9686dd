"""Backends that refuse, hang or talk garbage: another one is tried; the last failure decides the answer."""
import pytest

import backend as fake
import harness
import wire

# Short deadlines, so that hanging backends are found out quickly.
FAST = {"connect_timeout": "300ms", "handshake_timeout": "300ms", "setup_timeout": "5s",
        "outlier": {"consecutive_failures": 0}}


def answer_of(proxy):
    with wire.connect(proxy.public, timeout=10 * harness.SLOWNESS) as client:
        client.send(wire.request())
        return client.head()


def half_a_head(stream, _head):
    stream.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso")


def half_a_head_then_silence(stream, head):
    half_a_head(stream, head)
    stream.rest()


def one_byte_then_silence(stream, _head):
    stream.send(b"H")
    stream.rest()


def wrong_accept(stream, head):
    fake.switch(stream, head, accept="c2hvcnQ=" + "A" * 20)


def unoffered_subprotocol(stream, head):
    fake.switch(stream, head, extra=[("Sec-WebSocket-Protocol", "surprise")])


def unoffered_extension(stream, head):
    fake.switch(stream, head, extra=[("Sec-WebSocket-Extensions", "permessage-deflate")])


def no_upgrade_field(stream, head):
    stream.send(f"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                f"{wire.accept_of(head.one('sec-websocket-key'))}\r\n\r\n".encode())


# name: (script, status when nobody else is there)
FAILURES = {
    "silent after the request": (fake.silent, 504),
    "half a head then silence": (half_a_head_then_silence, 504),
    "one byte then silence": (one_byte_then_silence, 504),
    "garbage": (fake.answer(b"\x00\x01\x02 SSH-2.0-nothing\r\n\r\n"), 502),
    "endless head": (fake.answer(b"HTTP/1.1 101 X\r\n" + b"X-Y: " + b"z" * 70000), 502),
    "wrong accept": (wrong_accept, 502),
    "unoffered subprotocol": (unoffered_subprotocol, 502),
    "unoffered extension": (unoffered_extension, 502),
    "101 without Upgrade": (no_upgrade_field, 502),
    "end of the connection": (lambda stream, head: None, (502, 503)),
    "half a head then the end": (half_a_head, (502, 503)),
    "reset after the request": (fake.reset, (502, 503)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_only_backend_fails_and_the_client_is_told(start, backend, name):
    script, status = FAILURES[name]
    proxy = start(harness.config_for(backend(script).address, upstream=FAST))
    head = answer_of(proxy)
    assert head.status in (status if isinstance(status, tuple) else (status,))


@pytest.mark.parametrize("name", FAILURES)
def test_a_healthy_backend_takes_over_for_a_failing_one(start, backend, name):
    bad, good = backend(FAILURES[name][0]), backend(fake.echo)
    proxy = start(harness.config_for(bad.address, good.address, upstream={**FAST, "policy": "round_robin"},
                                     workers=1))
    for _ in range(4):
        with wire.open_session(proxy.public, timeout=10 * harness.SLOWNESS) as client:
            client.send(wire.frame(wire.TEXT, b"hi"))
            assert client.data_frame()[2] == b"hi"
    assert bad.connections >= 1, "the failing backend was never asked"


def test_a_backend_that_refuses_is_answered_with_503_and_retry_after(start):
    proxy = start(harness.config_for(fake.refused_address(), upstream=FAST))
    head = answer_of(proxy)
    assert head.status == 503
    assert int(head.one("retry-after")) >= 1


def test_refused_backends_are_passed_over(start, backend):
    good = backend(fake.echo)
    config = harness.config_for(fake.refused_address(), fake.refused_address(), good.address, upstream=FAST)
    # With bad luck each of them needs two retries, and an upstream begins with ten: but a connection that was
    # refused at once has cost nobody anything, so these don't count. They did, and some clients got 503.
    proxy = start(config)
    for _ in range(30):
        wire.open_session(proxy.public).close()
    assert len(good.wait_heads(30)) == 30


def test_at_most_three_backends_are_tried(start, backend):
    servers = [backend(fake.answer(b"garbage\r\n\r\n")) for _ in range(5)]
    proxy = start(harness.config_for(*(server.address for server in servers), upstream=FAST))
    assert answer_of(proxy).status == 502
    assert sum(server.connections for server in servers) == 3


def test_setup_timeout_bounds_all_tries_together(start, backend):
    servers = [backend(fake.silent) for _ in range(3)]
    proxy = start(harness.config_for(*(server.address for server in servers),
                                     upstream={**FAST, "handshake_timeout": "10m", "setup_timeout": "200ms"}))
    assert answer_of(proxy).status == 504
    assert sum(server.connections for server in servers) == 1


def test_a_mute_backend_is_no_black_hole(start, backend):
    """The listener of the mute one accepts in the kernel and nobody answers. It never has a session, so
    least_connections would send it every client, for good: so it is in HAProxy and nginx."""
    mute, good = backend(), [backend(fake.echo), backend(fake.echo)]
    upstream = {**FAST, "outlier": {"consecutive_failures": 3, "eject_for": "10m", "max_ejected_percent": 50}}
    proxy = start(harness.config_for(mute.address, *(server.address for server in good), upstream=upstream))
    clients = [wire.open_session(proxy.public, timeout=10 * harness.SLOWNESS) for _ in range(20)]
    entry = proxy.backends()[mute.address]
    assert entry["sessions"] == 0
    assert entry["ejected"] is True
    picks = entry["picks_total"]
    clients += [wire.open_session(proxy.public) for _ in range(10)]
    assert proxy.backends()[mute.address]["picks_total"] == picks, "an ejected backend was picked"
    assert proxy.metric("holdfast_backend_failures_total", backend=mute.address) >= 3
    for client in clients:
        client.close()


def test_an_ejected_backend_comes_back(start, backend):
    behaviour = [fake.silent]
    server, other = backend(lambda stream, head: behaviour[0](stream, head)), backend(fake.echo)
    upstream = {**FAST, "outlier": {"consecutive_failures": 2, "eject_for": "100ms"}}
    proxy = start(harness.config_for(server.address, other.address, upstream=upstream))
    opened = []
    harness.eventually(lambda: opened.append(wire.open_session(proxy.public)) or
                       proxy.metric("holdfast_backend_failures_total", backend=server.address) >= 2)
    behaviour[0] = fake.echo
    harness.eventually(lambda: opened.append(wire.open_session(proxy.public)) or
                       proxy.backends()[server.address]["sessions"] > 0, what="a session on the readmitted backend")
    for client in opened:
        client.close()


def test_the_client_may_go_while_the_backend_thinks(start, backend):
    server = backend(fake.silent)
    proxy = start(harness.config_for(server.address, upstream={"handshake_timeout": "10m"}))
    before = proxy.sockets()
    clients = [wire.connect(proxy.public) for _ in range(5)]
    for client in clients:
        client.send(wire.request())
    server.wait_heads(5)
    for client in clients:
        client.reset()
    harness.eventually(lambda: proxy.sockets() <= before, what="the sockets back")
