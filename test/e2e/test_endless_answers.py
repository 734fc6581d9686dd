"""Backends whose answer never ends, or never begins: what the proxy keeps of it is bounded."""
import pytest

import backend as fake
import harness
import wire

CHUNKED = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n"
# The proxy passes bytes on as they come; what it must not do is collect a head without an end.
MOST_RELAYED = 256 * 1024

ENDLESS = {
    "chunk head": (b"5\r\nhello\r\n", b"1;", b"e" * 1024),
    "chunk size": (b"", b"0", b"0" * 1024),
    "trailer": (b"5\r\nhello\r\n", b"0\r\n", b"X-Trailer: " + b"t" * 1000 + b"\r\n"),
    "trailer line": (b"", b"0\r\nX-Trailer: ", b"t" * 1024),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_part_of_a_chunked_answer_that_never_ends_is_cut_off(start, backend, name):
    """The relay kept the beginning of a chunk's head until it was whole. A backend that never ended it filled
    the memory, and its client waited for half a minute."""
    body, beginning, piece = ENDLESS[name]
    cut = []

    def script(stream, _head):
        stream.send(CHUNKED + body + beginning)
        try:
            while True:
                stream.send(piece)
        except OSError:
            cut.append(True)
            raise
    proxy = start(harness.config_for(backend(script).address))
    with wire.connect(proxy.public, timeout=20 * harness.SLOWNESS) as client:
        client.send(wire.request())
        head = client.head()
        assert head.status == 503
        rest = client.rest()
    assert rest.startswith(body)
    assert len(rest) < MOST_RELAYED
    harness.eventually(lambda: cut, what="the end of the backend's connection")
    assert proxy.metric("holdfast_handshakes_total", result="backend_answer") == 1


def interim_answers(count):
    def script(stream, head):
        stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" * count)
        fake.echo(stream, head)
    return script


def status_with(start, backend, count):
    proxy = start(harness.config_for(backend(interim_answers(count)).address))
    with wire.connect(proxy.public, timeout=10 * harness.SLOWNESS) as client:
        client.send(wire.request())
        return client.head().status


def test_a_few_interim_answers_are_passed_over(start, backend):
    assert status_with(start, backend, 8) == 101


def test_a_backend_that_only_gives_interim_answers_is_given_up(start, backend):
    """An endless row of 1xx answers kept a setup coroutine busy until its deadline."""
    assert status_with(start, backend, 9) == 502


def test_interim_answers_that_never_stop_are_given_up(start, backend):
    def script(stream, _head):
        while True:
            stream.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
    proxy = start(harness.config_for(backend(script).address, upstream={"handshake_timeout": "10m"}))
    with wire.connect(proxy.public, timeout=10 * harness.SLOWNESS) as client:
        client.send(wire.request())
        assert client.head().status == 502
