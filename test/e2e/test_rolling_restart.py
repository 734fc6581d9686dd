"""Every backend is restarted, one after the other, under busy sessions: the promise that users switch for."""
import queue
import threading
import time

import pytest

import backend as fake
import harness
import reroutes
import wire

SESSIONS = 100 if harness.QUICK else 1000
PERIOD = 0.1 if harness.QUICK else 1.0
BACKENDS = 3
LASTING = 2.5  # seconds: a leg that lived longer is not said to have died early


class Fleet:
    """Backend processes that are started again at the same place, and what they received."""

    def __init__(self, node_echo, ledger, **options):
        self.ledger = ledger
        self.begin = lambda port=0: node_echo(port=port, ledger=str(ledger.file), **options)
        self.servers = [self.begin() for _ in range(BACKENDS)]
        self.addresses = [server.address for server in self.servers]


@pytest.fixture
def fleet(node_echo, tmp_path):
    return lambda **options: Fleet(node_echo, reroutes.Ledger(tmp_path / "ledger"), **options)


def drain_each(proxy, ships, people):
    for server in ships.servers:
        reroutes.set_state(proxy, server.address, "draining")
        reroutes.wait_sessions(proxy, server.address, 0, 60)
        server.kill()
        ships.begin(server.port)
        reroutes.set_state(proxy, server.address, "active")
        people.all_go_on(60)


def kill_each(ships, people):
    for server in ships.servers:
        server.kill()
        ships.begin(server.port)
        # Faster than this, and a session would be taken for one that kills its backends.
        done = time.monotonic() + LASTING
        while time.monotonic() < done:
            people.all_go_on(60)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_drained_every_message_arrives_exactly_once_and_nobody_is_closed(start, fleet, crowd, compression):
    ships = fleet(deflate=bool(compression))
    proxy = start(reroutes.config(*ships.addresses))
    people = crowd(proxy, SESSIONS, period=PERIOD, compression=compression, eager=True)
    people.all_go_on(60)
    drain_each(proxy, ships, people)
    report = people.settle(60)
    assert report.exactly_once(), report
    assert ships.ledger.doubled() == []
    assert reroutes.lost_messages(proxy) == (0, 0)
    assert reroutes.reroutes(proxy, cause="draining", result="attached") >= SESSIONS
    assert proxy.sessions() == SESSIONS


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_killed_every_message_arrives_at_most_once_and_nobody_is_closed(start, fleet, crowd, compression):
    ships = fleet(deflate=bool(compression))
    proxy = start(reroutes.config(*ships.addresses))
    people = crowd(proxy, SESSIONS, period=PERIOD, compression=compression)
    people.all_go_on(60)
    kill_each(ships, people)
    report = people.settle(60)
    assert report.at_most_once(), report
    assert ships.ledger.doubled() == []
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report
    assert reroutes.reroutes(proxy, cause="lost", result="attached") >= SESSIONS // BACKENDS
    assert reroutes.reroutes(proxy, result="no_backend") == 0
    assert proxy.sessions() == SESSIONS


@pytest.mark.parametrize("size, count, period", [(2_000, SESSIONS, 2 * PERIOD), (1 << 20, SESSIONS // 10, 4 * PERIOD)])
def test_killed_with_fragmented_messages_nobody_is_closed(start, fleet, crowd, size, count, period):
    ships = fleet(pieces=4)
    proxy = start(reroutes.config(*ships.addresses, reroute={"hold_unit": "message", "hold_bytes": "2MiB"}))
    people = crowd(proxy, count, period=period, padding="f" * size, pieces=4)
    people.all_go_on(60)
    kill_each(ships, people)
    report = people.settle(60)
    assert report.at_most_once(), report
    assert ships.ledger.doubled() == []
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report


def late_echo(stream, head):
    """Answers 100 ms late, and a Close only behind all its answers."""
    fake.switch(stream, head)
    answers = queue.Queue()

    def answer():
        while True:
            due, opcode, payload = answers.get()
            time.sleep(max(0.0, due - time.monotonic()))
            stream.send(wire.frame(opcode, payload, masked=False))
            if opcode == wire.CLOSE:
                return
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    opcode = wire.TEXT
    while opcode != wire.CLOSE:
        opcode, _, payload = stream.frame()
        answers.put((time.monotonic() + 0.1, opcode, payload))
    thread.join()


def test_answers_that_go_on_after_the_move_began_all_arrive(start, backend, crowd):
    one, two = backend(late_echo), backend(late_echo)
    proxy = start(reroutes.config(one.address, two.address, reroute={"quiet": 0}))
    people = crowd(proxy, 30, period=0.03, eager=True)
    people.all_go_on()
    for leaving, staying in ((one, two), (two, one), (one, two)):
        reroutes.set_state(proxy, staying.address, "active")
        reroutes.set_state(proxy, leaving.address, "draining")
        reroutes.wait_sessions(proxy, leaving.address, 0)
        people.all_go_on()
    report = people.settle()
    assert report.exactly_once(), report
    assert reroutes.lost_messages(proxy) == (0, 0)
