"""Clients of a feed that send too fast: the route's rates hold for them as for sessions."""
import time

import pytest

import feeds
import harness
import wire


def numbered(first, count):
    return b"".join(wire.frame(wire.TEXT, b"%d" % n) for n in range(first, first + count))


def pauses(proxy, limit):
    return proxy.metric("holdfast_rate_pauses_total", route="feed", limit=limit)


@pytest.mark.parametrize("limit, rates", [("messages", {"max_messages_per_second": 40, "message_burst": 4}),
                                          ("bytes", {"max_bytes_per_second": "400B", "byte_burst": "64B"})])
def test_a_fast_client_is_slowed_down_and_all_that_it_says_comes_in_order(start, source, limit, rates):
    market = source()
    proxy = start(feeds.config(market, feed={"client_messages": "forward"}, route=rates))
    with feeds.follow(proxy) as client, feeds.follow(proxy) as other:
        market.wait_live(1)
        begun = time.monotonic()
        client.send(numbered(100, 30))
        other.send(wire.frame(wire.TEXT, b"0"))
        market.wait(lambda: len(market.commands()) == 31, 20)
        assert time.monotonic() - begun >= 0.4
        said = [int(text) for text in market.commands()]
        assert said.index(0) < 30, "who was not too fast had to wait"
        assert [n for n in said if n != 0] == list(range(100, 130))
        assert pauses(proxy, limit) > 0
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
        client.send(wire.close_frame(1000))
        assert client.close_code() == 1000
    lines = proxy.access_lines(2)
    assert any("rate_pauses=" in line and "rate_pauses=0" not in line for line in lines), lines


@pytest.mark.parametrize("reason, rates", [
    ("too_many_messages", {"max_messages_per_second": 10, "message_burst": 3}),
    ("too_many_bytes", {"max_bytes_per_second": "100B", "byte_burst": "60B"})])
def test_a_fast_client_is_closed_where_the_route_wants_it(start, source, reason, rates):
    market = source()
    proxy = start(feeds.config(market, route={**rates, "rate_mode": "close"}))
    with feeds.follow(proxy) as client, feeds.follow(proxy) as other:
        feeds.subscribers(proxy, 2)
        client.send(numbered(1, 20))
        assert client.close_code() == 1008
        feeds.subscribers(proxy, 1)
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(other) == 1
    assert proxy.metric("holdfast_session_ends_total", route="feed", reason=reason, code="1008") == 1


def test_a_paused_client_gets_its_messages_and_a_reload_sets_it_free(start, source):
    market = source()
    config = feeds.config(market, feed={"client_messages": "forward"},
                          route={"max_messages_per_second": 1, "message_burst": 1})
    proxy = start(config)
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        client.send(numbered(1, 200))
        harness.eventually(lambda: pauses(proxy, "messages") > 0)
        for n in range(20):
            market.publish(None, {"n": n})
        assert [feeds.number(client) for _ in range(20)] == list(range(20))
        assert len(market.commands()) < 20
        del config["routes"][0]["max_messages_per_second"], config["routes"][0]["message_burst"]
        proxy.reload(config)
        market.wait(lambda: len(market.commands()) == 200, 20)
        assert [int(text) for text in market.commands()] == list(range(1, 201))


def test_a_paused_client_that_vanishes_is_forgotten(start, source):
    market = source()
    proxy = start(feeds.config(market, route={"max_messages_per_second": 1, "message_burst": 1}))
    with feeds.follow(proxy) as client:
        feeds.subscribers(proxy, 1)
        client.send(numbered(1, 100))
        harness.eventually(lambda: pauses(proxy, "messages") > 0)
        client.reset()
        feeds.subscribers(proxy, 0)
