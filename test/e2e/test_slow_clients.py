"""Clients that are slow on purpose, before there is a session."""
import ssl

import backend as fake
import harness
import wire

QUICK = {"handshake_timeout": "400ms"}


def ends(client):
    """True once the peer closed, whatever it said before."""
    client.rest()
    return True


def test_a_silent_connection_is_cut(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, listener=QUICK))
    with wire.connect(proxy.public) as client:
        assert ends(client)
    assert harness.eventually(
        lambda: proxy.metric("holdfast_handshakes_total", listener="public", result="client_timeout") == 1)


def test_a_request_that_drips_is_cut_at_the_deadline_from_accept(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, listener=QUICK))
    with wire.connect(proxy.public) as client:
        client.sock.settimeout(0.05)
        request = wire.request(extra=[("X-Slow", "a" * 5000)])

        def drip():
            # Each byte comes in time for an idle timeout; the deadline is for the whole head.
            nonlocal request
            try:
                client.send(request[:1])
                request = request[1:]
                client.more()
            except TimeoutError:
                return False
            except (EOFError, OSError):
                return True
            return False
        harness.eventually(drip, 8, "the cut")
    assert server.connections == 0


def test_a_silent_tls_client_is_cut(start, backend, authority):
    chain, key = authority.issue("slow.test")
    tls = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    proxy = start(harness.config_for(backend(fake.echo).address, listener={**QUICK, "tls": tls}))
    with wire.connect(proxy.public) as client:
        assert ends(client)
    with wire.connect(proxy.public) as client:
        client.send(b"\x16\x03\x01")  # the start of a ClientHello, and no more
        assert ends(client)


def test_a_client_silent_after_its_tls_handshake_is_cut(start, backend, authority, trust):
    chain, key = authority.issue("slow2.test")
    tls = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    proxy = start(harness.config_for(backend(fake.echo).address, listener={**QUICK, "tls": tls}))
    with wire.connect(proxy.public, tls=trust, server_name="slow2.test") as client:
        try:
            assert ends(client)
        except ssl.SSLError as error:
            raise AssertionError(f"cut without close_notify: {error}") from error


def test_hundreds_of_silent_connections_do_not_stop_others(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"handshake_timeout": "10m"}))
    silent = [wire.connect(proxy.public) for _ in range(300)]
    for _ in range(10):
        with wire.open_session(proxy.public) as client:
            client.send(wire.frame(wire.TEXT, b"hi"))
            assert client.data_frame()[2] == b"hi"
    for client in silent:
        client.close()


def test_http_to_the_tls_port_does_no_harm(start, backend, authority, trust):
    chain, key = authority.issue("mixed.test")
    tls = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    proxy = start(harness.config_for(backend(fake.echo).address, listener={"tls": tls}))
    with wire.connect(proxy.public) as client:
        client.send(wire.request())
        assert ends(client)
    wire.open_session(proxy.public, tls=trust, server_name="mixed.test").close()
    assert proxy.metric("holdfast_tls_handshakes_total", listener="public", result="ok") == 1
    assert proxy.metric("holdfast_tls_handshakes_total", listener="public", result="failed") == 1
