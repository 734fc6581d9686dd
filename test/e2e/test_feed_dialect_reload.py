"""A reload that changes a feed's dialect, its source or its kind, under load."""
import json

import exchanges
import feeds
import harness
import wire

BINANCE = harness.ROOT / "conf/dialects/binance.json"


def config(market, dialect="binance", **feed):
    made = feeds.spoken(dialect, "/stream", market, **feed)
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    return made


def subscribing(*keys, number=1):
    return {"method": "SUBSCRIBE", "params": list(keys), "id": number}


def test_a_dialect_file_changes_under_load_and_clients_stay(start, source, tmp_path):
    text = "\n".join(line for line in BINANCE.read_text().splitlines() if not line.strip().startswith("//"))
    file = tmp_path / "mine.json"
    file.write_text(text)
    market = source(exchanges.Binance())
    made = config(market, str(file))
    proxy = start(made)
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(20)]
    for client in clients:
        feeds.ask(client, subscribing("a@trade"))
    market.wait(lambda: market.live() and market.live()[0].keys)
    numbers = [[] for _ in clients]
    with market.counting(rate=200, key="a@trade") as counter:
        for turn in range(4):
            changed = json.loads(text)
            changed["replies"]["error"] = {"oops": "$message", "turn": turn, "id": "$id"}
            changed["client"] = changed["client"][:5 - turn]
            file.write_text(json.dumps(changed))
            proxy.reload(made)
            harness.eventually(lambda turn=turn: len(market.connections) == turn + 2 and len(market.live()) == 1, 20)
            for n, client in enumerate(clients):
                feeds.say(client, {"method": "NO_SUCH", "id": turn})
                while True:
                    message = feeds.heard(client)
                    if "oops" in message:
                        break
                    numbers[n].append(message["data"]["n"])
                assert message["turn"] == turn and message["id"] == turn
        last = counter.last + 20
        for n, client in enumerate(clients):
            while not numbers[n] or numbers[n][-1] < last:
                numbers[n].append(feeds.heard(client)["data"]["n"])
    assert all(feeds.consecutive(each) for each in numbers)
    assert proxy.metric("holdfast_feed_subscribers", feed="ticker") == 20
    # A file that is wrong changes nothing.
    file.write_text(text.replace('"do": "subscribe"', '"do": "subscribble"'))
    proxy.reload(made, harness.RELOAD_FAILED)
    market.publish("a@trade", {"n": 0})
    for client in clients:
        while feeds.heard(client)["data"]["n"] != 0:
            pass
        client.close()


def test_a_feed_goes_from_opaque_to_a_dialect_and_back(start, source):
    market = source(exchanges.Binance())
    opaque = config(market, "opaque")
    spoken = config(market)
    proxy = start(opaque)
    for turn in range(2):
        with wire.open_session(proxy.public, "/stream") as client:
            feeds.subscribers(proxy, 1)
            market.wait_live(1)
            market.broadcast(json.dumps({"turn": turn}))
            assert feeds.heard(client) == {"turn": turn}
            proxy.reload(spoken)
            assert client.close_code() == 1012
        with wire.open_session(proxy.public, "/stream") as client:
            assert feeds.ask(client, subscribing("a@trade")) == {"result": None, "id": 1}
            market.wait(lambda: any("a@trade" in each.keys for each in market.live()))
            market.publish("a@trade", {"n": turn})
            assert feeds.heard(client)["data"] == {"n": turn}
            feeds.say(client, subscribing("b@trade", number=2))
            proxy.reload(opaque)
            assert client.close_code() == 1012
    feeds.subscribers(proxy, 0)


def test_a_feed_that_goes_ends_its_clients_and_their_questions(start, source):
    class Mute(exchanges.Binance):
        def message(self, connection, message):
            pass

    market = source(Mute())
    made = config(market)
    proxy = start(made)
    with wire.open_session(proxy.public, "/stream") as asks, wire.open_session(proxy.public, "/stream") as idle:
        feeds.say(asks, subscribing("a@trade"))
        market.wait(lambda: market.commands())
        other = {**made, "feeds": [{**made["feeds"][0], "name": "other"}]}
        other["routes"] = [{**made["routes"][0], "feed": "other"}]
        proxy.reload(other)
        assert asks.close_code() == 1012 and idle.close_code() == 1012
    with wire.open_session(proxy.public, "/stream") as client:
        assert feeds.ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1}) == {"result": [], "id": 1}
