"""A feed that speaks as Kraken does (v2): an ack per symbol, a snapshot first, a connection per depth of book."""
import json

import exchanges
import feeds
import harness
import wire


class Exchange(exchanges.Kraken):
    """Knows some symbols only; says no per symbol, as Kraken does."""
    SYMBOLS = ("BTC/USD", "ETH/USD", "ALGO/USD")

    def message(self, connection, message):
        asked = message.get("params", {})
        symbols = asked.get("symbol", [])
        wrong = [each for each in symbols if each not in self.SYMBOLS]
        for each in wrong:
            connection.say(self.timed({"error": f"Currency pair not supported {each}", "method": message["method"],
                                       "success": False, "symbol": each}, message))
        good = [each for each in symbols if each not in wrong]
        if good or message["method"] == "ping":
            super().message(connection, {**message, "params": {**asked, "symbol": good}})


def kraken(start, source, **feed):
    market = source(Exchange())
    return market, start(feeds.spoken("kraken", "/v2", market, **feed))


def asking(method, channel, *symbols, number=None, **more):
    return {"method": method, "params": {"channel": channel, "symbol": list(symbols), **more},
            **({} if number is None else {"req_id": number})}


def acks(client, count):
    """symbol -> its ack, of so many; data between them is given back, too."""
    found, data = {}, []
    while len(found) < count:
        answer = feeds.heard(client)
        if "result" in answer:
            assert answer["success"] is True and answer["time_in"].endswith("Z")
            found[answer["result"]["symbol"]] = answer
        else:
            data.append(answer)
    return found, data


def change(symbol, number, channel="ticker"):
    return {"channel": channel, "type": "update", "data": [{"symbol": symbol, "n": number}]}


def test_each_symbol_has_an_ack_and_then_a_snapshot(start, source):
    market, proxy = kraken(start, source)
    with wire.open_session(proxy.public, "/v2") as client:
        feeds.say(client, asking("subscribe", "ticker", "BTC/USD", "ETH/USD", number=7))
        found, data = acks(client, 2)
        assert set(found) == {"BTC/USD", "ETH/USD"}
        assert found["BTC/USD"]["req_id"] == 7 and found["BTC/USD"]["method"] == "subscribe"
        assert found["BTC/USD"]["result"] == {"channel": "ticker", "snapshot": True, "symbol": "BTC/USD"}
        while len(data) < 2:
            data.append(feeds.heard(client))
        assert sorted((each["type"], each["data"][0]["symbol"]) for each in data) == \
            [("snapshot", "BTC/USD"), ("snapshot", "ETH/USD")]
        market.publish("ticker|ETH/USD", change("ETH/USD", 1))
        assert feeds.heard(client)["data"][0] == {"symbol": "ETH/USD", "n": 1}
        feeds.say(client, asking("unsubscribe", "ticker", "BTC/USD", "ETH/USD"))
        found, _ = acks(client, 2)
        assert "req_id" not in found["ETH/USD"]
        market.wait(lambda: market.unsubscribes("ticker|BTC/USD") == 1 or not market.live())


def test_an_error_is_for_its_symbol_alone(start, source):
    market, proxy = kraken(start, source)
    with wire.open_session(proxy.public, "/v2") as one, wire.open_session(proxy.public, "/v2") as two:
        feeds.say(one, asking("subscribe", "trade", "BTC/USD", "NO/SUCH", "ETH/USD", number=1))
        feeds.say(two, asking("subscribe", "trade", "ALGO/USD", "BTC/USD", number=2))
        answers = []
        while len(answers) < 3:
            answer = feeds.heard(one)
            if "success" in answer:
                answers.append(answer)
        (error,) = [each for each in answers if not each["success"]]
        assert error["req_id"] == 1 and "NO/SUCH" in error["error"]
        assert (error["method"], error["symbol"]) == ("subscribe", "NO/SUCH")
        assert sorted(each["result"]["symbol"] for each in answers if each["success"]) == ["BTC/USD", "ETH/USD"]
        assert set(acks(two, 2)[0]) == {"ALGO/USD", "BTC/USD"}
        harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 3)
        assert market.subscribes("trade|BTC/USD") == 1


def test_each_depth_of_book_has_a_connection_of_its_own(start, source):
    market, proxy = kraken(start, source)
    with wire.open_session(proxy.public, "/v2") as shallow, wire.open_session(proxy.public, "/v2") as deep:
        feeds.say(shallow, asking("subscribe", "book", "BTC/USD", number=1))
        feeds.say(deep, asking("subscribe", "book", "BTC/USD", depth=100))
        for client, depth in ((shallow, 10), (deep, 100)):
            found, data = acks(client, 1)
            assert found["BTC/USD"]["result"] == {"channel": "book", "depth": depth, "snapshot": True, "symbol": "BTC/USD"}
            assert (data or [feeds.heard(client)])[0]["type"] == "snapshot"
        assert len(market.wait_live(2)) == 2
        for each in market.live():
            (command,) = [json.loads(text) for text in each.commands if '"subscribe"' in text]
            each.data("book|BTC/USD", change("BTC/USD", command["params"]["depth"], channel="book"))
        assert feeds.heard(shallow)["data"][0]["n"] == 10
        assert feeds.heard(deep)["data"][0]["n"] == 100
        feeds.say(deep, asking("unsubscribe", "book", "BTC/USD", depth=100))
        assert acks(deep, 1)[0]["BTC/USD"]["result"] == {"channel": "book", "depth": 100, "symbol": "BTC/USD"}
        market.wait_live(1)  # after the linger
        market.publish("book|BTC/USD", change("BTC/USD", 2, channel="book"))
        assert feeds.heard(shallow)["data"][0]["n"] == 2
        feeds.quiet(deep)


def test_a_late_joiner_gets_the_snapshot_and_all_updates_behind_it(start, source):
    market, proxy = kraken(start, source)
    with wire.open_session(proxy.public, "/v2") as first, wire.open_session(proxy.public, "/v2") as late:
        feeds.say(first, asking("subscribe", "book", "BTC/USD"))
        _, data = acks(first, 1)
        assert (data or [feeds.heard(first)])[0]["type"] == "snapshot"
        for n in range(10):
            market.publish("book|BTC/USD", change("BTC/USD", n, channel="book"))
            assert feeds.heard(first)["data"][0]["n"] == n
        feeds.say(late, asking("subscribe", "book", "BTC/USD"))
        acks(late, 1)
        assert feeds.heard(late)["type"] == "snapshot"
        assert [feeds.heard(late)["data"][0]["n"] for _ in range(10)] == list(range(10))
        market.publish("book|BTC/USD", change("BTC/USD", 10, channel="book"))
        for client in (first, late):
            assert feeds.heard(client)["data"][0]["n"] == 10
            feeds.quiet(client)
        assert market.subscribes("book|BTC/USD") == 1


def test_pings_are_answered_here_and_the_source_gets_its_own(start, source):
    market = source(Exchange())
    proxy = start(feeds.spoken("kraken", "/v2", market, source={"ping": {"interval": "1s", "timeout": "2s"}}))
    with wire.open_session(proxy.public, "/v2") as client:
        pong = feeds.ask(client, {"method": "ping", "req_id": 101})
        assert (pong["method"], pong["req_id"]) == ("pong", 101)
        feeds.say(client, asking("subscribe", "ticker", "BTC/USD"))
        acks(client, 1)
        market.wait(lambda: sum('"ping"' in text for text in market.commands()) >= 2)
        assert market.live()[0].pings == 0 and len(market.connections) == 1
        assert all('"req_id":' in text for text in market.commands())


def test_an_ack_that_comes_twice_is_nothing_new(start, source):
    class Stammering(Exchange):
        def message(self, connection, message):
            if message["method"] != "subscribe":
                return super().message(connection, message)
            for symbol in message["params"]["symbol"]:
                ack = self.timed({"method": "subscribe", "success": True,
                                  "result": {"channel": "ticker", "symbol": symbol}}, message)
                error = self.timed({"error": "Currency pair not supported ETH/USD", "method": "subscribe",
                                    "success": False, "symbol": symbol}, message)
                for _ in range(2):
                    connection.say(ack if symbol == "BTC/USD" else error)
            return None

    market = source(Stammering())
    proxy = start(feeds.spoken("kraken", "/v2", market))
    with wire.open_session(proxy.public, "/v2") as client:
        feeds.say(client, asking("subscribe", "ticker", "BTC/USD", "ETH/USD", number=1))
        answers = [feeds.heard(client) for _ in range(2)]
        assert sorted(each.get("symbol") or each["result"]["symbol"] for each in answers) == ["BTC/USD", "ETH/USD"]
        (refused,) = [each for each in answers if not each["success"]]
        assert refused["symbol"] == "ETH/USD"
        feeds.quiet(client)
