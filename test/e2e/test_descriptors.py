"""Near the limit of open files new clients get 503, nothing spins, and the proxy recovers."""
import os
import pathlib
import re

import backend as fake
import harness
import wire

LIMIT = 200
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def test_new_clients_get_503_near_the_limit_and_sessions_live_on(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address),
                  prefix=["bash", "-c", f'ulimit -n {LIMIT}; exec "$@"', "limited"])
    sessions, refused = [], []

    def fill():
        client = wire.connect(proxy.public)
        client.send(wire.request())
        status = client.head().status
        (sessions if status == 101 else refused).append(client)
        if status != 101:
            assert status == 503
        return len(refused) >= 5
    harness.eventually(fill, 20, "a 503")
    assert 20 <= len(sessions) <= LIMIT // 2
    for client in (sessions[0], sessions[-1]):
        client.send(wire.frame(wire.TEXT, b"alive"))
        assert client.data_frame()[2] == b"alive"
    assert proxy.get("/healthz")[0] == 200
    for client in sessions + refused:
        client.close()
    harness.eventually(lambda: proxy.sessions() == 0)
    wire.open_session(proxy.public).close()


def test_more_connections_than_descriptors_do_not_spin(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address),
                  prefix=["bash", "-c", f'ulimit -n {LIMIT}; exec "$@"', "limited"])
    silent = [wire.connect(proxy.public) for _ in range(LIMIT * 2)]
    # An accept loop that spins on EMFILE burns all the time that passes while we ask for the status.
    harness.eventually(lambda: proxy.sockets() >= LIMIT // 2, what="many sockets")
    before = cpu_seconds(proxy.pid)
    calls = 0
    while calls < 200:
        calls += 1
        assert proxy.get("/healthz")[0] == 200
    assert cpu_seconds(proxy.pid) - before < 1.0 * harness.SLOWNESS
    for client in silent:
        client.close()
    with harness.eventually(lambda: try_session(proxy.public), what="a session again") as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"


def test_workers_own_descriptors_leave_some_for_the_admin_port(start, backend):
    """What threads hold themselves was taken from what is kept free: with eight workers nothing was left, and the
    admin port did not answer any more."""
    proxy = start(harness.config_for(backend(fake.echo).address, workers=8),
                  prefix=["bash", "-c", f'ulimit -n {LIMIT}; exec "$@"', "limited"])
    silent = [wire.connect(proxy.public) for _ in range(LIMIT * 2)]
    harness.eventually(lambda: proxy.sockets() >= LIMIT // 3, what="many sockets")
    for _ in range(50):
        assert proxy.get("/healthz")[0] == 200
    assert len(os.listdir(f"/proc/{proxy.pid}/fd")) <= LIMIT - 10
    for client in silent:
        client.close()


def try_session(address):
    try:
        return wire.open_session(address)
    except (AssertionError, OSError, EOFError):
        return None


def test_the_limit_is_raised_at_the_start_and_told(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address),
                  prefix=["bash", "-c", 'ulimit -Sn 100; exec "$@"', "limited"])
    limits = pathlib.Path(f"/proc/{proxy.pid}/limits").read_text()
    soft, hard = next(line for line in limits.splitlines() if "open files" in line).split()[3:5]
    assert soft == hard
    # The log has a thread of its own: it may come after the ready file.
    told = harness.eventually(lambda: re.search(r"(\d+) descriptors", proxy.log()), what="the limit in the log")
    assert int(soft) * 0.8 < int(told[1]) <= int(soft)
