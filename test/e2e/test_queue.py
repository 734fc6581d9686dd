"""Full upstreams: who waits, in which order they are served, and how a wait ends otherwise."""
import time

import backend as fake
import harness
import reroutes
import wire


def crowded(start, backend, room=1, count=1, length=10, timeout="30s", **upstream):
    """(proxy, its sessions): every backend has all the sessions that it may have."""
    addresses = [backend(fake.echo).address for _ in range(count)]
    proxy = start(harness.config_for(route={}, upstream={
        "backends": [{"address": a, "max_sessions": room} for a in addresses],
        "queue": {"length": length, "timeout": timeout}, "setup_timeout": "1m", **upstream}))
    return proxy, [wire.open_session(proxy.public) for _ in range(room * count)]


def ask(proxy):
    """A client that has sent its request."""
    client = wire.connect(proxy.public, timeout=30 * harness.SLOWNESS)
    client.send(wire.request())
    return client


def waiting(proxy):
    return proxy.status()["upstreams"][0]["queue"]["waiting"]


def wait_for_queue(proxy, length):
    harness.eventually(lambda: waiting(proxy) == length, what=f"{length} in the queue")


def told(proxy):
    """The first access line, with its blanks."""
    return proxy.access_lines(1)[0].replace("\\x20", " ")


def waits(proxy, result):
    return proxy.metric("holdfast_queue_waits_total", result=result)


def line_up(proxy, count):
    """So many clients that wait, in this order."""
    clients = []
    for n in range(count):
        clients.append(ask(proxy))
        wait_for_queue(proxy, n + 1)
    return clients


def has_answer(client):
    client.sock.settimeout(0.0)
    try:
        client.more()
    except BlockingIOError:
        pass
    finally:
        client.sock.settimeout(30 * harness.SLOWNESS)
    return b"\r\n\r\n" in client.buffer


def test_without_a_queue_a_full_upstream_says_so_at_once(start, backend):
    proxy, _ = crowded(start, backend, length=0)
    head = ask(proxy).head()
    assert head.status == 503 and head.one("retry-after") == "2"
    assert "no room at the backends of upstream main" in told(proxy)


def test_who_waits_is_served_in_order_as_places_become_free(start, backend):
    proxy, sessions = crowded(start, backend, room=3)
    clients = line_up(proxy, 6)
    assert proxy.metric("holdfast_queued_sessions", upstream="main") == 6
    served = []
    for n in range(3):
        sessions[n].close()
        harness.eventually(lambda: waiting(proxy) == 5 - n, what="one was served")
        head = clients[n].head()
        assert head.status == 101
        served.append(clients[n])
        assert not any(has_answer(later) for later in clients[n + 1:])
    for client in served:
        client.send(wire.frame(wire.TEXT, b"at last"))
        assert client.data_frame()[2] == b"at last"
    assert waits(proxy, "served") == 3


def test_several_places_at_once_serve_several_and_nobody_overtakes(start, backend):
    proxy, sessions = crowded(start, backend, room=5, count=2)
    clients = line_up(proxy, 8)
    for session in sessions:
        session.close()
    assert all(client.head().status == 101 for client in clients)
    wait_for_queue(proxy, 0)
    assert sum(entry["sessions"] for entry in proxy.backends().values()) == 8


def test_a_full_queue_turns_away_and_the_others_stay(start, backend):
    proxy, sessions = crowded(start, backend, length=2)
    clients = line_up(proxy, 2)
    head = ask(proxy).head()
    assert head.status == 503 and head.one("retry-after")
    assert waits(proxy, "full") == 1
    sessions[0].close()
    assert clients[0].head().status == 101


def test_a_wait_ends_with_503_after_its_time(start, backend):
    proxy, _ = crowded(start, backend, timeout="300ms")
    begun = time.monotonic()
    head = ask(proxy).head()
    assert head.status == 503 and head.one("retry-after")
    assert time.monotonic() - begun >= 0.3
    assert waits(proxy, "timeout") == 1
    assert "no place became free in time" in told(proxy)
    assert waiting(proxy) == 0


def test_setup_timeout_bounds_the_wait_too(start, backend):
    proxy, _ = crowded(start, backend, timeout="5m", setup_timeout="300ms")
    assert ask(proxy).head().status == 503
    assert waits(proxy, "timeout") == 1


def test_who_goes_away_leaves_the_queue_and_the_next_one_moves_up(start, backend):
    proxy, sessions = crowded(start, backend)
    clients = line_up(proxy, 3)
    clients[0].close()
    wait_for_queue(proxy, 2)
    assert waits(proxy, "gone") == 1
    sessions[0].close()
    assert clients[1].head().status == 101
    assert not has_answer(clients[2])
    assert "closed while it waited for a place" in told(proxy)


def test_a_raised_limit_and_a_backend_that_comes_serve_the_queue(start, backend):
    proxy, _ = crowded(start, backend)
    first, second, third = line_up(proxy, 3)
    config = harness.config_for(route={}, upstream={
        "backends": [{"address": next(iter(proxy.backends())), "max_sessions": 2}],
        "queue": {"length": 10, "timeout": "30s"}, "setup_timeout": "1m"})
    proxy.reload(config)
    assert first.head().status == 101
    assert not has_answer(second)
    del third


def test_a_backend_that_a_reload_adds_serves_those_that_wait(start, backend):
    proxy, _ = crowded(start, backend)
    waiter, = line_up(proxy, 1)
    added = backend(fake.echo).address
    proxy.reload(harness.config_for(route={}, upstream={
        "backends": [{"address": next(iter(proxy.backends())), "max_sessions": 1}, {"address": added}],
        "queue": {"length": 10, "timeout": "30s"}, "setup_timeout": "1m"}))
    assert waiter.head().status == 101
    assert proxy.backends()[added]["sessions"] == 1
    waiter.send(wire.frame(wire.TEXT, b"hello"))
    assert waiter.data_frame()[2] == b"hello"


def test_nobody_waits_where_no_backend_is_eligible(start, backend):
    proxy, _ = crowded(start, backend)
    reroutes.set_state(proxy, next(iter(proxy.backends())), "draining")
    assert ask(proxy).head().status == 503
    assert waits(proxy, "full") == waits(proxy, "timeout") == waiting(proxy) == 0


def test_a_backend_that_becomes_eligible_serves_those_that_wait(start, backend):
    proxy, sessions = crowded(start, backend, count=2)
    back = list(proxy.backends())[0]
    reroutes.set_state(proxy, back, "draining")
    for session in sessions:
        session.close()
    harness.eventually(lambda: proxy.sessions() == 0, what="no session")
    with wire.open_session(proxy.public):
        waiter, = line_up(proxy, 1)
        reroutes.set_state(proxy, back, "active")
        assert waiter.head().status == 101
        assert proxy.backends()[back]["sessions"] == 1


# Story: an upstream that was always full gave every place that became free to a new client, until the sessions
# whose backend had died were closed.
def test_a_rerouted_session_goes_before_those_that_wait(start, puppet):
    one, two = puppet(), puppet()
    proxy = start(reroutes.config(one.address, two.address, reroute={"hold": "1m"}, upstream={
        "backends": [{"address": one.address, "max_sessions": 1}, {"address": two.address, "max_sessions": 1}],
        "queue": {"length": 5, "timeout": "50s"}, "setup_timeout": "1m"}))
    clients = {}
    for _ in range(2):
        client = wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS)
        server = reroutes.whose_turn(one, two)
        clients[server] = (client, server.next()[0])
    waiter = ask(proxy)
    wait_for_queue(proxy, 1)
    reroutes.set_state(proxy, one.address, "draining")  # it has nowhere to go yet
    clients[one][1].reset()
    harness.eventually(lambda: any(e["state"] == "held" for e in reroutes.session_list(proxy)), what="a held session")
    clients[two][0].close()
    leg, head = two.next()
    assert head.one("holdfast-reroute").startswith("1; cause=")
    reroutes.talks(clients[one][0], leg)
    assert waiting(proxy) == 1 and not has_answer(waiter)
    clients[one][0].close()
    assert waiter.head().status == 101
