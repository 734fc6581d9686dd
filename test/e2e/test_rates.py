"""Sessions that send too fast or in too many pieces, at tiny values."""
import asyncio
import time

import pytest

import backend as fake
import harness
import peers
import wire


numbers = [b"%d" % n for n in range(10)]


def numbered(first, count):
    return b"".join(wire.frame(wire.TEXT, b"%d" % n) for n in range(first, first + count))


class Listening:
    """A backend's script: keeps what it hears, answers nothing but a Close."""

    def __init__(self):
        self.heard = []

    def __call__(self, stream, head):
        fake.switch(stream, head)
        while True:
            opcode, _, payload = stream.frame()
            if opcode == wire.CLOSE:
                stream.send(wire.frame(wire.CLOSE, payload, masked=False))
                return
            self.heard.append(payload)


def pauses(proxy, limit):
    return proxy.metric("holdfast_rate_pauses_total", route="all", limit=limit)


def ends(proxy, reason, code):
    return proxy.metric("holdfast_session_ends_total", route="all", reason=reason, code=code)


def test_a_fast_client_is_slowed_down_and_loses_nothing(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address,
                                     route={"max_messages_per_second": 40, "message_burst": 4}))
    with wire.open_session(proxy.public) as client, wire.open_session(proxy.public) as other:
        begun = time.monotonic()
        client.send(numbered(0, 24))
        assert client.data_frame()[2] == b"0"
        other.send(wire.frame(wire.TEXT, b"not concerned"))
        assert other.data_frame()[2] == b"not concerned"
        for n in range(1, 24):
            assert client.data_frame()[2] == b"%d" % n
        assert time.monotonic() - begun >= 20 / 40
        assert pauses(proxy, "messages") > 0
        client.send(wire.close_frame(1000))
        assert client.close_code() == 1000
    line = next(line for line in proxy.access_lines(2) if "close_code=1000" in line)
    assert "rate_pauses=0" not in line and "rate_pauses=" in line


def test_bytes_are_slowed_down(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address,
                                     route={"max_bytes_per_second": "200KiB", "byte_burst": "10KiB"}))
    with wire.open_session(proxy.public) as client:
        begun = time.monotonic()
        for _ in range(10):
            client.send(wire.frame(wire.BINARY, b"x" * 10_000))
        for _ in range(10):
            assert len(client.data_frame()[2]) == 10_000
        assert time.monotonic() - begun >= 0.25
    assert pauses(proxy, "bytes") > 0


@pytest.mark.parametrize("route, reason", [
    ({"max_messages_per_second": 1, "message_burst": 2}, "too_many_messages"),
    ({"max_bytes_per_second": 1, "byte_burst": 20}, "too_many_bytes")])
def test_mode_close_is_1008_with_a_reason_of_its_own(start, backend, route, reason):
    script = Listening()
    proxy = start(harness.config_for(backend(script).address, route={**route, "rate_mode": "close"}))
    with wire.open_session(proxy.public) as client:
        client.send(numbered(0, 10))
        assert client.close_code() == 1008
    expected = numbers[:2] if "max_messages_per_second" in route else numbers[:3]  # of 7 bytes each
    harness.eventually(lambda: script.heard == expected, what=f"{expected} at the backend")
    harness.eventually(lambda: ends(proxy, reason, "1008") == 1)
    assert f"reason={reason} closed_by=proxy" in proxy.access_lines(1)[0]
    wire.open_session(proxy.public).close()  # the address is not punished


def test_too_many_fragments_are_1008(start, backend):
    script = Listening()
    proxy = start(harness.config_for(backend(script).address, route={"max_fragments": 3}))

    def message(frames):
        return b"".join(wire.frame(wire.TEXT if n == 0 else wire.CONTINUATION, b"x", fin=n == frames - 1)
                        for n in range(frames))
    with wire.open_session(proxy.public) as client:
        client.send(message(3) + message(1) + message(4))
        assert client.close_code() == 1008
    harness.eventually(lambda: len(script.heard) == 3 + 1 + 3, what="all frames but one too many")
    harness.eventually(lambda: ends(proxy, "too_many_fragments", "1008") == 1)


def test_a_reload_changes_the_rate_of_live_sessions(start, backend):
    server = backend(fake.echo)
    slow = {"max_messages_per_second": 1, "message_burst": 1}
    proxy = start(harness.config_for(server.address, route=slow))
    with wire.open_session(proxy.public) as client:
        client.send(numbered(0, 200))
        assert client.data_frame()[2] == b"0"
        proxy.reload(harness.config_for(server.address, route={}))
        for n in range(1, 200):
            assert client.data_frame()[2] == b"%d" % n
        proxy.reload(harness.config_for(server.address, route={**slow, "rate_mode": "close"}))
        client.send(numbered(200, 2))
        assert client.close_code() == 1008


def test_a_paused_client_is_neither_silent_nor_idle(start, backend):
    """It answers none of our pings, because they stand behind what it may not send yet."""
    proxy = start(harness.config_for(backend(fake.echo).address, route={
        "max_bytes_per_second": 30, "byte_burst": 20, "idle_timeout": "2s",
        "ping": {"interval": "1s", "timeout": "100ms"}}))
    with wire.open_session(proxy.public) as client:
        opcode, _, payload = client.frame()
        assert opcode == wire.PING
        first, second = b"a" * 90, b"b"  # paid off after some three seconds
        begun = time.monotonic()
        client.send(wire.frame(wire.PONG, payload) + wire.frame(wire.TEXT, first) + wire.frame(wire.TEXT, second))
        assert client.data_frame()[2] == first
        assert client.data_frame()[2] == second
        assert time.monotonic() - begun > 2


def test_a_rerouted_client_stays_within_its_rate(start, backend):
    first, second = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(first.address, second.address, workers=1, route={
        "max_messages_per_second": 20, "message_burst": 1}))
    with wire.open_session(proxy.public) as client:
        begun = time.monotonic()
        client.send(numbered(0, 20))
        assert client.data_frame()[2] == b"0"
        (first if first.heads else second).stop()
        seen = -1
        while seen < 19:  # what the dead one had is not sent again
            number = int(client.data_frame()[2])
            assert number > seen
            seen = number
        assert time.monotonic() - begun >= 18 / 20


def test_ordinary_libraries_live_with_being_paused(start, echo):
    proxy = start(harness.config_for(echo().address, route={"max_messages_per_second": 50, "message_burst": 5}))

    async def talk():
        async with peers.connect(f"ws://{proxy.public}/") as client:
            for n in range(20):
                await client.send(str(n))
            return [await client.recv() for _ in range(20)]
    assert asyncio.run(talk()) == [str(n) for n in range(20)]
    assert pauses(proxy, "messages") > 0
