"""SIGTERM drains: no new sessions, a Close for everybody, exit 0; a second one stops."""
import json
import signal
import socket
import threading
import time

import pytest

import backend as fake
import harness
import wire


def refused(address):
    try:
        wire.connect(address).close()
        return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_says_1001_to_both_sides_and_exits_0(start, backend, number):
    seen = []

    def script(stream, head):
        fake.switch(stream, head)
        seen.append(stream.close_code())
    proxy = start(harness.config_for(backend(script).address))
    clients = [wire.open_session(proxy.public) for _ in range(20)]
    proxy.terminate(number)
    for client in clients:
        assert client.close_code() == 1001
        client.send(wire.close_frame(1001))
    assert proxy.wait_exit() == 0
    harness.eventually(lambda: seen == [1001] * 20, what=f"1001 at the backend, got {seen}")
    lines = proxy.access()
    assert len(lines) == 20
    assert all("drain" in line for line in lines)
    for client in clients:
        client.close()


def test_an_idle_proxy_ends_at_once(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, shutdown_timeout="10m"))
    proxy.terminate()
    assert proxy.wait_exit() == 0


def test_ready_fails_at_once_while_accepting_goes_on_for_the_delay(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, shutdown_delay="10m"))
    assert proxy.get("/readyz")[0] == 200
    proxy.terminate()
    harness.eventually(lambda: proxy.get("/readyz")[0] == 503, what="not ready")
    assert proxy.get("/healthz")[0] == 200
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"


def test_listeners_close_while_sessions_are_given_time(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, shutdown_timeout="10m"))
    clients = [wire.open_session(proxy.public) for _ in range(3)]
    proxy.terminate()
    harness.eventually(lambda: refused(proxy.public), what="a closed listener")
    assert proxy.process.poll() is None
    proxy.terminate()
    assert proxy.wait_exit() in (0, 1, -signal.SIGTERM)
    for client in clients:
        client.close()


def test_clients_that_do_not_answer_are_cut_at_the_timeout(start, backend):
    def script(stream, head):
        fake.switch(stream, head)
        stream.rest()
    proxy = start(harness.config_for(backend(script).address, shutdown_timeout="500ms", route={"close_timeout": "10m"}))
    clients = [wire.open_session(proxy.public) for _ in range(3)]
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert [client.close_code() for client in clients] == [1001] * 3
    for client in clients:
        client.close()


def test_connections_waiting_in_the_queue_are_served_not_reset(start, backend):
    """Closing one of several SO_REUSEPORT sockets resets what waits in its queue. The proxy must accept it
    first; whoever connected before the drain gets an answer, not a reset."""
    proxy = start(harness.config_for(backend(fake.echo).address))
    waiting = [wire.connect(proxy.public) for _ in range(50)]
    proxy.terminate()
    answers = []
    for client in waiting:
        try:
            client.send(wire.request())
            answers.append(client.head().status)
        except EOFError:
            answers.append("end")
    assert set(answers) <= {101, 503, "end"}, answers
    proxy.wait_exit()


def test_service_manager_is_notified(start, backend, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10 * harness.SLOWNESS)
        proxy = start(harness.config_for(backend(fake.echo).address), environment={"NOTIFY_SOCKET": path})
        assert b"READY=1" in manager.recv(4096)
        proxy.terminate()
        deadline = time.monotonic() + 10 * harness.SLOWNESS
        while b"STOPPING=1" not in manager.recv(4096):
            assert time.monotonic() < deadline
        assert proxy.wait_exit() == 0


def test_reading_the_ready_file_tells_pid_and_addresses(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    told = json.loads(proxy.ready_file.read_text())
    assert told["pid"] == proxy.process.pid
    assert set(told["listeners"]) == {"public"}


def test_a_drain_meets_a_client_that_has_just_gone(start, backend, tmp_path):
    """The Close for a half-closed client could not be written: its failure settled the session, and then it was
    settled again, with nothing left to record. One such client took the whole process down. (A unix socket tells
    at once that nobody reads; with TCP it takes a reset at the right moment.)"""
    gone, over = threading.Event(), threading.Event()

    def script(stream, head):
        fake.switch(stream, head)
        stream.rest()
        gone.set()
        over.wait()
    proxy = start(harness.config_for(backend(script).address, listener={"bind": f"unix:{tmp_path}/s"}))
    wire.open_session(f"unix:{tmp_path}/s").close()
    try:
        assert gone.wait(10 * harness.SLOWNESS), "the backend was not told"
        proxy.terminate()
        assert proxy.wait_exit() == 0
    finally:
        over.set()
    assert "reason=client_vanished" in proxy.access()[0]
