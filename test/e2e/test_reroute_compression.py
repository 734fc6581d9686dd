"""permessage-deflate and a change of backends: what is agreed, and that nobody meets a window that it lacks."""
import threading
import zlib

import pytest

import harness
import peers
import reroutes
import wire

OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-unknown; a=1")]
RSV1 = 4
TEXT = b"compressible compressible compressible"


def parameters(text):
    """Of the only extension in a field: its name and its sorted parameters."""
    name, *rest = [part.strip() for part in text.split(";")]
    return [name, *sorted(rest)]


def compressed(text):
    """The payload of a message from a compressor without history."""
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(text) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


def expanded(payload):
    """What a decompressor without history makes of it."""
    return zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff")


def agrees(text):
    return [("Sec-WebSocket-Extensions", text)]


def open_with_offer(start, puppet, answers, reroute=None, offer=OFFER):
    """(proxy, client, leg, head, other puppets): a session whose backends answer with these extensions, in turn."""
    servers = [puppet() for _ in range(max(2, len(answers)))]
    for server in servers:
        server.extra = agrees(answers[0]) if answers[0] else ()
    proxy = start(reroutes.config(*(server.address for server in servers), reroute=reroute, workers=1))
    client = wire.open_session(proxy.public, extra=offer, timeout=20 * harness.SLOWNESS)
    here = reroutes.whose_turn(*servers)
    others = [server for server in servers if server is not here]
    for server, answer in zip(others, answers[1:]):
        server.extra = agrees(answer) if answer else ()
    return proxy, client, *here.next(), others


@pytest.mark.parametrize("answer", ["permessage-deflate", "permessage-deflate; client_no_context_takeover"])
def test_pin_lets_the_client_keep_no_context(start, puppet, answer):
    _, client, leg, head, others = open_with_offer(start, puppet, [answer, answer])
    assert parameters(head.one("sec-websocket-extensions")) == \
        ["permessage-deflate", "client_max_window_bits", "client_no_context_takeover"]
    assert parameters(client.answer.one("sec-websocket-extensions")) == \
        ["permessage-deflate", "client_no_context_takeover"]
    client.send(wire.frame(wire.TEXT, compressed(TEXT), reserved=RSV1))
    assert expanded(leg.data_frame()[2]) == TEXT
    leg.reset()
    leg, head = reroutes.next_leg(*others)
    assert "client_no_context_takeover" in head.one("sec-websocket-extensions")
    client.send(wire.frame(wire.TEXT, compressed(TEXT), reserved=RSV1))
    assert expanded(leg.data_frame()[2]) == TEXT


def test_swallowed_answers_need_a_backend_without_context(start, puppet):
    full = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
    settings = {"preamble": 1, "preamble_answers": 1}
    _, client, _, head, _ = open_with_offer(start, puppet, [full], settings)
    for text in (head.one("sec-websocket-extensions"), client.answer.one("sec-websocket-extensions")):
        assert {"client_no_context_takeover", "server_no_context_takeover"} <= set(parameters(text))


def test_strip_offers_and_agrees_nothing(start, puppet):
    _, client, leg, head, others = open_with_offer(start, puppet, [None], {"compression": "strip"})
    assert head.all("sec-websocket-extensions") == []
    assert client.answer.all("sec-websocket-extensions") == []
    reroutes.talks(client, leg)
    leg.reset()
    reroutes.talks(client, reroutes.next_leg(*others)[0])


def test_pass_can_be_rerouted_until_the_client_has_compressed_something(start, puppet):
    proxy, client, leg, head, others = open_with_offer(start, puppet, ["permessage-deflate"], {"compression": "pass"})
    assert head.one("sec-websocket-extensions") == OFFER[0][1]
    assert client.answer.one("sec-websocket-extensions") == "permessage-deflate"
    reroutes.talks(client, leg, "uncompressed")
    leg.reset()
    leg, _ = reroutes.next_leg(*others)
    client.send(wire.frame(wire.TEXT, compressed(TEXT), reserved=RSV1))
    assert leg.data_frame()[0] == wire.TEXT
    leg.reset()
    assert client.close_code() == 1012
    assert "reason=backend_lost" in proxy.access_lines(1)[0]


def test_pass_without_context_takeover_can_always_be_rerouted(start, puppet):
    offer = agrees("permessage-deflate; client_no_context_takeover")
    answer = "permessage-deflate; client_no_context_takeover"
    _, client, leg, _, others = open_with_offer(start, puppet, [answer], {"compression": "pass"}, offer)
    client.send(wire.frame(wire.TEXT, compressed(TEXT), reserved=RSV1))
    assert leg.data_frame()[0] == wire.TEXT
    leg.reset()
    reroutes.talks(client, reroutes.next_leg(*others)[0])


@pytest.mark.parametrize("misfit", [
    None,                                                            # no compression at all
    "permessage-deflate; client_no_context_takeover",                # a larger server window than agreed
    "permessage-deflate; client_no_context_takeover; server_max_window_bits=11"])
def test_a_later_agreement_that_the_client_cannot_live_with_is_no_agreement(start, puppet, misfit):
    offer = agrees("permessage-deflate; server_max_window_bits=10")
    first = "permessage-deflate; client_no_context_takeover; server_max_window_bits=10"
    later = "permessage-deflate; client_no_context_takeover; server_max_window_bits=9"
    proxy, client, leg, _, others = open_with_offer(start, puppet, [first, misfit, later], offer=offer)
    leg.reset()
    second, head = others[1].next()
    assert parameters(head.one("sec-websocket-extensions")) == parameters(first)
    reroutes.talks(client, second)
    assert reroutes.reroutes(proxy, result="attached") == 1


KINDS = {"node": lambda node, _: node(deflate=True), "python": lambda _, echo: echo(compression="deflate")}


@pytest.mark.parametrize("first, second", [("node", "node"), ("python", "python"), ("node", "python"),
                                           ("python", "node")])
def test_compressed_traffic_of_real_peers_survives_its_backend(start, node_echo, echo, crowd, first, second):
    servers = [KINDS[kind](node_echo, echo) for kind in (first, second)]
    proxy = start(reroutes.config(*(server.address for server in servers)))
    people = crowd(proxy, 20, period=0.03, padding="compressible " * 200, compression="deflate")
    extensions = [talker.connection.extensions for talker in people.talkers]
    assert all(len(each) == 1 for each in extensions), "compression was not agreed"
    people.all_go_on()
    servers[0].stop()
    people.all_go_on()
    report = people.settle()
    assert report.at_most_once(), report
    assert report.lost <= sum(reroutes.lost_messages(proxy)), report
    assert proxy.backends()[servers[1].address]["sessions"] == 20


def test_an_npm_client_compresses_across_moves(start, node_echo):
    one, two = node_echo(deflate=True), node_echo(deflate=True)
    proxy = start(reroutes.config(one.address, two.address, reroute={"quiet": 0}))
    steps = [{"echo": kind, "size": size} for _ in range(400) for kind, size in (("text", 3000), ("binary", 700))]
    outcome = {}

    def client():
        outcome.update(peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "deflate": True,
                                                    "steps": [*steps, {"close": 1000}]}))
    thread = threading.Thread(target=client)
    thread.start()
    try:
        for leaving, staying in ((one, two), (two, one)):
            harness.eventually(lambda: proxy.metric("holdfast_messages_total", direction="to_client") > 20)
            reroutes.set_state(proxy, staying.address, "active")
            reroutes.set_state(proxy, leaving.address, "draining")
            harness.eventually(lambda a=leaving.address: proxy.backends()[a]["sessions"] == 0, what="the move")
    finally:
        thread.join(60)
    assert outcome["closed"]["code"] == 1000
    assert "permessage-deflate" in outcome["extensions"]
