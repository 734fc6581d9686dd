"""Who breaks the protocol is told so; who did not is told to go."""
import struct

import pytest

import backend as fake
import harness
import wire


def raw_close(code):
    return wire.frame(wire.CLOSE, struct.pack(">H", code))


# name: (bytes of a client, the Close code it gets)
CLIENT_VIOLATIONS = {
    "an unmasked frame": (wire.frame(wire.TEXT, b"hi", masked=False), 1002),
    "a reserved bit without an extension": (wire.frame(wire.TEXT, b"hi", reserved=4), 1002),
    "a reserved data opcode": (wire.frame(3, b"hi"), 1002),
    "a reserved control opcode": (wire.frame(11, b"hi"), 1002),
    "a fragmented ping": (wire.frame(wire.PING, b"hi", fin=False), 1002),
    "a ping of 126 bytes": (wire.frame(wire.PING, b"p" * 126), 1002),
    "a continuation of nothing": (wire.frame(wire.CONTINUATION, b"hi"), 1002),
    "a new message inside another": (wire.frame(wire.TEXT, b"a", fin=False) + wire.frame(wire.TEXT, b"b"), 1002),
    "a 16-bit length that fits in 7 bits": (wire.frame(wire.TEXT, b"hi", length_bytes=3), 1002),
    "a 64-bit length that fits in 16 bits": (wire.frame(wire.TEXT, b"hi", length_bytes=9), 1002),
    "a length of 2^63": (b"\x82\xff" + struct.pack(">Q", 1 << 63) + b"mask", 1002),
    "a Close with one byte": (wire.frame(wire.CLOSE, b"\x03"), 1002),
    "Close code 1005": (raw_close(1005), 1002),
    "Close code 1006": (raw_close(1006), 1002),
    "Close code 999": (raw_close(999), 1002),
    "Close code 1015": (raw_close(1015), 1002),
    "Close code 2999": (raw_close(2999), 1002),
    "Close code 5000": (raw_close(5000), 1002),
}


@pytest.mark.parametrize("name", CLIENT_VIOLATIONS)
def test_a_client_that_breaks_the_protocol_gets_1002_and_the_backend_1001(start, backend, name):
    sent, code = CLIENT_VIOLATIONS[name]
    got = []

    def script(stream, head):
        fake.switch(stream, head)
        got.append(stream.close_code())
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        client.send(sent)
        assert client.close_code() == code
    harness.eventually(lambda: got == [1001], what=f"1001 at the backend, got {got}")
    assert "client_violation" in proxy.access_lines(1)[0]


BACKEND_VIOLATIONS = {
    "a masked frame": wire.frame(wire.TEXT, b"hi", masked=True),
    "a reserved bit": wire.frame(wire.TEXT, b"hi", masked=False, reserved=1),
    "a reserved opcode": wire.frame(7, b"hi", masked=False),
    "a continuation of nothing": wire.frame(wire.CONTINUATION, b"hi", masked=False),
    "a bad Close code": wire.close_frame(1004 + 1, masked=False),
}


@pytest.mark.parametrize("name", BACKEND_VIOLATIONS)
def test_a_backend_that_breaks_the_protocol_gets_1002_and_the_client_1011(start, backend, name):
    got = []

    def script(stream, head):
        fake.switch(stream, head, then=BACKEND_VIOLATIONS[name])
        got.append(stream.close_code())
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        assert client.close_code() == 1011
    harness.eventually(lambda: got == [1002], what=f"1002 at the backend, got {got}")
    assert proxy.metric("holdfast_session_ends_total", reason="backend_violation") == 1


def test_what_came_before_the_violation_is_delivered(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.TEXT, b"good"))
        assert client.data_frame()[2] == b"good"
        client.send(wire.frame(wire.TEXT, b"also good") + wire.frame(3, b"bad"))
        assert client.close_code() == 1002


def test_a_message_over_the_limit_is_1009_and_one_at_the_limit_passes(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, route={"max_message": 1000}))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.BINARY, b"x" * 900))
        assert client.data_frame()[2] == b"x" * 900
        client.send(wire.frame(wire.BINARY, b"x" * 1001))
        assert client.close_code() == 1009
    assert "message_too_big" in proxy.access_lines(1)[0]


def test_fragments_count_together(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, route={"max_message": 1000}))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.BINARY, b"x" * 600, fin=False))
        client.send(wire.frame(wire.CONTINUATION, b"x" * 600, fin=False))
        assert client.close_code() == 1009


def test_the_limit_towards_the_client_holds_too(start, backend):
    def script(stream, head):
        fake.switch(stream, head, then=wire.frame(wire.BINARY, b"x" * 2000, masked=False))
        stream.rest()
    proxy = start(harness.config_for(backend(script).address, route={"max_message_to_client": 1000}))
    with wire.open_session(proxy.public) as client:
        assert client.close_code() == 1009


def test_a_huge_announced_length_is_refused_at_its_header(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    with wire.open_session(proxy.public) as client:
        client.send(b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"mask")
        assert client.close_code() == 1009
