"""Feeds with a dialect: many clients' subscriptions are few of the source's."""
import json

import exchanges
import feeds
import harness
import source as sources
import wire

# What Binance allows; more ends the connection.
BINANCE = sources.Limits(messages_per_second=5, streams_per_connection=1024, connects=300)


def say(client, message):
    client.send(wire.frame(wire.TEXT, json.dumps(message).encode()))


def heard(client):
    return json.loads(client.data_frame()[2])


def subscribe(client, *keys, number=1):
    say(client, {"method": "SUBSCRIBE", "params": list(keys), "id": number})
    assert heard(client) == {"result": None, "id": number}


def binance(start, source, **feed):
    market = source(exchanges.Binance(), BINANCE)
    made = feeds.config(market, feed={"dialect": "binance", "linger": "500ms", **feed})
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    made["routes"][0]["path"] = "/stream"
    return market, start(made)


def test_9999_identical_subscribes_are_one_of_the_source_and_one_unsubscribe_when_all_have_gone(start, source):
    market, proxy = binance(start, source)
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(101)]
    for client in clients:
        for number in range(99):
            say(client, {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": number})
    for client in clients:
        assert [heard(client) for _ in range(99)] == [{"result": None, "id": number} for number in range(99)]
    market.wait(lambda: market.subscribes("btcusdt@trade") > 0)
    market.publish("btcusdt@trade", {"e": "trade", "t": 1})
    for client in clients:
        assert heard(client) == {"stream": "btcusdt@trade", "data": {"e": "trade", "t": 1}}
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
        assert [heard(one)["data"]["n"] for _ in range(5)] == list(range(5))
        assert sorted(heard(two)["stream"] for _ in range(10)) == ["a@trade"] * 5 + ["b@trade"] * 5
        say(two, {"method": "LIST_SUBSCRIPTIONS", "id": 9})
        assert sorted(heard(two)["result"]) == ["a@trade", "b@trade"]


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
        assert heard(client) == {"stream": "b@trade", "data": {"n": 1}}


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
            numbers = [heard(client)["data"]["n"]]
            while numbers[-1] < last:
                numbers.append(heard(client)["data"]["n"])
    assert feeds.consecutive(numbers)


def test_calls_of_many_clients_with_the_same_id_get_their_own_answers(start, source):
    node = source(exchanges.Ethereum({"eth_getBalance": lambda params: params[0]}))
    made = feeds.config(node, feed={"dialect": "ethereum"})
    made["routes"][0]["path"] = "/rpc"
    proxy = start(made)
    clients = [wire.open_session(proxy.public, "/rpc") for _ in range(50)]
    for n, client in enumerate(clients):
        say(client, {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": [hex(n), "latest"]})
    for n, client in enumerate(clients):
        assert heard(client) == {"jsonrpc": "2.0", "id": 1, "result": hex(n)}
    assert len(node.connections) == 1
    for client in clients:
        client.close()
