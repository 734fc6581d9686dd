"""Planned moves: make before break, at message boundaries; nothing is lost, doubled or closed."""
import json
import threading
import time

import pytest

import backend as fake
import harness
import reroutes
import wire

QUICK_PROBE = {"type": "http", "path": "/healthz", "interval": "50ms", "timeout": "2s", "rise": 1, "fall": 1}


@pytest.mark.parametrize("state", ["draining", "disabled"])
def test_a_backend_that_the_operator_takes_out_loses_its_sessions_and_no_message(start, node_echo, crowd, tmp_path,
                                                                                 state):
    ledger = reroutes.Ledger(tmp_path / "ledger")
    one, two = (node_echo(ledger=str(ledger.file)) for _ in range(2))
    proxy = start(reroutes.config(one.address, two.address))
    people = crowd(proxy, 40, period=0.1, eager=True)
    people.all_go_on()
    reroutes.set_state(proxy, one.address, state)
    reroutes.wait_sessions(proxy, two.address, 40)
    people.all_go_on()
    report = people.settle()
    assert report.exactly_once(), report
    assert ledger.doubled() == []
    assert reroutes.reroutes(proxy, cause=state, result="attached") == 20
    assert reroutes.lost_messages(proxy) == (0, 0)
    assert proxy.backends()[one.address]["sessions"] == 0


def test_a_move_says_1001_to_the_old_backend_and_reads_its_answers_first(start, puppet):
    """The answers of the old backend go on after the move began: they all come before the first of the new one."""
    proxy, client, old, _, here, there = reroutes.two_puppets(start, puppet)
    reroutes.say(client, "question")
    assert reroutes.heard(old, "question")
    reroutes.say(old, "answer 0", masked=False)
    assert reroutes.heard(client, "answer 0")
    reroutes.set_state(proxy, here.address, "draining")
    new, head = there.next()
    assert head.one("holdfast-reroute") == "1; cause=draining"
    assert old.close_code() == 1001
    reroutes.say(client, "for the new one")
    assert reroutes.heard(new, "for the new one")
    reroutes.say(new, "new answer", masked=False)
    for number in range(1, 20):
        reroutes.say(old, f"answer {number}", masked=False)
    old.send(wire.close_frame(1001, masked=False))
    for number in range(1, 20):
        assert reroutes.heard(client, f"answer {number}")
    assert reroutes.heard(client, "new answer")
    reroutes.talks(client, new)
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_an_old_backend_that_never_answers_the_close_is_left_after_close_timeout(start, puppet):
    proxy, client, old, _, here, there = reroutes.two_puppets(start, puppet, route={"close_timeout": "300ms"})
    reroutes.talks(client, old)
    reroutes.set_state(proxy, here.address, "draining")
    new, _ = there.next()
    reroutes.say(new, "hello", masked=False)
    assert reroutes.heard(client, "hello")
    assert old.close_code() == 1001


def test_a_client_that_reads_nothing_during_a_drain_gets_every_message(start, puppet):
    """It reads again after all times are over: close_timeout, and the 5 s after which a move need not be quiet."""
    one, two = puppet(), puppet()
    proxy = start(reroutes.config(one.address, two.address, route={"close_timeout": "300ms"}))
    client = wire.open_session(proxy.public, receive_buffer=65536, timeout=20 * harness.SLOWNESS)
    here = reroutes.whose_turn(one, two)
    old, _ = here.next()

    def talk():
        for number in range(10_000):
            reroutes.say(old, f"{number:1000}", masked=False)
        assert old.close_code() == 1001
        old.send(wire.close_frame(1001, masked=False))
        old.close()
    talking = threading.Thread(target=talk)
    talking.start()
    reroutes.set_state(proxy, here.address, "draining")
    time.sleep(7)
    for number in range(10_000):
        assert reroutes.heard(client, f"{number:1000}")
    talking.join()
    reroutes.talks(client, reroutes.next_leg(one, two)[0])
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_a_move_waits_for_the_end_of_the_clients_message(start, puppet):
    proxy, client, old, _, here, there = reroutes.two_puppets(start, puppet, {"quiet": 0})
    client.send(wire.frame(wire.TEXT, b"first ", fin=False))
    assert old.data_frame() == (wire.TEXT, False, b"first ")
    reroutes.set_state(proxy, here.address, "draining")
    harness.eventually(lambda: proxy.backends()[here.address]["state"] == "draining")
    client.send(wire.frame(wire.CONTINUATION, b"second"))
    assert old.data_frame() == (wire.CONTINUATION, True, b"second")
    assert there.connections == 0, "dialled within a message"
    reroutes.say(old, "both", masked=False)
    assert reroutes.heard(client, "both")
    new, _ = there.next()
    assert old.close_code() == 1001  # from here on the new one is written to
    reroutes.say(client, "third")
    assert reroutes.heard(new, "third")


def test_break_first_never_has_two_legs(start, puppet):
    proxy, client, old, _, here, there = reroutes.two_puppets(start, puppet, {"move": "break_first"})
    reroutes.talks(client, old)
    reroutes.set_state(proxy, here.address, "draining")
    assert old.close_code() == 1001
    assert there.connections == 0, "the new leg was there before the old one was closed"
    old.send(wire.close_frame(1001, masked=False))
    reroutes.talks(client, there.next()[0])


def test_break_first_moves_one_after_another_use_up_no_attempts(start, puppet):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet, {"move": "break_first", "attempts": 1})
    for number in range(4):
        reroutes.talks(client, leg, f"hello {number}")
        assert proxy.get(f"/sessions/{reroutes.only_session(proxy)['id']}/move", method="POST")[0] == 200
        assert leg.close_code() == 1001
        leg.send(wire.close_frame(1001, masked=False))
        leg, _ = reroutes.next_leg(here, there)
    reroutes.talks(client, leg)


def test_nowhere_to_go_means_staying(start, puppet):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet)
    for server in (there, here):
        reroutes.set_state(proxy, server.address, "draining")
    harness.eventually(lambda: proxy.metric("holdfast_sessions_stranded") == 1, what="a stranded session")
    reroutes.talks(client, leg)
    reroutes.set_state(proxy, there.address, "active")
    new, _ = there.next(30)
    assert leg.close_code() == 1001
    leg.send(wire.close_frame(1001, masked=False))
    reroutes.talks(client, new)
    harness.eventually(lambda: proxy.metric("holdfast_sessions_stranded") == 0, what="nobody stranded")


def test_without_draining_in_the_list_sessions_stay(start, puppet):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet, {"on": ["lost"]})
    reroutes.set_state(proxy, here.address, "draining")
    reroutes.talks(client, leg)
    with wire.open_session(proxy.public):
        there.next()  # new ones go elsewhere
    assert there.connections == 1
    leg.reset()
    reroutes.talks(client, there.next()[0])


class Probed:
    """A puppet whose probes pass or fail as the test says."""

    def __init__(self, puppet):
        self.well = True
        self.server = puppet(self.answer)
        self.address = self.server.address

    def answer(self, stream, head):
        if head.start.startswith("GET /healthz "):
            stream.send(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % (b"200 OK" if self.well else b"503 Ill"))
            return
        fake.switch(stream, head)
        self.server.legs.put((stream, head))
        self.server.over.wait()


def test_an_unhealthy_backend_loses_all_its_sessions_at_once(start, puppet):
    one, two = Probed(puppet), Probed(puppet)
    proxy = start(reroutes.config(one.address, two.address, upstream={"probe": QUICK_PROBE}))
    harness.eventually(lambda: all(b["health"] == "healthy" for b in proxy.backends().values()), what="healthy")
    clients = [wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) for _ in range(10)]
    legs = [one.server.next()[0] for _ in range(5)]
    assert all(two.server.next() for _ in range(5))
    one.well = False
    moved = [two.server.next() for _ in range(5)]
    assert {head.one("holdfast-reroute") for _, head in moved} == {"1; cause=unhealthy"}
    assert [leg.close_code() for leg in legs] == [1001] * 5
    reroutes.wait_sessions(proxy, two.address, 10)
    assert reroutes.reroutes(proxy, cause="unhealthy", result="attached") == 5
    # When everybody is ill, nobody moves: a leg that works is never given up for nothing.
    two.well = False
    harness.eventually(lambda: proxy.backends()[two.address]["health"] == "unhealthy", what="an unhealthy backend")
    harness.eventually(lambda: proxy.metric("holdfast_sessions_stranded") == 10, what="stranded sessions")
    for client in clients:
        client.send(wire.close_frame(1000))
        client.close()


@pytest.mark.parametrize("order", ["disabled", "unhealthy"])
def test_an_urgent_order_does_not_wait_behind_a_slow_drain(start, puppet, order):
    one, two = Probed(puppet), Probed(puppet)
    proxy = start(reroutes.config(one.address, two.address, route={"close_timeout": "300ms"},
                                  upstream={"move_rate": 1, "probe": QUICK_PROBE}))
    harness.eventually(lambda: all(b["health"] == "healthy" for b in proxy.backends().values()), what="healthy")
    reroutes.set_state(proxy, two.address, "draining")
    clients = [wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) for _ in range(40)]
    reroutes.set_state(proxy, two.address, "active")
    reroutes.set_state(proxy, one.address, "draining")
    if order == "disabled":
        reroutes.set_state(proxy, one.address, "disabled")
    else:
        one.well = False
    reroutes.wait_sessions(proxy, one.address, 0, 10)
    assert reroutes.reroutes(proxy, cause=order, result="attached") > 30
    for client in clients:
        client.close()


def test_a_session_that_may_not_move_on_request_is_refused_with_the_reason(start, puppet):
    proxy, client, leg, _, _, _ = reroutes.two_puppets(start, puppet, {"on": ["lost"]})
    status, told = proxy.get(f"/sessions/{reroutes.only_session(proxy)['id']}/move", method="POST")
    assert status == 409
    assert "can't move: reroute.on of its route lacks \"rebalance\"" in json.loads(told)["error"]
    reroutes.talks(client, leg)


def test_a_removed_backend_loses_its_sessions_and_no_message(start, node_echo, crowd):
    one, two = node_echo(), node_echo()
    proxy = start(reroutes.config(one.address, two.address))
    people = crowd(proxy, 30, period=0.1, eager=True)
    people.all_go_on()
    proxy.reload(reroutes.config(two.address))
    reroutes.wait_sessions(proxy, two.address, 30)
    people.all_go_on()
    report = people.settle()
    assert report.exactly_once(), report
    assert reroutes.reroutes(proxy, cause="removed", result="attached") == 15


def test_a_backend_that_is_removed_and_brought_back_keeps_its_sessions(start, puppet):
    """Story: only the first reload was told to the sessions; they went on leaving the backend, and counted as
    stranded for ever."""
    one, two = puppet(), puppet()

    def backends(*others, limit):
        config = reroutes.config(one.address, *others)
        config["upstreams"][0]["backends"][0]["max_sessions"] = limit
        return config
    proxy = start(backends(two.address, limit=1))
    clients = [wire.open_session(proxy.public) for _ in range(3)]
    reroutes.wait_sessions(proxy, two.address, 2)
    proxy.reload(backends(limit=1))
    harness.eventually(lambda: proxy.metric("holdfast_sessions_stranded") == 2, what="two stranded sessions")
    proxy.reload(backends(two.address, limit=1))
    harness.eventually(lambda: proxy.metric("holdfast_sessions_stranded") == 0, what="no stranded session")
    proxy.reload(backends(two.address, limit=0))  # now they could go
    time.sleep(5)  # a move that found nobody is tried again after 4 s at the latest
    assert reroutes.reroutes(proxy, cause="removed", result="attached") == 0
    assert proxy.backends()[two.address]["sessions"] == 2
    for client in clients:
        client.close()


def test_check_tells_how_many_sessions_a_reload_would_move(start, puppet, tmp_path):
    one, two = puppet(), puppet()
    proxy = start(reroutes.config(one.address, two.address))
    clients = [wire.open_session(proxy.public) for _ in range(6)]
    file = tmp_path / "next.json"
    file.write_text(json.dumps(reroutes.config(two.address)))
    told = harness.run("check", "-c", file, "--against", f"http://{proxy.admin_address}")
    assert told.returncode == 0
    assert "3 sessions would move" in told.stdout, told.stdout
    for client in clients:
        client.close()


def test_one_session_is_moved_or_closed_by_its_id(start, puppet):
    proxy, client, leg, head, _, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    entry = reroutes.only_session(proxy)
    assert entry["id"] == head.one("holdfast-session")
    assert (entry["route"], entry["upstream"], entry["state"]) == ("all", "main", "open")
    assert entry["to_backend"]["frames"] == entry["to_client"]["frames"] == 1
    assert entry["age_seconds"] >= 0
    assert proxy.get(f"/sessions/{entry['id']}/move", method="POST")[0] == 200
    second, head = there.next()
    assert head.one("holdfast-reroute") == "1; cause=requested"
    assert leg.close_code() == 1001
    leg.send(wire.close_frame(1001, masked=False))
    reroutes.talks(client, second)
    assert proxy.get(f"/sessions/{'0' * 32}/move", method="POST")[0] == 404
    assert proxy.get("/sessions/nonsense/close", method="POST")[0] == 400
    assert proxy.get(f"/sessions/{entry['id']}/close", method="POST")[0] == 200
    assert client.close_code() == 1001
    client.send(wire.close_frame(1001))
    assert second.close_code() == 1001
    second.close()
    assert "reason=closed_by_operator" in proxy.access_lines(1)[0]


def test_the_list_of_sessions_is_filtered_and_limited(start, puppet):
    server = puppet()
    proxy = start(reroutes.config(server.address))
    clients = [wire.open_session(proxy.public) for _ in range(5)]
    harness.eventually(lambda: len(reroutes.session_list(proxy)) == 5, what="five sessions")
    assert len(reroutes.session_list(proxy, limit=2)) == 2
    assert len(reroutes.session_list(proxy, upstream="main")) == 5
    assert reroutes.session_list(proxy, upstream="nobody") == []
    for client in clients:
        client.close()


def test_a_backend_that_joins_gets_its_share(start, node_echo, crowd):
    one, two, three = node_echo(), node_echo(), node_echo()
    even = {"rebalance": {"threshold": 10, "rate": 1000}}
    proxy = start(reroutes.config(one.address, two.address, upstream=even))
    people = crowd(proxy, 60, period=0.2, eager=True)
    people.all_go_on()
    proxy.reload(reroutes.config(one.address, two.address, three.address, upstream=even))

    def balanced():
        return all(backend["sessions"] <= 22 for backend in proxy.backends().values())
    harness.eventually(balanced, 30, "no backend 10 % above the mean of 20")
    people.all_go_on()
    report = people.settle()
    assert report.exactly_once(), report
    assert reroutes.reroutes(proxy, cause="rebalance", result="attached") == proxy.backends()[three.address]["sessions"] >= 16


def test_rebalance_on_request(start, node_echo, crowd):
    one, two = node_echo(), node_echo()
    proxy = start(reroutes.config(one.address))
    people = crowd(proxy, 20, period=0.2, eager=True)
    proxy.reload(reroutes.config(one.address, two.address))
    people.all_go_on()
    assert proxy.backends()[two.address]["sessions"] == 0
    status, told = proxy.get("/upstreams/main/rebalance", method="POST")
    assert status == 200, told
    harness.eventually(lambda: 9 <= proxy.backends()[two.address]["sessions"] <= 11, 30, "an even share")
    report = people.settle()
    assert report.exactly_once(), report
