"""A slow reader holds back only its own session, and costs no unbounded memory."""
import threading

import backend as fake
import harness
import wire

FLOOD = 64 << 20
CHUNK = 1 << 16
# The proxy's buffers and room for the allocator; sanitizers keep freed memory for a while.
BOUND = 24 << 20 if harness.SLOWNESS == 1 else 400 << 20


class Flood:
    """Sends FLOOD bytes of frames to one peer from a thread; knows how much the kernel took so far."""

    def __init__(self, stream, masked):
        self.stream, self.sent, self.frame = stream, 0, wire.frame(wire.BINARY, b"f" * CHUNK, masked=masked)
        stream.sock.settimeout(120)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while self.sent < FLOOD:
                self.stream.send(self.frame)
                self.sent += CHUNK
        except OSError:
            pass

    def stalled(self):
        """True if something was sent and then nothing more for a while."""
        before = self.sent
        if before == 0:
            return False
        try:
            harness.eventually(lambda: self.sent != before, 0.3)
            return False
        except AssertionError:
            return True


def echoes(client):
    client.send(wire.frame(wire.TEXT, b"others live"))
    return client.data_frame()[2] == b"others live"


def test_a_client_that_does_not_read_stops_its_backend_only(start, backend):
    floods = []

    def script(stream, head):
        fake.switch(stream, head)
        if head.start.startswith("GET /flood"):
            floods.append(Flood(stream, masked=False))
            floods[0].run()
        # Whoever closes with our Ping unread resets the connection, and loses what is under way.
        fake.echo_frames(stream)
    proxy = start(harness.config_for(backend(script).address))
    with wire.open_session(proxy.public) as other:
        before = proxy.memory_bytes()
        with wire.open_session(proxy.public, "/flood", receive_buffer=4096, timeout=60) as slow:
            harness.eventually(lambda: floods and floods[0].stalled(), 30, "the backend's stall")
            assert floods[0].sent < FLOOD
            assert proxy.memory_bytes() - before < BOUND
            assert all(echoes(other) for _ in range(50))
            received = 0
            while received < FLOOD:
                received += len(slow.data_frame()[2])
            assert received == FLOOD


def test_a_backend_that_does_not_read_stops_its_client_only(start, backend):
    reading = threading.Event()
    received = []

    def script(stream, head):
        fake.switch(stream, head)
        if head.start.startswith("GET /flood"):
            assert reading.wait(120)
            while sum(received) < FLOOD:
                received.append(len(stream.data_frame()[2]))
            stream.send(wire.frame(wire.TEXT, b"all there", masked=False))
            stream.rest()
        else:
            fake.echo_frames(stream)
    proxy = start(harness.config_for(backend(script).address, route={"max_message": 0}))
    with wire.open_session(proxy.public) as other, wire.open_session(proxy.public, "/flood") as fast:
        before = proxy.memory_bytes()
        flood = Flood(fast, masked=True)
        flood.thread.start()
        harness.eventually(flood.stalled, 30, "the client's stall")
        assert flood.sent < FLOOD
        assert proxy.memory_bytes() - before < BOUND
        assert all(echoes(other) for _ in range(50))
        reading.set()
        fast.sock.settimeout(120)
        assert fast.data_frame()[2] == b"all there"
        assert sum(received) == FLOOD


def test_many_slow_readers_stay_bounded(start, backend):
    def script(stream, head):
        fake.switch(stream, head)
        Flood(stream, masked=False).run()
    proxy = start(harness.config_for(backend(script).address))
    before = proxy.memory_bytes()
    slow = [wire.open_session(proxy.public, receive_buffer=4096) for _ in range(40)]
    seen = []

    def at_a_standstill():
        seen.append(proxy.metric("holdfast_bytes_total", direction="to_client"))
        return seen[-1] > 0 and len(seen) > 20 and len(set(seen[-20:])) == 1
    harness.eventually(at_a_standstill, 30, "a standstill")
    assert proxy.memory_bytes() - before < BOUND
    for client in slow:
        client.reset()
    harness.eventually(lambda: proxy.sessions() == 0)
