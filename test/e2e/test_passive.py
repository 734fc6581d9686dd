"""What real sessions tell of a backend: failures that eject it, ends that never do, and how it comes back."""
import json
import re
import threading
import time

import pytest

import backend as fake
import harness
import reroutes
import wire

FAST = {"connect_timeout": "300ms", "handshake_timeout": "300ms", "setup_timeout": "5s"}
NO_REROUTE = {"on": []}


def answers_503(stream, _head):
    stream.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


def drops(stream, head):
    """A 101, and the connection is gone."""
    fake.switch(stream, head)
    stream.reset()


def half_closes(stream, head):
    """A 101, and a FIN without a Close."""
    fake.switch(stream, head)


def try_once(proxy):
    with wire.connect(proxy.public, timeout=10 * harness.SLOWNESS) as client:
        client.send(wire.request())
        status = client.head().status
        if status == 101:
            client.close_code()  # a client that goes first tells nothing about its backend
        return status


def entry(proxy, address):
    return proxy.backends()[address]


def wait_ejected(proxy, address, seconds=10):
    return harness.eventually(lambda: next((b for b in [entry(proxy, address)] if b["ejected"]), None), seconds,
                              "an ejection")


FAILING = {
    "refused": (None, "connect", "consecutive_failures"),
    "mute": (fake.silent, "timeout", "consecutive_failures"),
    "reset before its answer": (fake.reset, "eof", "consecutive_failures"),
    "503": (answers_503, "handshake_status", "consecutive_5xx"),
    "dropped behind the 101": (drops, "early_death", "early_deaths"),
    "FIN behind the 101": (half_closes, "early_death", "early_deaths"),
}


@pytest.mark.parametrize("name", FAILING)
def test_failures_in_a_row_eject(start, backend, name):
    script, kind, reason = FAILING[name]
    address = backend(script).address if script else fake.refused_address()
    upstream = {**FAST, "outlier": {"consecutive_failures": 3, "eject_for": "10m", "max_ejected_percent": 100}}
    proxy = start(harness.config_for(address, upstream=upstream, route={"reroute": NO_REROUTE}))
    before = entry(proxy, address)
    assert before["ejection"] == {"total": 0, "reason": None, "lasts_seconds": 0, "left_seconds": 0}
    # Crashes within a second count as one: those must come one by one.
    crashes = reason == "early_deaths"
    for n in range(3):
        assert not entry(proxy, address)["ejected"], f"after {n}"
        try_once(proxy)
        if crashes:
            harness.eventually(lambda: entry(proxy, address)["failures"]["early_death"] == n + 1)
            time.sleep(1.6)
    told = wait_ejected(proxy, address)
    assert told["failures"][kind] == 3
    assert told["ejection"]["reason"] == reason
    assert told["ejection"]["lasts_seconds"] == 600
    assert 500 < told["ejection"]["left_seconds"] <= 600
    assert proxy.metric("holdfast_backend_failures_total", backend=address, kind=kind) == 3
    assert proxy.metric("holdfast_ejections_total", backend=address, reason=reason) == 1
    assert proxy.metric("holdfast_ejections_total") == 1
    harness.eventually(lambda: f"backend main/{address} ejected for 600 s ({reason}): " in proxy.log(), what="a line")


def ends_with(code):
    def script(stream, head):
        fake.switch(stream, head, then=wire.close_frame(code, masked=False))
        stream.rest()
    return script


def echo_close(stream, head):
    fake.switch(stream, head)
    fake.echo_frames(stream)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4000])
@pytest.mark.parametrize("who", ["backend", "client"])
def test_a_close_is_never_a_failure(start, backend, who, code):
    server = backend(ends_with(code) if who == "backend" else echo_close)
    upstream = {"outlier": {"consecutive_failures": 1, "success_rate": {"threshold": 100, "minimum": 1},
                            "max_ejected_percent": 100}}
    proxy = start(harness.config_for(server.address, upstream=upstream, route={"reroute": {"close_codes": []}}))
    for _ in range(5):
        with wire.open_session(proxy.public) as client:
            if who == "client":
                client.send(wire.close_frame(code))
            assert client.close_code() == code
    harness.eventually(lambda: entry(proxy, server.address)["sessions"] == 0, what="no sessions")
    time.sleep(1.2)  # two looks of the control thread
    told = entry(proxy, server.address)
    assert told["ejected"] is False
    assert set(told["failures"].values()) == {0}


def test_a_close_that_reroutes_is_no_failure_either(start, puppet):
    one, two = puppet(), puppet()
    upstream = {"outlier": {"consecutive_failures": 1, "success_rate": {"threshold": 100, "minimum": 1}}}
    proxy = start(reroutes.config(one.address, two.address, upstream=upstream))
    client = wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS)
    here = reroutes.whose_turn(one, two)
    leg, _ = here.next()
    leg.send(wire.close_frame(1001, masked=False))
    there = two if here is one else one
    next_leg, _ = there.next()
    reroutes.talks(client, next_leg)
    time.sleep(1.2)
    assert not any(b["ejected"] or any(b["failures"].values()) for b in proxy.backends().values())


def test_older_sessions_that_are_lost_count_once_a_crash(start, puppet):
    """Of two crashes with ten sessions each the second ejects; the sessions go on elsewhere."""
    one, two = puppet(), puppet()
    upstream = {"outlier": {"consecutive_failures": 2, "early_death": "100ms", "eject_for": "10m"}}
    config = reroutes.config(one.address, upstream=upstream)
    proxy = start(config)
    clients = [wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) for _ in range(20)]
    legs = [one.next()[0] for _ in clients]
    config["upstreams"][0]["backends"].append({"address": two.address})
    proxy.reload(config)
    reroutes.set_state(proxy, one.address, "active")
    time.sleep(0.3)
    for leg in legs[:10]:
        leg.reset()
    for _ in range(10):
        two.next()  # fewer sessions are there
    harness.eventually(lambda: entry(proxy, one.address)["failures"]["lost"] == 10)
    time.sleep(1.6)
    assert not entry(proxy, one.address)["ejected"]
    for leg in legs[10:]:
        leg.reset()
    told = wait_ejected(proxy, one.address)
    assert told["ejection"]["reason"] == "consecutive_failures"
    assert told["failures"]["lost"] == 20
    assert told["last_error"] == "10 sessions lost without a Close"
    for client in clients:
        client.close()


def test_lost_sessions_can_be_left_out(start, backend):
    server = backend(drops)
    upstream = {"outlier": {"consecutive_failures": 1, "lost_sessions": False, "max_ejected_percent": 100}}
    proxy = start(harness.config_for(server.address, upstream=upstream, route={"reroute": NO_REROUTE}))
    for _ in range(3):
        assert try_once(proxy) == 101
    harness.eventually(lambda: entry(proxy, server.address)["failures"]["early_death"] == 3)
    time.sleep(1.2)
    assert not entry(proxy, server.address)["ejected"]


def test_a_backend_that_fails_most_tries_is_ejected_by_its_success_rate(start, backend):
    """Never three in a row: every third answer is a 404, which says that it is alive."""
    count = iter(range(10**6))

    def mostly(stream, _head):
        status = b"404 No" if next(count) % 3 == 2 else b"503 Busy"
        stream.send(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
    server = backend(mostly)
    outlier = {"consecutive_failures": 3, "success_rate": {"threshold": 50, "minimum": 30}, "eject_for": "10m",
               "max_ejected_percent": 100}
    proxy = start(harness.config_for(server.address, upstream={"outlier": outlier}))
    for n in range(30):
        assert not entry(proxy, server.address)["ejected"], f"after {n}"
        try_once(proxy)
    # The thirtieth was a 404; the next failure shows it.
    try_once(proxy)
    assert wait_ejected(proxy, server.address)["ejection"]["reason"] == "success_rate"


def test_each_ejection_lasts_twice_as_long_up_to_eject_max(start, backend):
    server, other = backend(fake.silent), backend(fake.echo)
    outlier = {"consecutive_failures": 1, "eject_for": "500ms", "eject_max": "1700ms"}
    proxy = start(harness.config_for(server.address, other.address,
                                     upstream={**FAST, "policy": "round_robin", "outlier": outlier}))
    for n in range(4):
        def ejected_again():
            wire.open_session(proxy.public, timeout=10 * harness.SLOWNESS).close()
            told = entry(proxy, server.address)
            return told["ejection"]["total"] > n and told
        told = harness.eventually(ejected_again, 20, "another ejection")
        assert told["ejection"]["total"] == n + 1
    harness.eventually(lambda: re.findall(r"ejected for (\S+) s", proxy.log()) == ["0.5", "1", "1.7", "1.7"],
                       what="four lines")


def test_a_restarted_backend_is_not_punished(start, backend, echo):
    """Its death ejects it for ten minutes, but its probes soon say that another process is there."""
    first, other = echo(), echo()
    upstream = {**FAST, "probe": {"interval": "50ms", "rise": 2, "fall": 3},
                "outlier": {"consecutive_failures": 1, "eject_for": "10m"}}
    proxy = start(reroutes.config(first.address, other.address, upstream=upstream))
    harness.eventually(lambda: all(b["health"] == "healthy" for b in proxy.backends().values()))
    clients = [wire.open_session(proxy.public) for _ in range(10)]
    first.stop()
    wait_ejected(proxy, first.address)
    echo(port=first.port)
    harness.eventually(lambda: not entry(proxy, first.address)["ejected"], 20, "its return")
    harness.eventually(lambda: entry(proxy, first.address)["health"] == "healthy", what="healthy")
    harness.eventually(lambda: clients.append(wire.open_session(proxy.public)) or
                       entry(proxy, first.address)["sessions"] > 0, what="a session there")
    assert "readmitted on trial" in proxy.log()
    for client in clients:
        client.close()


def test_no_more_than_the_share_is_ejected_for_lost_sessions(start, backend):
    servers = [backend(drops) for _ in range(4)]
    outlier = {"consecutive_failures": 1, "eject_for": "10m", "max_ejected_percent": 50}
    proxy = start(harness.config_for(*(s.address for s in servers), route={"reroute": NO_REROUTE},
                                     upstream={"policy": "round_robin", "outlier": outlier}))
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        try_once(proxy)
        time.sleep(0.1)
    assert sum(b["ejected"] for b in proxy.backends().values()) == 2


# --- panic ---

class Sick:
    """A backend whose probes fail when told to; its sessions always work."""

    def __init__(self, backend):
        self.sick = threading.Event()
        self.server = backend(self.script)
        self.address = self.server.address

    def script(self, stream, head):
        if head.one("upgrade"):
            return fake.echo(stream, head)
        status = b"503 Ill" if self.sick.is_set() else b"200 OK"
        return stream.send(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)


PROBE = {"type": "http", "interval": "50ms", "rise": 1, "fall": 1}


def test_a_panic_begins_and_ends_and_is_told(start, backend):
    one, two = Sick(backend), Sick(backend)
    proxy = start(reroutes.config(one.address, two.address, upstream={"probe": PROBE}))
    harness.eventually(lambda: all(b["health"] == "healthy" for b in proxy.backends().values()))
    assert proxy.metric("holdfast_upstream_panic", upstream="main") == 0
    assert json.loads(proxy.get("/readyz")[1]) == {"details": [], "ready": True}
    client = wire.open_session(proxy.public)
    one.sick.set()
    two.sick.set()
    harness.eventually(lambda: proxy.metric("holdfast_upstream_panic", upstream="main") == 1, what="a panic")
    sentence = ("upstream main panics: 0 of 2 active backends are eligible, fewer than panic_percent (10 %): "
                "all active ones are used")
    harness.eventually(lambda: sentence in proxy.log(), what="a line")
    status, body = proxy.get("/readyz")
    assert status == 503 and sentence in body
    upstream = proxy.status()["upstreams"][0]
    assert (upstream["panic"], upstream["eligible"], upstream["active"]) == (True, 0, 2)
    # New clients are served, present ones stay.
    with wire.open_session(proxy.public) as late:
        for each in (client, late):
            each.send(wire.frame(wire.TEXT, b"hi"))
            assert each.data_frame()[2] == b"hi"
    assert proxy.metric("holdfast_reroutes_total", result="attached") <= 1  # off the first, when the second was well
    two.sick.clear()
    harness.eventually(lambda: proxy.metric("holdfast_upstream_panic", upstream="main") == 0, what="no panic")
    harness.eventually(lambda: "upstream main panics no longer: 1 of 2 active backends are eligible" in proxy.log())
    assert proxy.get("/readyz")[0] == 200
    # Verdicts are believed again: the first one's sessions go.
    harness.eventually(lambda: entry(proxy, one.address)["sessions"] == 0, 20, "nobody on the ill one")
    client.send(wire.frame(wire.TEXT, b"still here"))
    assert client.data_frame()[2] == b"still here"


def test_a_panic_with_some_eligible_leaves_readiness_and_says_so(start, backend):
    servers = [Sick(backend) for _ in range(4)]
    proxy = start(harness.config_for(*(s.address for s in servers),
                                     upstream={"policy": "round_robin", "probe": PROBE, "outlier": {"panic_percent": 50}}))
    for server in servers[:3]:
        server.sick.set()
    harness.eventually(lambda: proxy.metric("holdfast_upstream_panic") == 1, what="a panic")
    status, body = proxy.get("/readyz")
    assert status == 200 and "1 of 4 active backends are eligible" in body
    reroutes.set_state(proxy, servers[0].address, "draining")
    clients = [wire.open_session(proxy.public) for _ in range(9)]
    assert [entry(proxy, s.address)["sessions"] for s in servers] == [0, 3, 3, 3]
    for client in clients:
        client.close()


def test_without_a_panic_percent_nobody_eligible_is_503(start, backend):
    server = Sick(backend)
    proxy = start(harness.config_for(server.address, upstream={"probe": PROBE, "outlier": {"panic_percent": 0}}))
    server.sick.set()
    harness.eventually(lambda: entry(proxy, server.address)["health"] == "unhealthy")
    assert try_once(proxy) == 503
    assert proxy.metric("holdfast_upstream_panic") == 0


# --- flapping ---

class Newcomers:
    """Clients that come one after another, so that the backend with the fewest sessions is always asked; they stay."""

    def __init__(self, proxy, period):
        self.clients, self.refused = [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._come, args=(proxy, period), daemon=True)
        self.thread.start()

    def _come(self, proxy, period):
        while not self.over.wait(period):
            try:
                self.clients.append(wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS))
            except (OSError, EOFError, AssertionError) as error:
                self.refused.append(repr(error))

    def stop(self):
        self.over.set()
        self.thread.join()

    def all_live(self):
        for number, client in enumerate(self.clients):
            word = f"{number}, are you there?".encode()
            client.send(wire.frame(wire.TEXT, word))
            while client.data_frame()[2] != word:
                pass


def test_a_flapping_backend_closes_no_client_and_is_left_alone_soon(start, node_echo, crowd):
    """Up for a second, down for a second, killed each time: for a minute (quick: ten seconds)."""
    seconds = 10 if harness.QUICK else 60
    good, flapping = node_echo(), node_echo()
    upstream = {"probe": {"interval": "200ms", "timeout": "200ms", "rise": 2, "fall": 2},
                "outlier": {"consecutive_failures": 2, "eject_for": "5s", "eject_max": "1m"}}
    proxy = start(reroutes.config(good.address, flapping.address, upstream=upstream))
    people, process = crowd(proxy, 30), flapping
    newcomers = Newcomers(proxy, 0.05)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        process.kill()
        time.sleep(1)
        process = node_echo(port=flapping.port)
        time.sleep(1)
    newcomers.stop()
    told = entry(proxy, flapping.address)
    assert told["ejection"]["total"] >= 1, told
    newcomers.all_live()
    report = people.settle(40)
    assert newcomers.refused == []
    assert report.closed == [] and report.wrong == [] and report.doubled == 0, report
    # Those whom it had at its first deaths, and the few whom it got in between: not everybody each time.
    moved = proxy.metric("holdfast_reroutes_total", cause="lost")
    assert proxy.metric("holdfast_reroutes_total", cause="lost", result="attached") == moved
    everybody = 30 + len(newcomers.clients)
    assert moved <= everybody, f"{moved} reroutes of {everybody} sessions, {told}"
