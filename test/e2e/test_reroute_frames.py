"""Backends that die inside frames and messages, in both directions: nothing arrives that is not whole."""
import pytest

import reroutes
import wire

HEAD = 8  # bytes in front of the payload of a masked frame of 1000 bytes
CUTS = [1, 2, 3, 4, 6, 7, HEAD, HEAD + 1, 500, HEAD + 999]


def read_exactly(leg, count):
    assert len(leg.exactly(count)) == count


@pytest.mark.parametrize("cut", CUTS)
def test_a_client_message_that_was_cut_arrives_whole_at_the_next_backend(start, puppet, cut):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    frame = wire.frame(wire.TEXT, b"m" * 1000)
    client.send(frame[:cut])
    if cut >= HEAD:  # a head is passed on once it is whole
        read_exactly(leg, cut)
    leg.reset()
    second, _ = there.next()
    client.send(frame[cut:])
    assert second.data_frame() == (wire.TEXT, True, b"m" * 1000)
    reroutes.talks(client, second)
    assert reroutes.lost_messages(proxy) == (0, 0)
    assert reroutes.log_lines(proxy, 1, result="attached")


def test_a_fragmented_client_message_that_was_cut_arrives_whole(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    client.send(wire.frame(wire.TEXT, b"one ", fin=False) + wire.frame(wire.CONTINUATION, b"two ", fin=False))
    assert leg.data_frame() == (wire.TEXT, False, b"one ")
    assert leg.data_frame() == (wire.CONTINUATION, False, b"two ")
    leg.reset()
    second, _ = there.next()
    client.send(wire.frame(wire.CONTINUATION, b"three"))
    pieces = [second.data_frame()]
    while not pieces[-1][1]:
        pieces.append(second.data_frame())
    assert b"".join(payload for _, _, payload in pieces) == b"one two three"
    assert pieces[0][0] == wire.TEXT
    reroutes.talks(client, second)
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_a_client_message_that_the_dead_backend_had_is_not_sent_again_but_counted(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    reroutes.say(client, "pay 100")
    assert reroutes.heard(leg, "pay 100")
    reroutes.acknowledge(leg, client)
    leg.reset()
    second, _ = there.next()
    reroutes.talks(client, second, "what now?")
    assert reroutes.lost_messages(proxy) == (0, 1)
    line, = reroutes.log_lines(proxy, 1, result="attached")
    assert (line["unconfirmed"], line["resent"]) == ("1", "0")


def test_unanswered_messages_are_sent_again_when_that_is_wanted(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, {"resend": {"unanswered": "64KiB"}})
    reroutes.talks(client, leg)
    for number in range(5):
        reroutes.say(client, f"order {number}")
        assert reroutes.heard(leg, f"order {number}")
    leg.reset()
    second, _ = there.next()
    for number in range(5):
        assert reroutes.heard(second, f"order {number}"), "oldest first, each once"
    reroutes.talks(client, second)
    assert reroutes.lost_messages(proxy) == (0, 0)
    assert proxy.metric("holdfast_messages_resent_total") == 5


def test_a_message_is_resent_once_in_its_life_only(start, puppet):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet, {"resend": {"unanswered": "64KiB"}})
    reroutes.talks(client, leg)
    reroutes.say(client, "order")
    assert reroutes.heard(leg, "order")
    leg.reset()
    second, _ = there.next()
    assert reroutes.heard(second, "order")
    reroutes.acknowledge(second, client)
    second.reset()
    third, _ = reroutes.next_leg(here, there)
    reroutes.talks(client, third)
    assert reroutes.lost_messages(proxy) == (0, 1)


def test_a_client_message_above_hold_bytes_that_was_cut_is_swallowed_to_its_end(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, {"hold_bytes": "4KiB"})
    frame = wire.frame(wire.BINARY, b"L" * 100_000)
    client.send(frame[:50_000])
    read_exactly(leg, 50_000)
    leg.reset()
    second, _ = there.next()
    client.send(frame[50_000:])
    reroutes.talks(client, second, "the next one")
    assert reroutes.lost_messages(proxy)[0] == 1


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 999, 1003])
def test_a_frame_that_was_cut_is_never_seen(start, puppet, cut):
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    frame = wire.frame(wire.TEXT, b"t" * 1000, masked=False)
    leg.send(wire.frame(wire.TEXT, b"whole", masked=False) + frame[:cut])
    assert reroutes.heard(client, "whole")
    leg.reset()
    reroutes.talks(client, there.next()[0])


def test_a_longer_frame_that_was_cut_ends_the_connection_and_nothing_wrong_is_sent(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, {"hold_bytes": "4KiB"})
    frame = wire.frame(wire.BINARY, b"F" * 100_000, masked=False)
    leg.send(frame[:60_000])
    assert client.exactly(30_000) == frame[:30_000]
    leg.close()
    rest = client.rest()
    assert (frame[30_000:]).startswith(rest), "bytes that the backend never sent"
    line = proxy.access_lines(1)[0]
    assert "reason=cut_mid_frame" in line and "close_code=0" in line
    assert there.connections == 0


def test_a_backend_that_dies_between_fragments_is_1012(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    leg.send(wire.frame(wire.TEXT, b"beginning", fin=False, masked=False))
    assert client.data_frame() == (wire.TEXT, False, b"beginning")
    leg.reset()
    assert client.close_code() == 1012
    assert "reason=cut_mid_message" in proxy.access_lines(1)[0]
    assert there.connections == 0


def test_hold_unit_message_keeps_fragments_back_until_they_are_whole(start, puppet):
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, {"hold_unit": "message"})
    leg.send(wire.frame(wire.TEXT, b"a", fin=False, masked=False) + wire.frame(wire.CONTINUATION, b"b", masked=False))
    assert client.data_frame()[2] == b"a"
    assert client.data_frame() == (wire.CONTINUATION, True, b"b")
    leg.send(wire.frame(wire.TEXT, b"never", fin=False, masked=False))
    leg.send(wire.frame(wire.CONTINUATION, b" seen", fin=False, masked=False))
    leg.reset()
    reroutes.talks(client, there.next()[0])
    assert proxy.metric("holdfast_session_ends_total") == 0


def test_large_messages_survive_a_kill_with_hold_unit_message(start, puppet):
    """1 MiB in fragments, cut in the middle in both directions: with 2 MiB to hold, no client is closed."""
    hold = {"hold_unit": "message", "hold_bytes": "2MiB"}
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, hold)
    large = b"x" * (1 << 20)
    half = len(large) // 2
    leg.send(wire.frame(wire.BINARY, large[:half], fin=False, masked=False))
    client.send(wire.frame(wire.BINARY, large[:half], fin=False))
    assert leg.data_frame() == (wire.BINARY, False, large[:half])
    leg.reset()
    second, _ = there.next()
    client.send(wire.frame(wire.CONTINUATION, large[half:]))
    got = [second.data_frame()]
    while not got[-1][1]:
        got.append(second.data_frame())
    assert b"".join(payload for _, _, payload in got) == large
    second.send(wire.frame(wire.BINARY, large, masked=False))
    assert client.data_frame() == (wire.BINARY, True, large)
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_messages_of_a_mebibyte_under_load_survive_a_kill(start, node_echo, crowd):
    one, two = node_echo(), node_echo()
    hold = {"hold_unit": "message", "hold_bytes": "2MiB"}
    proxy = start(reroutes.config(one.address, two.address, reroute=hold))
    people = crowd(proxy, 4, period=0.3, padding="y" * (1 << 20))
    people.all_go_on()
    one.kill()
    people.all_go_on()
    report = people.settle(40)
    assert report.at_most_once(), report
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report


def test_the_clients_own_ping_is_answered_when_its_backend_is_gone(start, puppet):
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    client.send(wire.frame(wire.PING, b"are you there"))
    assert leg.frame() == (wire.PING, True, b"are you there")
    leg.reset()
    assert client.frame() == (wire.PONG, True, b"are you there")
    second, _ = there.next()
    reroutes.talks(client, second)
    client.send(wire.frame(wire.PING, b"and you"))
    assert second.frame() == (wire.PING, True, b"and you")
    second.send(wire.frame(wire.PONG, b"and you", masked=False))
    assert client.frame() == (wire.PONG, True, b"and you")


def test_what_the_backend_sent_before_it_died_arrives_first(start, puppet):
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    for number in range(50):
        reroutes.say(leg, f"last words {number}", masked=False)
    leg.close()
    for number in range(50):
        assert reroutes.heard(client, f"last words {number}")
    reroutes.talks(client, there.next()[0])
