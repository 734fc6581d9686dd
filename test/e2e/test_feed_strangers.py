"""Clients and sources of a feed with a dialect that do as they like: the others are served, nothing stays behind."""
import json
import random
import time

import pytest

import exchanges
import feeds
import harness
import source as sources
import wire


def binance(start, source, dialect=None, of_source=None, **feed):
    market = source(dialect or exchanges.Binance())
    made = feeds.spoken("binance", "/stream", market, source=of_source, **feed)
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    return market, start(made)


def subscribing(*keys, number=1):
    return {"method": "SUBSCRIBE", "params": list(keys), "id": number}


def works(market, proxy, key="a@trade"):
    """A client that behaves is served."""
    with wire.open_session(proxy.public, "/stream") as client:
        assert feeds.ask(client, subscribing(key, number="fine")) == {"result": None, "id": "fine"}
        market.wait(lambda: any(key in each.keys for each in market.live()))
        market.publish(key, {"n": 1})
        assert feeds.heard(client) == {"stream": key, "data": {"n": 1}}


DEEP = '{"method":' + '[' * 5000 + ']' * 5000 + '}'
NONSENSE = [
    "", "{", "nul", "[]", "17", '"SUBSCRIBE"', "{}", DEEP, '{"method":"SUBSCRIBE","method":"UNSUBSCRIBE"}',
    '{"Method":"SUBSCRIBE","params":["a@trade"]}', '{"method":"NO_SUCH","id":1}', '{"method":null}',
    '{"method":"SUBSCRIBE"}', '{"method":"SUBSCRIBE","params":[]}', '{"method":"SUBSCRIBE","params":"a@trade","id":[]}',
    '{"method":"SUBSCRIBE","params":[null,{},[]],"id":1}', '{"method":"SUBSCRIBE","params":["\\u0000"],"id":1}',
    '{"method":"SUBSCRIBE","params":["' + "x" * 1000 + '"],"id":1}',
    '{"method":"SUBSCRIBE","params":["a"],"id":' + "9" * 500 + "}",
    '{"method":"SUBSCRIBE","params":["a"],"id":{"a":1}}', '{"method":"SET_PROPERTY","params":["combined"],"id":1}',
    json.dumps(subscribing(*(f"k{n}" for n in range(1025)))), json.dumps({"method": "SUBSCRIBE", "pad": "x" * 70_000}),
    '{"method":"SUBSCRIBE","params":["a@trade"],"id":1e999}', '{"id":1,"params":["a@trade"]}']


def test_nonsense_of_a_client_is_answered_and_nothing_of_it_reaches_the_source(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/stream") as client:
        for text in NONSENSE:
            answer = feeds.ask(client, text)
            assert set(answer) == {"error", "id"} and answer["error"]["code"] in (2, 3), (text[:80], answer)
        client.send(wire.frame(wire.BINARY, json.dumps(subscribing("a@trade")).encode()))
        client.send(wire.frame(wire.BINARY, bytes(range(256))))
        feeds.say(client, {"method": "LIST_SUBSCRIPTIONS", "id": 99})
        answers = [feeds.heard(client)]
        while answers[-1]["id"] != 99:
            answers.append(feeds.heard(client))
        assert "error" not in answers[-1]
        generator = random.Random(5)
        for _ in range(300):
            text = list(json.dumps(subscribing("a@trade", "b@trade")))
            for _ in range(3):
                text[generator.randrange(len(text))] = generator.choice('{}[]",:\\0')
            feeds.say(client, "".join(text))
        feeds.say(client, {"method": "LIST_SUBSCRIPTIONS", "id": "the end"})
        while feeds.heard(client)["id"] != "the end":
            pass
    market.wait(lambda: all(isinstance(json.loads(text), dict) for text in market.commands()))
    works(market, proxy)
    with wire.open_session(proxy.public, "/stream") as client:
        client.send(wire.frame(wire.TEXT, b"\xff\xfe"))
        assert client.close_code() == 1002
    with wire.connect(proxy.public) as client:
        client.send(wire.request("/stream?streams=" + "x" * 100))
        assert client.head().status == 400


def test_ten_thousand_channels_of_a_client_are_answered_soon_and_leave_nothing(start, source, tmp_path):
    made = json.loads("\n".join(line for line in (harness.ROOT / "conf/dialects/binance.json").read_text().splitlines()
                                if not line.strip().startswith("//")))
    made["limits"] = {"message": 1 << 20, "keys_per_message": 10_000, "keys_per_client": 10_000}
    file = tmp_path / "many.json"
    file.write_text(json.dumps(made))
    market = source(exchanges.Binance())
    config = feeds.spoken(str(file), "/stream", market, max_channels=20_000)
    config["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    proxy = start(config)
    keys = [f"s{n}" for n in range(10_000)]
    begun = time.monotonic()
    with wire.open_session(proxy.public, "/stream", timeout=60) as client:
        assert feeds.ask(client, subscribing(*keys)) == {"result": None, "id": 1}
        for n in range(200):
            assert feeds.ask(client, subscribing(*keys[:50], number=n))["id"] == n
        assert len(feeds.ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 2})["result"]) == 10_000
        market.publish("s9999", {"n": 1})
        assert feeds.heard(client)["stream"] == "s9999"
        assert "error" in feeds.ask(client, subscribing("one more", number=3))
        assert feeds.ask(client, {"method": "UNSUBSCRIBE", "params": keys[:5000], "id": 4})["id"] == 4
        market.wait(lambda: market.unsubscribes("s0") == 1)
    took = time.monotonic() - begun
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0, 20)
    assert proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 0
    assert took < 20 * harness.SLOWNESS
    assert all(market.subscribes(key) == 1 for key in ("s0", "s5000", "s9999"))


def test_a_client_that_asks_and_never_reads_costs_little_and_harms_nobody(start, source):
    market, proxy = binance(start, source, max_channels_per_client=1000)
    keys = [f"s{n}@trade" for n in range(900)]
    with wire.open_session(proxy.public, "/stream", receive_buffer=4096) as greedy:
        assert "result" in feeds.ask(greedy, subscribing(*keys))
        before = proxy.memory_bytes()
        greedy.sock.settimeout(0.5)
        asked = 0
        try:
            for _ in range(20_000):
                feeds.say(greedy, {"method": "LIST_SUBSCRIPTIONS", "id": 1})
                asked += 1
        except (TimeoutError, ConnectionError):
            pass  # it is not read any more, or was ended
        assert proxy.memory_bytes() - before < (16 if harness.SLOWNESS == 1 else 100) << 20
        works(market, proxy)
    feeds.subscribers(proxy, 0)


def test_a_client_that_floods_while_the_source_is_mute_is_bounded(start, source):
    class Mute(exchanges.Binance):
        def message(self, connection, message):
            pass

    market, proxy = binance(start, source, dialect=Mute(), request_timeout="3s", max_channels_per_client=1000)
    before = proxy.memory_bytes()
    with wire.open_session(proxy.public, "/stream", timeout=30) as client:
        keys = [f"{'x' * 50}{n}" for n in range(900)]
        for number in range(1500):
            feeds.say(client, subscribing(*keys, number=number))
        if harness.SLOWNESS == 1:  # sanitizers keep freed memory a while
            assert proxy.memory_bytes() - before < 24 << 20
        answers = [feeds.heard(client) for _ in range(1500)]
        assert sorted(answer["id"] for answer in answers) == list(range(1500))
        assert all("error" in answer for answer in answers)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)


def test_many_clients_with_a_channel_each_are_served(start, source, followers):
    market, proxy = binance(start, source, of_source={"limits": {"messages_per_second": 100}}, max_channels=5000)
    crowd = [wire.open_session(proxy.public, "/stream") for _ in range(2000)]
    for n, client in enumerate(crowd):
        feeds.say(client, subscribing(f"s{n}@trade", "all@trade", number=n))
    for n, client in enumerate(crowd):
        assert feeds.heard(client) == {"result": None, "id": n}
    market.publish("all@trade", {"n": 1})
    market.publish("s1234@trade", {"n": 2})
    for client in crowd:
        assert feeds.heard(client)["data"] == {"n": 1}
    assert feeds.heard(crowd[1234])["data"] == {"n": 2}
    for client in crowd:
        client.reset()
    feeds.subscribers(proxy, 0)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0, 20)
    assert proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 0


def test_one_client_does_not_get_all_channels_of_a_feed(start, source):
    market, proxy = binance(start, source, max_channels=8)
    with wire.open_session(proxy.public, "/stream") as greedy, wire.open_session(proxy.public, "/stream") as other:
        assert "result" in feeds.ask(greedy, subscribing("a", "b", "c"))
        error = feeds.ask(greedy, subscribing("c", "d", "e", number=2))  # c is no further one
        assert error["id"] == 2 and error["error"]["msg"] == "a client must not have more than 4 channels"
        assert proxy.metric("holdfast_feed_channel_refusals_total", feed="ticker") == 2
        assert "result" in feeds.ask(greedy, subscribing("c", "d", number=3))
        assert "error" in feeds.ask(greedy, subscribing("e", number=4))
        assert "result" in feeds.ask(other, subscribing("w", "x", "y", "z"))
        # Who leaves one may have another one.
        assert "result" in feeds.ask(greedy, {"method": "UNSUBSCRIBE", "params": ["a"], "id": 5})
        assert "result" in feeds.ask(greedy, subscribing("x", number=6))
        told = proxy.status()["feeds"][0]
        assert (told["max_channels_per_client"], told["channel_refusals_total"]) == (4, 3)
    with wire.connect(proxy.public) as client:
        client.send(wire.request("/stream?streams=a/b/c/d/e"))
        assert client.head().status == 400


def test_a_lower_limit_of_a_reload_takes_nothing_away(start, source):
    market = source(exchanges.Binance())
    made = feeds.spoken("binance", "/stream", market, max_channels_per_client=3)
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    proxy = start(made)
    with wire.open_session(proxy.public, "/stream") as client:
        assert "result" in feeds.ask(client, subscribing("a", "b", "c"))
        made["feeds"][0]["max_channels_per_client"] = 2
        proxy.reload(made)
        assert "result" in feeds.ask(client, subscribing("a", number=2))
        assert "error" in feeds.ask(client, subscribing("d", number=3))
        assert sorted(feeds.ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 4})["result"]) == ["a", "b", "c"]


def test_more_channels_than_the_feed_may_have_are_refused_and_free_again_later(start, source):
    market, proxy = binance(start, source, max_channels=3, max_channels_per_client=3)
    with wire.open_session(proxy.public, "/stream") as one, wire.open_session(proxy.public, "/stream") as two:
        assert "result" in feeds.ask(one, subscribing("a@trade", "b@trade"))
        error = feeds.ask(two, subscribing("b@trade", "c@trade", "d@trade", number=2))
        assert "error" in error and error["id"] == 2
        assert feeds.ask(two, {"method": "LIST_SUBSCRIPTIONS", "id": 3})["result"] == []
        assert "result" in feeds.ask(one, {"method": "UNSUBSCRIBE", "params": ["a@trade", "b@trade"], "id": 4})
        harness.eventually(lambda: "result" in feeds.ask(two, subscribing("x@trade", "y@trade", "z@trade", number=5)))
        market.wait(lambda: any("z@trade" in each.keys for each in market.live()))
        market.publish("z@trade", {"n": 1})
        assert feeds.heard(two)["data"] == {"n": 1}


# Sources.

def never(_connection, _message, _usual):
    pass


def refusing(connection, message, _usual):
    connection.say({"error": {"code": 2, "msg": "no"}, "id": message["id"]})


def closing(connection, _message, _usual):
    connection.end(1011, "I can't")


def garbage(connection, message, usual):
    for noise in ("{", "[1]", "null", '{"id":99999,"result":null}', '{"result":null}', '{"id":null,"error":{"code":2}}',
                  '{"stream":"nobody@trade","data":{}}', '{"stream":null,"data":null}', '{"id":"a","result":null}',
                  "\x00", b"\xff\x00"):
        connection.say(noise)
    usual(connection, message)


def twice(connection, message, usual):
    usual(connection, message)
    usual(connection, message)


def late(connection, message, usual):
    time.sleep(1)
    usual(connection, message)


class Strange(exchanges.Binance):
    """Does as it likes until it is `cured`."""

    def __init__(self, what):
        self.what, self.cured = what, False

    def message(self, connection, message):
        if self.cured:
            return super().message(connection, message)
        return self.what(connection, message, super().message)


@pytest.mark.parametrize("what,is_fine", [
    (never, False), (refusing, False), (closing, False), (garbage, True), (twice, True), (late, False)],
    ids=lambda each: getattr(each, "__name__", ""))
def test_a_strange_source_leaves_no_client_without_an_answer(start, source, what, is_fine):
    market, proxy = binance(start, source, dialect=Strange(what), request_timeout="600ms",
                            of_source={"retry_max": "100ms"})
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(5)]
    for n, client in enumerate(clients):
        feeds.say(client, subscribing("a@trade", f"s{n}@trade", number=n))
    for n, client in enumerate(clients):
        answer = feeds.heard(client)
        assert answer["id"] == n and ("result" in answer) == is_fine, answer
    market.dialect.cured = True
    time.sleep(1.2)  # what comes late has come
    harness.eventually(lambda: "result" in feeds.ask(clients[0], subscribing("a@trade", number="again")), 20)
    market.wait(lambda: any("a@trade" in each.keys for each in market.live()))
    market.publish("a@trade", {"n": 1})
    assert feeds.heard(clients[0])["data"] == {"n": 1}
    for client in clients:
        client.close()
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)
    market.wait(lambda: not any(each.keys for each in market.live()))


def test_a_source_that_breaks_the_protocol_is_dialled_again(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/stream") as client:
        feeds.ask(client, subscribing("a@trade"))
        for n in range(3):
            market.wait(lambda: any("a@trade" in each.keys for each in market.live()))
            market.publish("a@trade", {"n": n})
            assert feeds.heard(client)["data"] == {"n": n}
            market.garbage(seed=n)


def test_a_source_whose_limits_are_tight_answers_everybody_in_the_end(start, source):
    market = source(exchanges.Binance(), sources.Limits(messages_per_second=2))
    made = feeds.spoken("binance", "/stream", market, source={"limits": {"messages_per_second": 1}})
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    proxy = start(made)
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(100)]
    for turn in range(3):
        for n, client in enumerate(clients):
            feeds.say(client, subscribing(f"t{turn}c{n}@trade", number=turn))
            time.sleep(0.005)
    for client in clients:
        assert [feeds.heard(client)["id"] for _ in range(3)] == [0, 1, 2]
        client.close()
    assert market.violations == []
