"""What a source allows is kept, whatever clients do: messages, streams, connects, age."""
import time

import pytest

import exchanges
import feeds
import harness
import source as sources
import wire
from test_feed_binance import binance, subscribe, subscribed


def test_pongs_count_among_the_messages_of_a_second(start, source):
    limits = sources.Limits(messages_per_second=5, ping_every=0.3, pong_within=2)
    market, proxy = binance(start, source, limits=limits, of_source={"limits": {"messages_per_second": 5}})
    with wire.open_session(proxy.public, "/ws") as client:
        for n in range(60):  # spread over 3 s, so that each would be a command of its own
            feeds.say(client, {"method": "SUBSCRIBE", "params": [f"s{n}@trade"], "id": n})
            time.sleep(0.05)
        assert sorted(feeds.heard(client)["id"] for _ in range(60)) == list(range(60))
    assert market.violations == []
    assert len(market.connections) == 1 and market.connections[0].pongs > 3


def test_more_streams_than_one_connection_may_have_are_spread_over_several(start, source):
    market, proxy = binance(start, source, limits=sources.Limits(5, 1024, 300), max_channels=5000)
    clients = [wire.open_session(proxy.public, "/stream") for _ in range(3)]
    keys = [[f"c{n}s{m}@trade" for m in range(1000)] for n in range(3)]
    for n, client in enumerate(clients):
        subscribe(client, *keys[n])
    market.wait(lambda: sum(len(each.keys) for each in market.live()) == 3000, 20)
    assert len(market.live()) == 3
    for n, client in enumerate(clients):
        for key in keys[n][::100]:
            market.publish(key, {"n": n})
            assert feeds.heard(client) == {"stream": key, "data": {"n": n}}
    # Half of them leave, others come: no connection ever has more than it may.
    clients[0].close()
    market.wait(lambda: sum(len(each.keys) for each in market.live()) <= 2000, 20)
    with wire.open_session(proxy.public, "/stream") as late:
        subscribe(late, *(f"late{m}@trade" for m in range(1000)))
        market.publish("late7@trade", {"n": 7})
        assert feeds.heard(late)["data"] == {"n": 7}
    assert market.violations == []
    for client in clients[1:]:
        client.close()


def logs(name, number):
    return {"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": ["logs", {"topic": name}]}


def slow_node(start, source, **feed):
    """One channel a second, and who waits longer than 2 s is told so."""
    node = source(exchanges.Ethereum())
    return node, start(feeds.spoken("ethereum", "/rpc", node, source={"limits": {"messages_per_second": 1}},
                                    request_timeout="2s", **feed))


def test_who_waits_too_long_behind_others_for_the_sources_pace_is_told_so(start, source):
    # Ten seconds of others' channels before it: it heard nothing until all of those were asked for.
    node, proxy = slow_node(start, source)
    with wire.open_session(proxy.public, "/rpc") as crowd, wire.open_session(proxy.public, "/rpc") as last:
        for n in range(10):
            feeds.say(crowd, logs(n, n))
        node.wait_live(1)
        begun = time.monotonic()
        answer = feeds.ask(last, logs("last", "mine"))
        took = time.monotonic() - begun
        assert answer["id"] == "mine" and answer["error"]["message"] == "the source could not be asked in time"
        assert 1.9 <= took < 4 * harness.SLOWNESS
        answers = [feeds.heard(crowd) for _ in range(10)]
        assert sorted(each["id"] for each in answers) == list(range(10))
        served = [each for each in answers if "result" in each]
        assert 2 <= len(served) <= 5 * harness.SLOWNESS
        # Only what it was told to have is asked for, and it may ask again.
        harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == len(served))
        assert feeds.ask(last, logs("last", "again"))["id"] == "again"
        assert "result" in feeds.ask(last, logs("last", "again"))
        assert proxy.metric("holdfast_feed_channel_refusals_total", feed="ticker") >= 11 - len(served)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)
    assert proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 0


def test_who_asks_for_a_channel_that_another_one_has_given_up_has_all_his_time(start, source):
    node, proxy = slow_node(start, source, linger="30s")
    with wire.open_session(proxy.public, "/rpc") as crowd, wire.open_session(proxy.public, "/rpc") as heir:
        for n in range(10):
            feeds.say(crowd, logs(n, n))
        node.wait_live(1)
        with wire.open_session(proxy.public, "/rpc") as leaver:
            feeds.say(leaver, logs("left", 1))
            time.sleep(1.5)
        feeds.subscribers(proxy, 2)
        begun = time.monotonic()
        answer = feeds.ask(heir, logs("left", 1))
        assert "error" not in answer or time.monotonic() - begun >= 1.9, answer


def test_a_source_that_ends_each_connection_at_once_is_not_dialled_more_often_than_it_allows(start, source):
    class Closing(exchanges.Binance):
        def opened(self, connection):
            super().opened(connection)
            connection.end(1001, "go away")

    market, proxy = binance(start, source, dialect=Closing(), limits=sources.Limits(connects=5),
                            of_source={"limits": {"connects_per_5min": 5}, "retry_max": "100ms"}, request_timeout="3s")
    with wire.open_session(proxy.public, "/ws") as client:
        feeds.say(client, {"method": "SUBSCRIBE", "params": ["a@trade"], "id": 1})
        market.wait(lambda: len(market.connects) == 5)
        answer = feeds.heard(client)  # it is not left without one
        assert answer["id"] == 1 and "error" in answer
        time.sleep(1)
        assert len(market.connects) == 5 and market.violations == []
        # Another one asks: told so, too.
        feeds.say(client, {"method": "SUBSCRIBE", "params": ["b@trade"], "id": 2})
        assert "error" in feeds.heard(client)


def test_connections_rotate_before_their_age_without_a_gap_or_a_double(start, source):
    limits = sources.Limits(messages_per_second=5, maximum_age=4)
    market, proxy = binance(start, source, limits=limits, of_source={"rotate_after": "1s"})
    with wire.open_session(proxy.public, "/ws") as client:
        subscribe(client, "a@trade")
        subscribed(market, "a@trade")
        with market.counting(rate=200, key="a@trade") as counter:
            numbers = [feeds.heard(client)["n"]]
            while len(market.connections) < 5 or numbers[-1] < counter.last:
                numbers.append(feeds.heard(client)["n"])
        assert feeds.consecutive(numbers)
    assert market.violations == []
    assert "maximum age" not in [each.over for each in market.connections]


@pytest.mark.parametrize("key,shape", [
    ("a@depth", lambda n: {"e": "depthUpdate", "U": n, "u": n}), ("a@trade", lambda n: {"e": "trade", "t": n})])
def test_a_new_connection_that_is_ahead_of_the_old_one_makes_no_gap(start, source, key, shape):
    market, proxy = binance(start, source)
    number = "u" if "depth" in key else "t"
    with wire.open_session(proxy.public, "/ws") as client:
        subscribe(client, key)
        subscribed(market, key)
        old = market.live()[0]
        for n in range(1, 4):
            old.data(key, shape(n))
        assert [feeds.heard(client)[number] for _ in range(3)] == [1, 2, 3]
        exchanges.Binance.shutdown(old)
        market.wait(lambda: len(market.connections) == 2 and key in market.connections[1].keys)
        new = market.connections[1]
        time.sleep(0.05)
        new.data(key, shape(6))
        new.data(key, shape(7))
        time.sleep(0.05)
        for n in range(4, 8):
            old.data(key, shape(n))
        market.wait(lambda: old.over)
        new.data(key, shape(8))
        assert [feeds.heard(client)[number] for _ in range(5)] == [4, 5, 6, 7, 8]
        feeds.quiet(client)


def test_a_new_connection_that_is_behind_the_old_one_makes_no_double(start, source):
    market, proxy = binance(start, source)
    with wire.open_session(proxy.public, "/ws") as client:
        subscribe(client, "a@depth")
        subscribed(market, "a@depth")
        old = market.live()[0]
        exchanges.Binance.shutdown(old)
        market.wait(lambda: len(market.connections) == 2 and "a@depth" in market.connections[1].keys)
        time.sleep(0.05)
        for n in range(1, 6):
            old.data("a@depth", {"e": "depthUpdate", "U": n, "u": n})
        for n in range(3, 9):
            market.connections[1].data("a@depth", {"e": "depthUpdate", "U": n, "u": n})
        assert [feeds.heard(client)["u"] for _ in range(8)] == list(range(1, 9))
        harness.eventually(lambda: old.over)
        feeds.quiet(client)
