"""Closes by the backend, and clients without a backend: held, served with pongs, let go in the end."""
import socket

import pytest

import backend as fake
import harness
import reroutes
import wire


@pytest.mark.parametrize("code", [1001, 1012, 1013])
def test_a_backend_that_says_it_is_going_is_left_for_another(start, puppet, code):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    reroutes.say(leg, "goodbye", masked=False)
    leg.send(wire.close_frame(code, b"restarting", masked=False))
    assert reroutes.heard(client, "goodbye")
    second, head = there.next()
    assert head.one("holdfast-reroute") == "1; cause=close"
    assert leg.close_code() == code, "the backend's Close was not answered"
    reroutes.talks(client, second)
    assert reroutes.reroutes(proxy, cause="close", result="attached") == 1
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_backends_that_say_try_again_later_at_once_are_asked_attempts_times_and_no_more(start, puppet):
    def later(stream, head):
        fake.switch(stream, head, then=wire.close_frame(1013, masked=False))
        stream.rest()
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet, {"attempts": 3})
    here.mood = there.mood = later
    leg.send(wire.close_frame(1012, masked=False))
    assert client.close_code() == 1013
    assert here.connections + there.connections == 1 + 3
    assert reroutes.reroutes(proxy, cause="close", result="attached") == 3


@pytest.mark.parametrize("code", [1000, 1011, 3001, 4000, None])
def test_every_other_close_is_the_applications_wish(start, puppet, code):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    leg.send(wire.close_frame(code, masked=False))
    assert client.close_code() == code
    client.send(wire.close_frame(code))
    assert leg.close_code() == code
    assert "reason=backend_closed" in proxy.access_lines(1)[0]
    assert there.connections == 0


def test_the_list_of_codes_can_be_changed(start, puppet):
    codes = [4321, "none"]
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet, {"close_codes": codes})
    leg.send(wire.close_frame(4321, masked=False))
    second, _ = there.next()
    reroutes.talks(client, second)
    second.send(wire.close_frame(None, masked=False))
    third, _ = here.next()
    reroutes.talks(client, third)
    third.send(wire.close_frame(1012, masked=False))
    assert client.close_code() == 1012
    assert reroutes.reroutes(proxy, cause="close", result="attached") == 2


def test_messages_written_behind_the_backends_close_are_counted(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    reroutes.say(client, "too late")
    assert reroutes.heard(leg, "too late")
    reroutes.acknowledge(leg, client)
    leg.send(wire.close_frame(1012, masked=False))
    reroutes.talks(client, there.next()[0])
    assert reroutes.lost_messages(proxy) == (0, 1)


# Story: a backend was killed within an answer of 1 MiB. The client got nothing of that, and its message was counted as
# answered.
@pytest.mark.parametrize("unit", ["frame", "message"])
@pytest.mark.parametrize("resend", ["incomplete", {"unanswered": "1MiB"}])
def test_an_answer_that_was_begun_and_kept_back_is_none(start, puppet, unit, resend):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, {"hold_unit": unit, "resend": resend})
    reroutes.say(client, "question")
    assert reroutes.heard(leg, "question")
    begun = wire.frame(wire.TEXT, b"an answer", fin=unit == "frame", masked=False)
    leg.send(begun[:-3] if unit == "frame" else begun)
    if unit == "message":  # between two fragments a pong shows that the proxy has read the first
        reroutes.acknowledge(leg, client)
    leg.reset()
    second, _ = there.next()
    if resend == "incomplete":
        reroutes.talks(client, second)
        assert reroutes.lost_messages(proxy) == (0, 1)
    else:
        assert reroutes.heard(second, "question")
        reroutes.say(second, "an answer", masked=False)
        assert reroutes.heard(client, "an answer")


def alone(start, puppet, **reroute):
    """(proxy, client, leg, puppet): a session on the only backend, whose listener then refuses everybody else."""
    server = puppet()
    proxy = start(reroutes.config(server.address, reroute=reroute))
    client = wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS)
    leg, _ = server.next()
    reroutes.talks(client, leg)
    return proxy, client, leg, server


def refuse(server):
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


def listen_again(server, script):
    """The same address, served by a new fake."""
    return fake.Backend(script, port=int(server.address.rsplit(":", 1)[1]))


def held(proxy):
    harness.eventually(lambda: reroutes.only_session(proxy)["state"] == "held", what="a held session")


def test_without_hold_a_backend_that_is_there_is_tried_all_the_same(start, puppet):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet, {"hold": 0})
    leg.reset()
    leg, _ = there.next()
    reroutes.talks(client, leg)
    reroutes.set_state(proxy, here.address, "disabled")
    leg.reset()
    assert client.close_code() == 1013


def test_nobody_eligible_holds_the_client_then_1013(start, puppet):
    proxy, client, leg, server = alone(start, puppet, hold="1s", attempts=100)
    refuse(server)
    leg.reset()
    held(proxy)
    client.send(wire.frame(wire.PING, b"still?"))
    assert client.frame() == (wire.PONG, True, b"still?")
    reroutes.say(client, "nobody will read this")
    assert client.close_code() == 1013
    assert "reason=no_backend" in proxy.access_lines(1)[0]
    assert reroutes.reroutes(proxy, cause="lost", result="no_backend") == 1
    assert reroutes.lost_messages(proxy)[0] == 1
    assert proxy.metric("holdfast_held_bytes") == 0


def test_too_many_useless_answers_end_the_hold(start, puppet):
    """Refused connections don't count, for that is what a restart looks like; answers that lead nowhere do."""
    proxy, client, leg, server = alone(start, puppet, hold="10m", attempts=2)
    server.mood = fake.answer(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
    leg.reset()
    assert client.close_code() == 1013
    assert "reason=no_backend" in proxy.access_lines(1)[0]
    assert len(server.heads) == 3


def test_a_backend_that_is_back_in_time_gets_what_was_held(start, puppet, closing):
    proxy, client, leg, server = alone(start, puppet, hold="1m", attempts=100)
    refuse(server)
    leg.reset()
    held(proxy)
    for number in range(20):
        reroutes.say(client, f"meanwhile {number}")
    harness.eventually(lambda: proxy.metric("holdfast_held_bytes") > 0, what="held bytes")
    closing.add(listen_again(server, fake.echo), lambda b: b.stop())
    for number in range(20):
        assert reroutes.heard(client, f"meanwhile {number}")
    assert reroutes.reroutes(proxy, cause="lost", result="attached") == 1
    assert reroutes.lost_messages(proxy) == (0, 0)
    harness.eventually(lambda: proxy.metric("holdfast_held_bytes") == 0, what="nothing held")


def test_a_held_client_is_paused_at_hold_bytes_and_nothing_is_lost(start, puppet, closing):
    proxy, client, leg, server = alone(start, puppet, hold="1m", attempts=100, hold_bytes="16KiB")
    refuse(server)
    leg.reset()
    held(proxy)
    before = proxy.memory_bytes()
    client.sock.settimeout(0.3)
    frame, sent = wire.frame(wire.BINARY, b"z" * 60_000), 0
    view = memoryview(frame * 700)
    with pytest.raises(TimeoutError):
        while sent < len(view):
            sent += client.sock.send(view[sent:sent + 100_000])
    # What is read at once (96 KiB at most) is kept whole.
    assert proxy.metric("holdfast_held_bytes") <= (16 + 96) * 1024
    assert proxy.memory_bytes() - before < 8 << 20, "42 MB were offered"
    closing.add(listen_again(server, fake.echo), lambda b: b.stop())
    client.sock.settimeout(20 * harness.SLOWNESS)
    whole = sent // len(frame)
    for _ in range(whole):
        assert client.data_frame() == (wire.BINARY, True, b"z" * 60_000)
    assert reroutes.lost_messages(proxy) == (0, 0)


@pytest.mark.parametrize("code", [1000, 4001, None])
def test_a_client_that_closes_while_held_gets_its_code_back(start, puppet, code):
    proxy, client, leg, server = alone(start, puppet, hold="10m", attempts=100)
    refuse(server)
    leg.reset()
    held(proxy)
    reroutes.say(client, "before I go")
    client.send(wire.close_frame(code))
    assert client.close_code() == code
    assert "reason=client_closed" in proxy.access_lines(1)[0]
    assert reroutes.lost_messages(proxy)[0] == 1


def test_a_client_that_vanishes_while_held_leaves_nothing(start, puppet):
    proxy, client, leg, server = alone(start, puppet, hold="10m", attempts=100)
    refuse(server)
    leg.reset()
    held(proxy)
    client.reset()
    harness.eventually(lambda: proxy.sessions() == 0, what="no session")
    assert "reason=client_vanished" in proxy.access_lines(1)[0]
    for gauge in ("holdfast_held_bytes", "holdfast_stored_head_bytes"):
        assert proxy.metric(gauge) == 0, gauge


def test_a_client_that_closes_during_an_attempt_still_delivers_what_was_held(start, puppet):
    """The attempt is under way: the next backend has the request and thinks. It may still get the messages."""
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    thinking = []

    def think(stream, head):
        thinking.append((stream, head))
        there.over.wait()
    there.mood = think
    reroutes.talks(client, leg)
    leg.reset()
    harness.eventually(lambda: thinking, what="an attempt")
    reroutes.say(client, "take this")
    client.send(wire.close_frame(3000))
    stream, head = thinking[0]
    fake.switch(stream, head)
    assert reroutes.heard(stream, "take this")
    assert stream.close_code() == 3000
    stream.send(wire.close_frame(3000, masked=False))
    assert client.close_code() == 3000


def test_sigterm_during_a_hold_ends_with_1001(start, puppet):
    proxy, client, leg, server = alone(start, puppet, hold="10m", attempts=100)
    refuse(server)
    leg.reset()
    held(proxy)
    proxy.terminate()
    assert client.close_code() == 1001
    client.send(wire.close_frame(1001))
    assert proxy.wait_exit() == 0
    assert "reason=drain" in proxy.access_lines(1)[0]


def test_limits_hold_for_held_clients_too(start, puppet):
    server = puppet()
    proxy = start(reroutes.config(server.address, route={"max_age": "1s"}, reroute={"hold": "10m", "attempts": 100}))
    client = wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS)
    leg, _ = server.next()
    refuse(server)
    leg.reset()
    assert client.close_code() == 1001
    client.send(wire.close_frame(1001))
    assert "reason=max_age" in proxy.access_lines(1)[0]


@pytest.mark.parametrize("reroute", [{}, {"resend": {"unanswered": "1MiB"}}, {"preamble": 100}], ids=str)
def test_what_all_sessions_keep_is_bounded(start, backend, reroute):
    """60 times 900 KB of one message, of whole messages, or of first messages: 54 MB would be worth keeping."""
    def swallow(stream, head):
        fake.switch(stream, head)
        while stream.sock.recv(1 << 20):
            pass

    config = reroutes.config(backend(swallow).address, reroute={"hold_bytes": "1MiB"} | reroute)
    proxy = start(config | {"workers": 1, "limits": {"hold_memory": "2MiB"}})
    message = wire.frame(wire.BINARY, b"x" * 9_000)
    data = message * 100 if reroute else wire.frame(wire.BINARY, b"x" * 1_000_000)[:900_000]
    clients = [wire.open_session(proxy.public) for _ in range(60)]
    for client in clients:
        client.send(data)
    to_backend = {"direction": "to_backend"}
    harness.eventually(lambda: proxy.metric("holdfast_bytes_total", **to_backend) >= 60 * 880_000, what="all bytes")
    # The last one that still found some memory left may have taken a megabyte more.
    assert proxy.metric("holdfast_held_bytes") <= (2 + 1) << 20
    assert proxy.metric("holdfast_hold_memory_spent_total") > 0
