"""A new backend sees the session that the first one saw: same request, same choices, and who it is."""
import hashlib
import hmac
import re
import ssl
import time

import pytest

import backend as fake
import harness
import reroutes
import wire

SECRET = "a secret of sixteen bytes at least"
# What is ours, wherever it stands among the client's fields.
OWN = {"sec-websocket-key", "holdfast-reroute", "holdfast-session"}


def refuses(status):
    return fake.answer(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())


def same_fields(head):
    return [(name, value) for name, value in head.fields if name not in OWN]


def test_the_second_request_is_the_first_one_again(start, puppet):
    one, two = puppet(), puppet()
    proxy = start(reroutes.config(one.address, two.address))
    extra = [("Cookie", "session=1; b=2"), ("Authorization", "Bearer t0ken"), ("X-Twice", "a"), ("X-Twice", "b"),
             ("Origin", "https://app.test")]
    client = wire.open_session(proxy.public, "/room/7?token=abc", extra=extra, timeout=20 * harness.SLOWNESS)
    leg, first = reroutes.next_leg(one, two)
    reroutes.talks(client, leg)
    leg.reset()
    leg, second = reroutes.next_leg(one, two)
    reroutes.talks(client, leg)
    assert second.start == first.start == "GET /room/7?token=abc HTTP/1.1"
    assert same_fields(second) == same_fields(first)
    assert second.one("holdfast-session") == first.one("holdfast-session")
    assert second.one("sec-websocket-key") != first.one("sec-websocket-key")
    assert second.one("x-forwarded-for") is not None


def test_the_session_has_an_id_for_life_and_reroutes_are_counted(start, puppet):
    proxy, client, leg, head, here, there = reroutes.two_puppets(start, puppet)
    name = head.one("holdfast-session")
    assert re.fullmatch(r"[0-9a-f]{32}", name)
    assert head.one("holdfast-reroute") is None
    reroutes.talks(client, leg)
    leg.reset()
    leg, head = there.next()
    assert (head.one("holdfast-session"), head.one("holdfast-reroute")) == (name, "1; cause=lost")
    leg.send(wire.close_frame(1012, masked=False))
    leg, head = here.next()
    assert (head.one("holdfast-session"), head.one("holdfast-reroute")) == (name, "2; cause=close")
    assert reroutes.only_session(proxy)["id"] == name
    with wire.open_session(proxy.public):
        assert reroutes.next_leg(here, there)[1].one("holdfast-session") != name


def test_clients_cannot_forge_these_fields(start, puppet):
    server = puppet()
    proxy = start(reroutes.config(server.address))
    forged = [("Holdfast-Session", "0" * 32), ("holdfast-reroute", "9; cause=lost"), ("HOLDFAST-ANYTHING", "x")]
    with wire.open_session(proxy.public, extra=forged):
        _, head = server.next()
    assert re.fullmatch(r"[0-9a-f]{32}", head.one("holdfast-session"))
    assert head.one("holdfast-session") != "0" * 32
    assert [name for name, _ in head.fields if name.startswith("holdfast-")] == ["holdfast-session"]


def signed(head):
    """The number of a Holdfast-Reroute field whose signature is right."""
    number, *rest = [part.strip() for part in head.one("holdfast-reroute").split(";")]
    values = dict(part.split("=", 1) for part in rest)
    message = f"{head.one('holdfast-session')} {number} {values['time']}".encode()
    assert hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest() == values["hmac"]
    assert abs(time.time() - int(values["time"])) < 60
    return int(number), values["cause"]


def test_with_a_secret_every_handshake_is_signed(start, puppet, tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    _, client, leg, head, _, there = reroutes.two_puppets(start, puppet, {"secret_file": str(file)})
    assert signed(head) == (0, "first")
    reroutes.talks(client, leg)
    leg.reset()
    _, head = there.next()
    assert signed(head) == (1, "lost")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_final(start, puppet, status):
    """The client's token has run out meanwhile: it must come back with a fresh one."""
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    there.mood = refuses(status)
    reroutes.talks(client, leg)
    leg.reset()
    assert client.close_code() == 1012
    assert "reason=reroute_refused" in proxy.access_lines(1)[0]
    assert reroutes.reroutes(proxy, result="refused") == 1
    assert there.connections == 1


@pytest.mark.parametrize("status", [302, 404, 500, 503])
def test_other_answers_send_it_to_somebody_else(start, puppet, status):
    proxy, client, leg, _, here, there = reroutes.two_puppets(start, puppet)
    there.mood = refuses(status)
    reroutes.talks(client, leg)
    leg.reset()
    reroutes.talks(client, here.next(20)[0], "back again")
    assert reroutes.reroutes(proxy, result="attached") == 1


def test_the_subprotocol_must_be_the_same(start, puppet):
    offer = [("Sec-WebSocket-Protocol", "chat.v1, chat.v2")]
    one, two, three = (puppet(extra=[("Sec-WebSocket-Protocol", "chat.v2")]) for _ in range(3))
    proxy = start(reroutes.config(one.address, two.address, three.address))
    client = wire.open_session(proxy.public, extra=offer, timeout=20 * harness.SLOWNESS)
    assert client.answer.one("sec-websocket-protocol") == "chat.v2"
    here = reroutes.whose_turn(one, two, three)
    leg, head = here.next()
    assert head.one("sec-websocket-protocol") == "chat.v1, chat.v2"
    others = [server for server in (one, two, three) if server is not here]
    others[0].extra = ()  # chooses none: that would be another session
    leg.reset()
    leg, head = others[1].next()
    assert head.one("sec-websocket-protocol") == "chat.v2", "exactly what was agreed is offered"
    reroutes.talks(client, leg)


def test_a_session_without_a_subprotocol_offers_none_later(start, puppet):
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    reroutes.talks(client, leg)
    leg.reset()
    _, head = there.next()
    assert head.all("sec-websocket-protocol") == []
    assert head.all("sec-websocket-extensions") == []


def test_fields_of_a_later_101_do_not_reach_the_client(start, puppet):
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet)
    there.extra = [("Set-Cookie", "late=1")]
    reroutes.talks(client, leg)
    leg.reset()
    reroutes.talks(client, there.next()[0])


def test_bytes_behind_the_later_101_reach_the_client(start, puppet):
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet)

    def greet(stream, head):
        fake.switch(stream, head, then=wire.frame(wire.TEXT, b"welcome back", masked=False))
        there.legs.put((stream, head))
        there.over.wait()
    there.mood = greet
    reroutes.talks(client, leg)
    leg.reset()
    assert reroutes.heard(client, "welcome back")
    reroutes.talks(client, there.next()[0])


def test_the_preamble_is_sent_again_and_its_answers_are_swallowed(start, puppet):
    settings = {"preamble": 2, "preamble_answers": 2}
    proxy, client, leg, _, _, there = reroutes.two_puppets(start, puppet, settings)
    for text in ("login me", "subscribe news"):
        reroutes.talks(client, leg, text)
    reroutes.talks(client, leg, "something else")
    leg.reset()
    second, _ = there.next()
    reroutes.say(client, "the next one")
    for text in ("login me", "subscribe news"):
        assert reroutes.heard(second, text)
    reroutes.say(second, "welcome", masked=False)
    reroutes.say(second, "subscribed", masked=False)
    assert reroutes.heard(second, "the next one")
    reroutes.say(second, "fresh news", masked=False)
    assert reroutes.heard(client, "fresh news")
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_preamble_and_resend_are_one_set_each_message_once(start, puppet):
    settings = {"preamble": 1, "resend": {"unanswered": "64KiB"}}
    _, client, leg, _, _, there = reroutes.two_puppets(start, puppet, settings)
    reroutes.say(client, "login")  # nobody has answered it: both in the preamble and unanswered
    reroutes.say(client, "order")
    assert reroutes.heard(leg, "login") and reroutes.heard(leg, "order")
    leg.reset()
    second, _ = there.next()
    assert reroutes.heard(second, "login") and reroutes.heard(second, "order")
    reroutes.talks(client, second)


@pytest.fixture
def inside(authority):
    """A TLS context for backends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("inside.test"))
    return context


def test_tls_on_both_sides(start, echo, crowd, authority, inside, trust):
    chain, key = authority.issue("front.test", "localhost")
    servers = [echo(ssl=inside) for _ in range(2)]
    listener = {"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}}
    upstream = {"tls": {"ca": str(authority.ca), "server_name": "inside.test"}}
    proxy = start(reroutes.config(*(server.address for server in servers), listener=listener, upstream=upstream))
    people = crowd(proxy, 20, period=0.03, padding="q" * 2000, scheme="wss", ssl=trust, server_hostname="localhost")
    people.all_go_on()
    servers[0].stop()
    people.all_go_on()
    report = people.settle()
    assert report.at_most_once(), report
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report
    assert proxy.backends()[servers[1].address]["sessions"] == 20
