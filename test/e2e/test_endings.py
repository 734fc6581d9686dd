"""How sessions end: half-closed connections, idleness, age, clients and backends that vanish."""
import signal
import subprocess
import sys

import pytest

import backend as fake
import harness
import wire

PING = {"ping": {"interval": "1s", "timeout": "500ms"}}


def test_a_client_that_half_closes_still_gets_what_is_under_way(start, backend):
    def script(stream, head):
        fake.switch(stream, head)
        opcode, _, payload = stream.frame()
        stream.send(b"".join(wire.frame(opcode, payload, masked=False) for _ in range(100)))
        stream.send(wire.close_frame(1000, masked=False))
        stream.rest()
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.BINARY, b"z" * 50000))
        client.send(wire.close_frame(1000))
        client.sock.shutdown(1)
        frames = [client.data_frame() for _ in range(100)]
        assert all(payload == b"z" * 50000 for _, _, payload in frames)
        assert client.close_code() == 1000


def test_a_backends_last_frames_are_delivered_before_its_end(start, backend):
    def script(stream, head):
        fake.switch(stream, head)
        stream.send(b"".join(wire.frame(wire.BINARY, b"l" * 60000, masked=False) for _ in range(50)))
    proxy = start(harness.config_for(backend(script).address, route={"reroute": {"on": []}}))
    with wire.open_session(proxy.public) as client:
        assert [len(client.data_frame()[2]) for _ in range(50)] == [60000] * 50
        assert client.close_code() == 1012
    assert "backend_lost" in proxy.access_lines(1)[0]


def test_a_backend_that_goes_inside_a_frame_leaves_no_wrong_bytes(start, backend):
    cut = wire.frame(wire.BINARY, b"c" * 1000000, masked=False)[:300000]

    def script(stream, head):
        fake.switch(stream, head, then=cut)
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        assert client.rest() == cut
    assert "cut_mid_frame" in proxy.access_lines(1)[0]


def test_a_backend_that_goes_inside_a_fragmented_message_is_1012(start, backend):
    def script(stream, head):
        fake.switch(stream, head, then=wire.frame(wire.TEXT, b"part", fin=False, masked=False))
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as client:
        assert client.close_code() == 1012
    assert "cut_mid_message" in proxy.access_lines(1)[0]


def test_a_client_that_goes_without_a_close_gives_its_backend_no_invented_one(start, backend):
    seen = []

    def script(stream, head):
        fake.switch(stream, head)
        seen.append(stream.close_code())
    proxy = start(harness.config_for(backend(script).address))
    before = proxy.sockets()
    wire.open_session(proxy.public).close()
    wire.open_session(proxy.public).reset()
    harness.eventually(lambda: seen == ["eof", "eof"], what=f"a bare end at the backend, got {seen}")
    harness.eventually(lambda: proxy.sockets() <= before, what="the sockets back")
    assert all("client_vanished" in line for line in proxy.access_lines(2))


def test_a_close_without_an_answer_is_answered_by_the_proxy(start, backend):
    def script(stream, head):
        fake.switch(stream, head)
        stream.rest()
    proxy = start(harness.config_for(backend(script).address, route={"close_timeout": "100ms"}))
    with wire.open_session(proxy.public) as client:
        client.send(wire.close_frame(3333))
        assert client.close_code() == 3333


@pytest.mark.parametrize("limit, reason", [("idle_timeout", "idle"), ("max_age", "max_age")])
def test_a_time_limit_ends_a_session_with_1001_on_both_sides(start, backend, limit, reason):
    seen = []

    def script(stream, head):
        fake.switch(stream, head)
        seen.append(stream.close_code())
    proxy = start(harness.config_for(backend(script).address, route={limit: "1s"}))
    with wire.open_session(proxy.public) as client:
        assert client.close_code() == 1001
    harness.eventually(lambda: seen == [1001], what=f"1001 at the backend, got {seen}")
    assert proxy.metric("holdfast_session_ends_total", reason=reason) == 1


def test_pings_are_no_data_for_the_idle_timeout(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, route={"idle_timeout": "1s"}))
    with wire.open_session(proxy.public) as client:
        client.sock.settimeout(0.1)

        def pinging():
            try:
                client.send(wire.frame(wire.PING, b"keep me"))
                opcode, _, payload = client.frame()
                return opcode == wire.CLOSE and payload[:2] == b"\x03\xe9"
            except TimeoutError:
                return False
        harness.eventually(pinging, 10, "1001 in spite of the pings")


def test_the_proxy_pings_quiet_legs_and_keeps_the_answers(start, backend):
    pings, pongs = [], []

    def script(stream, head):
        fake.switch(stream, head)
        while True:
            opcode, _, payload = stream.frame()
            (pings if opcode == wire.PING else pongs).append(payload)
            if opcode == wire.PING:
                stream.send(wire.frame(wire.PONG, payload, masked=False))
    proxy = start(harness.config_for(backend(script).address, route=PING))
    with wire.open_session(proxy.public) as client:
        opcode, _, payload = client.frame()
        assert opcode == wire.PING
        client.send(wire.frame(wire.PONG, payload))
        harness.eventually(lambda: pings, what="a ping at the backend")
        harness.eventually(lambda: proxy.metric("holdfast_ping_rtt_seconds_count") >= 1, what="a measured ping")
        assert pongs == [], "the client's answer to our ping went on to the backend"
        assert proxy.sessions() == 1


CLIENT = """
import sys
sys.path.insert(0, sys.argv[2])
import wire
client = wire.open_session(sys.argv[1], timeout=60)
while True:
    opcode, _, payload = client.frame()
    if opcode == wire.PING:
        client.send(wire.frame(wire.PONG, payload))
        print("answered", flush=True)
"""


def test_a_client_that_is_stopped_is_given_up_after_interval_and_timeout(start, backend, closing):
    proxy = start(harness.config_for(backend(fake.echo).address, route=PING))
    before = proxy.sockets()
    command = [sys.executable, "-c", CLIENT, proxy.public, str(harness.ROOT / "test/fake")]
    process = closing.add(subprocess.Popen(command, stdout=subprocess.PIPE, text=True),
                          lambda p: (p.kill(), p.wait(), p.stdout.close()))
    assert process.stdout.readline() == "answered\n"
    process.send_signal(signal.SIGSTOP)
    line = proxy.access_lines(1)[0]
    assert "client_vanished" in line
    harness.eventually(lambda: proxy.sockets() <= before, what="the sockets back")


def test_a_client_that_never_answers_pings_is_left_alone(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, route=PING))
    with wire.open_session(proxy.public) as client:
        pings = [client.frame()[0] for _ in range(2)]
        assert pings == [wire.PING, wire.PING]
        client.send(wire.frame(wire.TEXT, b"alive"))
        assert client.data_frame()[2] == b"alive"
