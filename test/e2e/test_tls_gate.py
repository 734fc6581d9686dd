"""The gate that bounds TLS handshakes must not become the way to keep everybody out."""
import ssl

import pytest

import backend as fake
import harness
import wire


@pytest.fixture
def listener(authority):
    chain, key = authority.issue("gate.test")
    return {"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}, "handshake_timeout": "10m"}


def tried(proxy, result):
    return proxy.metric("holdfast_tls_handshakes_total", listener="public", result=result)


@pytest.mark.parametrize("places", [1, 2])
def test_silent_connections_hold_no_place(start, backend, listener, trust, places):
    """A connection took its place in the gate as soon as it was accepted. As many silent ones as there were
    places kept every other TLS client of the thread out for handshake_timeout."""
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener, workers=1,
                                     limits={"tls_handshakes": places}))
    silent = [wire.connect(proxy.public) for _ in range(70)]
    harness.eventually(lambda: proxy.sockets() > 70, what="the silent connections to be accepted")
    with wire.open_session(proxy.public, tls=trust, server_name="gate.test", timeout=10 * harness.SLOWNESS) as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"
    for each in silent:
        each.close()


def test_a_stuck_handshake_gives_its_place_up_when_others_need_it(start, backend, listener, trust):
    """Whoever had sent the first bytes of a ClientHello kept a place for handshake_timeout, even if it was the
    last one. It is cut after two seconds; the real client comes in behind it."""
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener, workers=1,
                                     limits={"tls_handshakes": 1}))
    with wire.connect(proxy.public, timeout=20 * harness.SLOWNESS) as stuck:
        stuck.send(b"\x16\x03\x01")
        before = proxy.sockets()
        client = wire.connect(proxy.public, timeout=20 * harness.SLOWNESS)
        harness.eventually(lambda: proxy.sockets() > before, what="the real client to be accepted")
        client.sock = trust.wrap_socket(client.sock, server_hostname="gate.test")
        with client:
            client.send(wire.request())
            assert client.head().status == 101
            assert stuck.rest() == b"", "the stuck one was answered"
    assert tried(proxy, "timeout") == 1
    assert tried(proxy, "ok") == 1


def test_a_slow_handshake_is_left_alone_while_there_are_places(start, backend, listener, trust):
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener, workers=1,
                                     limits={"tls_handshakes": 2}))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="gate.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    with wire.connect(proxy.public) as slow, wire.connect(proxy.public, timeout=20 * harness.SLOWNESS) as stuck:
        slow.send(hello[:1])
        # Once this one has come and gone, the slow one has its place, too: it was ready first.
        wire.open_session(proxy.public, tls=trust, server_name="gate.test").close()
        stuck.send(b"\x16")  # takes the last place, and is cut
        assert stuck.rest() == b""
        slow.send(hello[1:])
        assert slow.exactly(1) == b"\x16", "no ServerHello for the slow client"
