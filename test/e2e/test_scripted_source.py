"""The scripted source (test/fake/source.py) itself: tests of feeds believe what it says and records."""
import json

import pytest

import exchanges
import harness
import source as sources
import wire

LIMIT = sources.Limits


def client(source, path="/", **options):
    """Once the source knows it: a broadcast may come at once."""
    known = len(source.connections)
    stream = wire.open_session(source.address, path, **options)
    source.wait(lambda: len(source.connections) > known)
    return stream


def say(stream, message):
    stream.send(wire.frame(wire.TEXT, json.dumps(message).encode()))


def heard(stream):
    return json.loads(stream.data_frame()[2])


def test_binance_acks_then_sends_what_was_asked_for_combined_or_raw(source):
    market = source(exchanges.Binance())
    with client(market, "/stream") as combined, client(market, "/ws/btcusdt@trade") as raw:
        say(combined, {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@trade"], "id": 1})
        assert heard(combined) == {"result": None, "id": 1}
        market.publish("ethusdt@trade", {"e": "trade", "s": "ETHUSDT"})
        market.publish("btcusdt@trade", {"e": "trade", "s": "BTCUSDT"})
        assert heard(combined) == {"stream": "ethusdt@trade", "data": {"e": "trade", "s": "ETHUSDT"}}
        assert heard(raw) == {"e": "trade", "s": "BTCUSDT"}
        say(combined, {"method": "UNSUBSCRIBE", "params": ["ethusdt@trade"], "id": 2})
        heard(combined), heard(combined)
        say(combined, {"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert heard(combined) == {"result": ["btcusdt@trade"], "id": 3}
        say(combined, {"method": "BUY", "id": 4})
        answer = heard(combined)
        assert (answer["id"], answer["error"]["code"]) == (4, 2)
    assert (market.subscribes("btcusdt@trade"), market.unsubscribes("ethusdt@trade")) == (1, 1)
    assert market.subscribes("nobody@trade") == 0


def test_coinbase_answers_with_the_whole_set_and_begins_a_book_with_its_snapshot(source):
    market = source(exchanges.Coinbase(), LIMIT(subscribe_within=5))
    with client(market) as peer:
        say(peer, {"type": "subscribe", "product_ids": ["ETH-USD"], "channels": [
            "level2", {"name": "ticker", "product_ids": ["BTC-USD"]}]})
        assert heard(peer) == {"type": "subscriptions", "channels": [
            {"name": "level2", "product_ids": ["ETH-USD"]}, {"name": "ticker", "product_ids": ["BTC-USD"]}]}
        snapshot = heard(peer)
        assert (snapshot["type"], snapshot["product_id"]) == ("snapshot", "ETH-USD")
        market.publish("ticker|BTC-USD", {"type": "ticker", "product_id": "BTC-USD", "sequence": 7})
        assert heard(peer)["sequence"] == 7
        say(peer, {"type": "unsubscribe", "channels": ["level2"]})
        assert heard(peer)["channels"] == [{"name": "ticker", "product_ids": ["BTC-USD"]}]
        say(peer, {"type": "subscribe", "product_ids": ["DOG-USD"], "channels": ["ticker"]})
        assert heard(peer)["type"] == "error"


def test_kraken_acks_each_symbol_then_sends_its_snapshots(source):
    market = source(exchanges.Kraken())
    with client(market) as peer:
        assert heard(peer)["channel"] == "status"
        say(peer, {"method": "subscribe", "req_id": 9,
                   "params": {"channel": "book", "symbol": ["ALGO/USD", "MATIC/USD"], "depth": 10}})
        acks = [heard(peer), heard(peer)]
        assert [(ack["result"]["symbol"], ack["req_id"], ack["success"]) for ack in acks] == [
            ("ALGO/USD", 9, True), ("MATIC/USD", 9, True)]
        assert [heard(peer)["type"], heard(peer)["type"]] == ["snapshot", "snapshot"]


def test_ethereum_gives_each_subscription_an_id_and_each_call_its_answer(source):
    node = source(exchanges.Ethereum({"eth_getBalance": lambda params: hex(len(params[0]))}))
    with client(node) as peer:
        for number in (1, 2):
            say(peer, {"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": ["newHeads"]})
        ids = [heard(peer)["result"], heard(peer)["result"]]
        assert ids[0] != ids[1]
        node.publish(exchanges.Ethereum.key(["newHeads"]), {"number": "0x1"})
        assert [heard(peer)["params"]["subscription"], heard(peer)["params"]["subscription"]] == ids
        say(peer, {"jsonrpc": "2.0", "id": "x", "method": "eth_getBalance", "params": ["0xabc", "latest"]})
        assert heard(peer) == {"jsonrpc": "2.0", "id": "x", "result": "0x5"}
        say(peer, {"jsonrpc": "2.0", "id": 3, "method": "eth_unsubscribe", "params": [ids[0]]})
        assert heard(peer)["result"] is True
        say(peer, {"jsonrpc": "2.0", "id": 4, "method": "eth_mine", "params": []})
        assert heard(peer)["error"]["code"] == -32601


def test_the_sixth_message_of_a_second_ends_the_connection_and_pongs_count(source):
    market = source(exchanges.Binance(), LIMIT(messages_per_second=5))
    with client(market, "/ws") as peer:
        for _ in range(5):
            peer.send(wire.frame(wire.PONG))
        market.wait(lambda: market.connections[0].pongs == 5)
        assert market.violations == []
        peer.send(wire.frame(wire.PING, b"one too many"))
        assert peer.close_code() == 1008
    assert market.violations == ["messages per second"]


def test_streams_connects_age_and_a_subscription_in_time_are_limited(source):
    market = source(exchanges.Binance(), LIMIT(streams_per_connection=2, connects=3, connects_window=60,
                                               maximum_age=0.3))
    with client(market, "/ws") as peer:
        say(peer, {"method": "SUBSCRIBE", "params": ["a", "b", "c"], "id": 1})
        assert peer.close_code() == 1008
    with client(market, "/ws/a") as peer:
        assert peer.close_code() == 1001  # old age
    client(market, "/ws").close()
    with pytest.raises(AssertionError, match="429"):
        client(market, "/ws")
    assert market.violations == ["streams per connection", "connects"]
    hasty = source(exchanges.Coinbase(), LIMIT(subscribe_within=0.2))
    with client(hasty) as peer:
        assert peer.close_code() == 1008
    assert hasty.violations == ["subscribe within"]


def test_only_a_pong_with_the_pings_payload_keeps_a_connection(source):
    market = source(limits=LIMIT(ping_every=0.05, pong_within=0.3))
    with client(market) as polite, client(market) as rude:
        rude.send(wire.frame(wire.PONG, b"something else"))
        for _ in range(15):
            opcode, _, payload = polite.frame()
            assert opcode == wire.PING
            polite.send(wire.frame(wire.PONG, payload))
        assert rude.close_code() == 1008
        assert len(market.wait_live(1)) == 1


def test_what_it_says_can_be_fragmented_deflated_doubled_swapped_and_nonsense(source):
    market = source(deflate=True)
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")]
    with client(market) as plain, client(market, extra=offer) as packed:
        market.mood.fragments = 3
        market.broadcast("abcdefg")
        assert [plain.frame() for _ in range(3)] == [
            (wire.TEXT, False, b"abc"), (wire.CONTINUATION, False, b"def"), (wire.CONTINUATION, True, b"g")]
        pieces = b"".join(packed.frame()[2] for _ in range(3))
        assert sources.inflated(pieces) == b"abcdefg"
        market.mood = sources.Mood(duplicate=True)
        market.broadcast("twice")
        assert [plain.frame()[2], plain.frame()[2]] == [b"twice", b"twice"]
        market.mood = sources.Mood(reorder=True)
        market.broadcast("1")
        market.broadcast("2")
        assert [plain.frame()[2], plain.frame()[2]] == [b"2", b"1"]
        market.garbage()
        assert len(plain.rest()) == 301


def test_it_counts_is_silent_dies_and_comes_back_on_its_port(source):
    market = source()
    with client(market) as peer:
        with market.counting(rate=200) as counter:
            assert [heard(peer)["n"] for _ in range(20)] == list(range(1, 21))
            market.silent = True
            said = counter.last
            harness.eventually(lambda: counter.last > said + 5)
        market.silent = False
        market.kill()
        peer.rest()
    with pytest.raises(ConnectionRefusedError):
        client(market)
    market.come_back()
    with client(market) as peer:
        market.wait_live(1)
        market.broadcast("again")
        assert peer.data_frame()[2] == b"again"
    assert len(market.connections) == 2
