"""Backends that die: killed, reset, hung. No client sees more than a pause; what may be lost is counted."""
import pytest

import backend as fake
import harness
import reroutes
import wire

# A dead backend is found out by our own ping after 1 s of silence and 300 ms without an answer.
IMPATIENT = {"ping": {"interval": "1s", "timeout": "300ms"}}


def ends_with_fin(leg):
    leg.close()


def ends_with_rst(leg):
    leg.reset()


@pytest.mark.parametrize("end", [ends_with_fin, ends_with_rst])
def test_an_idle_session_goes_on_with_another_backend(start, puppet, end):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    end(leg)
    second, _ = there.next()
    reroutes.talks(client, second, "and now?")
    assert reroutes.reroutes(proxy, upstream="main", cause="lost", result="attached") == 1
    assert reroutes.lost_messages(proxy) == (0, 0)
    entry = reroutes.only_session(proxy)
    assert (entry["backend"], entry["reroutes"], entry["state"]) == (there.address, 1, "open")
    assert proxy.backends()[here.address]["sessions"] == 0
    assert proxy.backends()[here.address]["reroutes_from_total"] == 1
    assert proxy.backends()[there.address]["reroutes_to_total"] == 1
    line, = reroutes.log_lines(proxy, 1, result="attached", cause="lost")
    assert (line["from"], line["to"], line["session"]) == (here.address, there.address, entry["id"])
    client.send(wire.close_frame(1000))
    assert second.close_code() == 1000


def test_idle_sessions_of_a_killed_process_are_all_on_another_one(start, node_echo, crowd):
    one, two = node_echo(), node_echo()
    proxy = start(reroutes.config(one.address, two.address))
    clients = [wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) for _ in range(40)]
    assert proxy.backends()[one.address]["sessions"] == 20
    one.kill()
    reroutes.wait_sessions(proxy, two.address, 40)
    for number, client in enumerate(clients):
        reroutes.say(client, f"still here {number}")
        assert reroutes.heard(client, f"still here {number}")
    assert reroutes.reroutes(proxy, cause="lost", result="attached") == 20
    assert reroutes.lost_messages(proxy) == (0, 0)
    assert proxy.metric("holdfast_reroute_duration_seconds_count") == 20


@pytest.mark.parametrize("padding", [0, 3000, 100_000])
def test_busy_sessions_lose_no_more_than_is_counted(start, node_echo, crowd, tmp_path, padding):
    ledger = reroutes.Ledger(tmp_path / "ledger")
    servers = [node_echo(ledger=str(ledger.file)) for _ in range(3)]
    hold = {"hold_bytes": "256KiB"}  # so that no frame is streamed, and none can be cut
    proxy = start(reroutes.config(*(server.address for server in servers), reroute=hold))
    count, period = (20, 0.1) if padding > 10_000 else (60, 0.02)
    people = crowd(proxy, count, period=period, padding="p" * padding)
    people.all_go_on()
    for server in servers[:2]:
        server.kill()
        people.all_go_on()
    report = people.settle()
    assert report.at_most_once(), report
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report
    assert ledger.doubled() == []
    assert proxy.backends()[servers[2].address]["sessions"] == count


def test_a_killed_backend_that_comes_back_is_used_again(start, node_echo, crowd):
    one, two = node_echo(), node_echo()
    proxy = start(reroutes.config(one.address, two.address))
    people = crowd(proxy, 10, period=0.02)
    people.all_go_on()
    one.kill()
    people.all_go_on()
    node_echo(port=one.port)
    two.kill()
    reroutes.wait_sessions(proxy, one.address, 10)
    people.all_go_on()
    report = people.settle()
    assert report.at_most_once(), report
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report


def test_a_hung_backend_is_left_after_its_ping_went_unanswered(start, node_echo):
    one, two = node_echo(), node_echo()
    proxy = start(reroutes.config(one.address, two.address, route=IMPATIENT))
    clients = [wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) for _ in range(6)]
    # Only a leg that has answered a ping before is judged by one. These clients answer none.
    harness.eventually(lambda: proxy.metric("holdfast_ping_rtt_seconds_count") >= 6, what="answered pings")
    one.freeze()
    try:
        reroutes.wait_sessions(proxy, two.address, 6)
        for number, client in enumerate(clients):
            reroutes.say(client, f"after {number}")
            assert reroutes.heard(client, f"after {number}")
    finally:
        one.thaw()
    assert reroutes.reroutes(proxy, cause="lost", result="attached") == 3


def test_busy_sessions_of_a_hung_backend_lose_no_more_than_is_counted(start, node_echo, crowd, tmp_path):
    ledger = reroutes.Ledger(tmp_path / "ledger")
    one, two = (node_echo(ledger=str(ledger.file)) for _ in range(2))
    proxy = start(reroutes.config(one.address, two.address, route=IMPATIENT))
    people = crowd(proxy, 20, period=0.05, shy=True)
    harness.eventually(lambda: proxy.metric("holdfast_ping_rtt_seconds_count") >= 40, what="answers of both sides")
    people.begin()
    people.all_go_on()
    one.freeze()
    try:
        reroutes.wait_sessions(proxy, two.address, 20)
        people.all_go_on()
        report = people.settle()
    finally:
        one.thaw()
    assert report.at_most_once(), report
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report


def test_a_second_backend_that_dies_during_the_reroute_is_passed_over(start, puppet):
    dead = [puppet(fake.reset), puppet(fake.silent), puppet(fake.answer(b"HTTP/1.1 500 Oh\r\n\r\n"))]
    first, last = puppet(), puppet()
    addresses = [server.address for server in (first, *dead, last)]
    upstream = {"handshake_timeout": "200ms", "connect_timeout": "1s", "policy": "round_robin",
                "outlier": {"consecutive_failures": 0}}
    proxy = start(reroutes.config(*addresses, upstream=upstream, workers=1))
    client = wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS)
    leg, _ = reroutes.next_leg(first, last)
    reroutes.talks(client, leg)
    leg.reset()
    second, head = reroutes.next_leg(first, last)
    reroutes.talks(client, second, "on")
    assert head.one("holdfast-reroute").split(";")[0] == "1", "a failed attempt is no reroute"


def test_a_backend_that_dies_right_behind_its_101_costs_another_reroute_only(start, puppet):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet)

    def switch_and_die(stream, head):
        fake.switch(stream, head)
        there.mood = None
        stream.reset()
    there.mood = switch_and_die
    reroutes.talks(client, leg)
    leg.reset()
    reroutes.talks(client, reroutes.next_leg(here, there)[0], "on")
    assert reroutes.reroutes(proxy, cause="lost", result="attached") == 2


def test_a_session_that_kills_its_backends_is_ended(start, puppet):
    """One client's message that crashes every backend must not take them all down, one after the other."""
    servers = [puppet() for _ in range(5)]
    proxy = start(reroutes.config(*(server.address for server in servers)))
    with wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) as client:
        deaths = 0
        while deaths < 3:
            leg, _ = reroutes.next_leg(*servers)
            reroutes.say(client, f"poison {deaths}")
            assert reroutes.heard(leg, f"poison {deaths}")
            leg.reset()
            deaths += 1
        assert client.close_code() == 1011
    assert "reason=kills_backends" in proxy.access_lines(1)[0]
    assert len(reroutes.log_lines(proxy, 1, result="kills_backends")) == 1
    assert sum(server.connections for server in servers) == 3


@pytest.mark.parametrize("on", [[], ["unhealthy", "draining", "rebalance"]])
def test_without_lost_in_the_list_a_dead_backend_is_1012(start, puppet, on):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, reroute={"on": on})
    reroutes.talks(client, leg)
    leg.reset()
    assert client.close_code() == 1012
    assert "reason=backend_lost" in proxy.access_lines(1)[0]
    assert there.connections == 0


def test_each_route_has_its_own_rules_and_upstream(start, puppet):
    one, two, other = puppet(), puppet(), puppet()
    settings = harness.config_for(one.address, two.address)
    settings["upstreams"].append({"name": "other", "backends": [{"address": other.address}],
                                  "probe": {"type": "none"}})
    settings["routes"] = [{"name": "stays", "path": "/stays", "upstream": "main", "reroute": {"on": []}},
                          {"name": "other", "path": "/other", "upstream": "other"},
                          {"name": "goes", "upstream": "main"}]
    proxy = start(settings)
    clients, legs = {}, {}
    for path in ("/stays", "/other", "/goes"):
        clients[path] = wire.open_session(proxy.public, path, timeout=20 * harness.SLOWNESS)
        legs[path], head = reroutes.next_leg(one, two, other)
        assert head.start.startswith(f"GET {path} ")
    legs["/stays"].reset()
    legs["/goes"].reset()
    assert clients["/stays"].close_code() == 1012
    leg, head = reroutes.next_leg(one, two)
    assert head.start.startswith("GET /goes ")
    reroutes.talks(clients["/goes"], leg)
    reroutes.talks(clients["/other"], legs["/other"])
    assert reroutes.reroutes(proxy, upstream="other") == 0
