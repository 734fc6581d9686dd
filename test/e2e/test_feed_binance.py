"""A feed that speaks as Binance does: many clients' subscriptions are few of the source's, within its limits."""
import time

import exchanges
import feeds
import harness
import source as sources
import wire

# What Binance allows; more ends the connection.
BINANCE = sources.Limits(messages_per_second=5, streams_per_connection=1024, connects=300)


def subscribe(client, *keys, number=1):
    feeds.say(client, {"method": "SUBSCRIBE", "params": list(keys), "id": number})
    assert feeds.heard(client) == {"result": None, "id": number}


def binance(start, source, dialect=None, limits=BINANCE, of_source=None, **feed):
    market = source(dialect or exchanges.Binance(), limits)
    made = feeds.spoken("binance", "/stream", market, source=of_source, **feed)
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    raw = [{"name": name, "path": path, "feed": "ticker"} for name, path in (("raw", "/ws"), ("named", "/ws/*"))]
    made["routes"] += raw
    return market, start(made)


def subscribed(market, *keys):
    """Waits until one connection has all of them."""
    market.wait(lambda: any(set(keys) <= set(each.keys) for each in market.live()))


def test_9999_identical_subscribes_are_one_of_the_source_and_one_unsubscribe_when_all_have_gone(start, source):
    market, proxy = binance(start, source)
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(101)]
    for client in clients:
        for number in range(99):
            feeds.say(client, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": number})
    for client in clients:
        assert [feeds.heard(client) for _ in range(99)] == [{"result": None, "id": number} for number in range(99)]
    market.wait(lambda: market.subscribes("btcusdt@trade") > 0)
    market.publish("btcusdt@trade", {"e": "trade", "t": 1})
    for client in clients:
        assert feeds.heard(client) == {"stream": "btcusdt@trade", "data": {"e": "trade", "t": 1}}
    assert market.subscribes("btcusdt@trade") == 1
    for client in clients:
        client.reset()
    market.wait(lambda: market.unsubscribes("btcusdt@trade") == 1 or not market.live())
    feeds.subscribers(proxy, 0)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)
    assert market.subscribes("btcusdt@trade") == 1
    assert market.violations == []


def test_each_client_hears_only_what_it_subscribed_to_and_the_ack_comes_first(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/stream") as one, wire.open_session(proxy.public, "/stream") as two:
        subscribe(one, "a@trade")
        subscribe(two, "a@trade", "b@trade", number="two")
        market.wait(lambda: {"a@trade", "b@trade"} <= set(market.live()[0].keys))
        for n in range(5):
            market.publish("a@trade", {"n": n})
            market.publish("b@trade", {"n": n})
        assert [feeds.heard(one)["data"]["n"] for _ in range(5)] == list(range(5))
        assert sorted(feeds.heard(two)["stream"] for _ in range(10)) == ["a@trade"] * 5 + ["b@trade"] * 5
        feeds.say(two, {"method": "LIST_SUBSCRIPTIONS", "id": 9})
        assert sorted(feeds.heard(two)["result"]) == ["a@trade", "b@trade"]


def test_a_storm_of_subscriptions_keeps_the_sources_limits(start, source):
    market, proxy = binance(start, source)
    keys = [f"s{n}@trade" for n in range(300)]
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(30)]
    for n, client in enumerate(clients):
        subscribe(client, *keys[n * 10:n * 10 + 10])
    market.wait(lambda: market.live() and len(market.live()[0].keys) == 300, 30)
    assert market.violations == []
    assert all(market.subscribes(key) == 1 for key in keys)
    for client in clients:
        client.close()


def test_subscriptions_are_made_again_at_a_source_that_was_killed(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/stream") as client:
        subscribe(client, "a@trade", "b@trade")
        market.wait(lambda: market.live() and len(market.live()[0].keys) == 2)
        market.kill()
        market.come_back()
        market.wait(lambda: market.live() and len(market.live()[0].keys) == 2)
        market.publish("b@trade", {"n": 1})
        assert feeds.heard(client) == {"stream": "b@trade", "data": {"n": 1}}


def test_a_server_shutdown_notice_moves_to_another_connection_without_a_gap(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/stream") as client:
        subscribe(client, "a@trade")
        market.wait(lambda: market.live() and len(market.live()[0].keys) == 1)
        with market.counting(rate=100, key="a@trade") as counter:
            harness.eventually(lambda: counter.last > 20)
            exchanges.Binance.shutdown(market.live()[0])
            market.wait(lambda: len(market.connections) == 2 and market.connections[0].over)
            last = counter.last + 20
            numbers = [feeds.heard(client)["data"]["n"]]
            while numbers[-1] < last:
                numbers.append(feeds.heard(client)["data"]["n"])
    assert feeds.consecutive(numbers)


def test_raw_and_combined_clients_of_one_feed_get_the_same_data_in_their_form(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/ws/a@trade/b@trade") as raw, \
            wire.open_session(proxy.public, "/stream?streams=a@trade/b@trade") as combined, \
            wire.open_session(proxy.public, "/ws") as later:
        subscribe(later, "b@trade")
        subscribed(market, "a@trade", "b@trade")
        assert market.subscribes("a@trade") == market.subscribes("b@trade") == 1
        # Their subscriptions have no answer: a question tells that they are there.
        for client in (raw, combined):
            feeds.say(client, {"method": "LIST_SUBSCRIPTIONS", "id": None})
            assert feeds.heard(client) == {"result": ["a@trade", "b@trade"], "id": None}
        harness.eventually(lambda: proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 5)
        for key in ("a@trade", "b@trade"):
            market.publish(key, {"e": "trade", "s": key})
        assert [feeds.heard(raw) for _ in range(2)] == [{"e": "trade", "s": key} for key in ("a@trade", "b@trade")]
        assert feeds.heard(later) == {"e": "trade", "s": "b@trade"}
        assert sorted(feeds.heard(combined)["stream"] for _ in range(2)) == ["a@trade", "b@trade"]


def test_set_property_in_the_midst_of_data_changes_the_form_and_loses_nothing(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/ws") as client:
        subscribe(client, "a@trade")
        subscribed(market, "a@trade")
        numbers, form = [], False
        with market.counting(rate=300, key="a@trade"):
            for turn in range(20):
                feeds.say(client, {"method": "SET_PROPERTY", "params": ["combined", not form], "id": turn})
                for _ in range(200):
                    message = feeds.heard(client)
                    if "id" in message:
                        assert message == {"result": None, "id": turn}
                        form = not form
                        break
                    assert ("stream" in message) == form
                    numbers.append(message["data"]["n"] if form else message["n"])
                else:
                    raise AssertionError("no answer to SET_PROPERTY")
                time.sleep(0.02)
        assert len(numbers) > 20 and feeds.consecutive(numbers)


def test_a_client_may_leave_what_it_has_not_and_ask_twice_for_what_it_has(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/ws") as client:
        feeds.say(client, {"method": "UNSUBSCRIBE", "params": ["never@trade"], "id": "x" * 36})
        assert feeds.heard(client) == {"result": None, "id": "x" * 36}
        for number in range(3):
            subscribe(client, "a@trade", number=number)
        subscribed(market, "a@trade")
        market.publish("a@trade", {"n": 1})
        assert feeds.heard(client) == {"n": 1}
        feeds.say(client, {"method": "UNSUBSCRIBE", "params": ["a@trade"], "id": 4})
        assert feeds.heard(client) == {"result": None, "id": 4}
        market.publish("a@trade", {"n": 2})
        feeds.quiet(client)
        market.wait(lambda: market.unsubscribes("a@trade") == 1 or not market.live())


def test_who_comes_back_within_the_linger_keeps_the_subscription_of_the_source(start, source):
    market, proxy = binance(start, source, linger="2s")
    for n in range(5):
        with wire.open_session(proxy.public, "/stream") as client:
            subscribe(client, "a@trade", number=n)
            subscribed(market, "a@trade")
            market.publish("a@trade", {"n": n})
            assert feeds.heard(client)["data"] == {"n": n}
            feeds.say(client, {"method": "UNSUBSCRIBE", "params": ["a@trade"], "id": n})
            assert feeds.heard(client)["id"] == n
    assert (market.subscribes("a@trade"), market.unsubscribes("a@trade")) == (1, 0)


class Fussy(exchanges.Binance):
    """Refuses a whole message for one bad stream in it."""

    def message(self, connection, message):
        bad = [key for key in message.get("params") or [] if key.startswith("bad")]
        if bad and message["method"] == "SUBSCRIBE":
            return connection.say({"error": {"code": 2, "msg": f"Invalid stream: {bad[0]}"}, "id": message["id"]})
        return super().message(connection, message)


def test_a_stream_that_the_source_refuses_is_the_trouble_of_its_asker_alone(start, source):
    market, proxy = binance(start, source, dialect=Fussy())
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(20)]
    for n, client in enumerate(clients):
        name = f"{'bad' if n == 7 else 'good'}{n}@trade"
        feeds.say(client, {"method": "SUBSCRIBE", "params": [name, "all@trade"], "id": n})
    for n, client in enumerate(clients):
        if n == 7:
            assert feeds.heard(client) == {"error": {"code": 2, "msg": "Invalid stream: bad7@trade"}, "id": 7}
        else:
            assert feeds.heard(client) == {"result": None, "id": n}
    market.publish("all@trade", {"n": 1})
    for n, client in enumerate(clients):
        if n != 7:
            assert feeds.heard(client)["data"] == {"n": 1}
        client.close()
    assert market.violations == []
