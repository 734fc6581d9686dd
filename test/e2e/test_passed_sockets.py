"""Listeners that can't be shared between threads: passed descriptors (socket activation) and unix sockets."""
import fcntl
import pathlib
import socket

import pytest

import backend as fake
import harness
import wire

WORKERS = 4
SESSIONS = 40


@pytest.fixture
def activate(start):
    """activate(socket, config): starts Holdfast as a service manager does, with the socket as "public"."""
    def begin(sock, config, **options):
        # 3 is where it is to be: what is passed must come from elsewhere.
        high = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 50)
        moved = socket.socket(fileno=high)
        script = f'exec 3<&{high}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public; exec "$@"'
        with moved:
            return start(config, prefix=["bash", "-c", script, "activated"], pass_fds=(high,), **options)
    return begin


def switches(proxy):
    """How often each thread has gone to sleep, by its name."""
    found = {}
    for task in pathlib.Path(f"/proc/{proxy.pid}/task").iterdir():
        status = (task / "status").read_text()
        found[(task / "comm").read_text().strip()] = int(status.split("voluntary_ctxt_switches:")[1].split()[0])
    return found


def switches_at_start(proxy):
    """The same once every thread has its name: on a busy machine one may not have run yet when others serve."""
    names = {f"{kind}-{n}" for kind in ("setup", "pump") for n in range(WORKERS)}
    return harness.eventually(lambda: names <= set(found := switches(proxy)) and found, what="every thread's name")


def use_many(address):
    """Opens sessions one after the other, so that the threads sleep in between; all of them live at once."""
    clients = []
    for number in range(SESSIONS):
        client = wire.open_session(address)
        clients.append(client)
        client.send(wire.frame(wire.TEXT, b"%d" % number))
        assert client.data_frame()[2] == b"%d" % number
    for client in clients:
        client.send(wire.close_frame(1000))
        assert client.close_code() == 1000
        client.close()


def assert_spread(before, after):
    """Every thread of both planes had its share of the sessions, and woke for each of them."""
    for kind in ("setup", "pump"):
        woken = {f"{kind}-{n}": after[f"{kind}-{n}"] - before[f"{kind}-{n}"] for n in range(WORKERS)}
        assert all(count >= SESSIONS // WORKERS for count in woken.values()), woken


def test_a_passed_socket_is_served_by_all_threads(activate, backend):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as passed:
        address = "127.0.0.1:%d" % passed.getsockname()[1]
        config = harness.config_for(backend(fake.echo).address, workers=WORKERS, listener={"bind": "fd:public"})
        proxy = activate(passed, config)
        before = switches_at_start(proxy)
        use_many(address)
        assert_spread(before, switches(proxy))
        assert proxy.public == "fd:public"
        assert proxy.metric("holdfast_handshakes_total", listener="public", result="accepted") == SESSIONS


def test_a_passed_socket_survives_a_reload(activate, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    with socket.create_server(("127.0.0.1", 0)) as passed:
        address = "127.0.0.1:%d" % passed.getsockname()[1]
        proxy = activate(passed, harness.config_for(one.address, listener={"bind": "fd:public"}))
        with wire.open_session(address):
            proxy.reload(harness.config_for(two.address, listener={"bind": "fd:public"}))
            wire.open_session(address).close()
        two.wait_heads(1)


@pytest.mark.parametrize("kind", ["datagram", "not listening"])
def test_a_passed_descriptor_that_nobody_can_accept_on_is_refused(activate, backend, kind):
    """accept() on it failed at once, for ever: the process looked alive, spun, and served nobody."""
    passed = socket.socket(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
    with passed:
        passed.bind(("127.0.0.1", 0))
        config = harness.config_for(backend(fake.echo).address, listener={"bind": "fd:public"})
        with pytest.raises(AssertionError, match="ended with 1 at its start") as told:
            activate(passed, config)
        assert "listener public: fd:public: is not a listening socket" in str(told.value)


def test_a_passed_socket_that_is_missing_is_refused(start, backend):
    config = harness.config_for(backend(fake.echo).address, listener={"bind": "fd:public"})
    with pytest.raises(AssertionError, match="ended with 1 at its start") as told:
        start(config)
    assert "fd:public: no sockets were passed" in str(told.value)


def test_a_unix_socket_is_served_by_all_threads_and_removed_at_the_end(start, backend, tmp_path):
    path = tmp_path / "s"
    # What a crashed process leaves behind.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
        stale.listen()
    assert path.is_socket()
    config = harness.config_for(backend(fake.echo).address, workers=WORKERS, listener={"bind": f"unix:{path}"})
    proxy = start(config)
    before = switches_at_start(proxy)
    use_many(f"unix:{path}")
    assert_spread(before, switches(proxy))
    proxy.terminate()
    assert proxy.wait_exit() == 0
    assert not path.exists()


def test_a_unix_socket_that_somebody_listens_on_is_not_taken(start, backend, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(str(path))
        owner.listen()
        with pytest.raises(AssertionError, match="ended with 1 at its start"):
            start(harness.config_for(backend(fake.echo).address, listener={"bind": f"unix:{path}"}))
        wire.connect(f"unix:{path}").close()


def test_a_removed_unix_listener_takes_its_file_along(start, backend, tmp_path):
    path = tmp_path / "s"
    address = backend(fake.echo).address
    listeners = [{"name": "public", "bind": "127.0.0.1:0"}, {"name": "local", "bind": f"unix:{path}"}]
    proxy = start(harness.config_for(address, listeners=listeners))
    with wire.open_session(f"unix:{path}") as client:
        proxy.reload(harness.config_for(address))
        assert not path.exists()
        client.send(wire.frame(wire.TEXT, b"still here"))
        assert client.data_frame()[2] == b"still here"
