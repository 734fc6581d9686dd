"""The two ways in which a feed's messages leave: by io_uring, and, where the kernel refuses it, one send each."""
import contextlib
import json
import pathlib
import sys

import feeds
import harness
import pytest
import wire

SEND, RING = "send", "io_uring"
WITHOUT = (sys.executable, pathlib.Path(__file__).with_name("without_io_uring.py"))


@pytest.fixture(params=[SEND, RING])
def way(request):
    return request.param


def rings(proxy):
    """How many io_urings the process has."""
    found = 0
    for each in pathlib.Path(f"/proc/{proxy.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += "io_uring" in str(each.readlink())
    return found


def skips(proxy):
    return proxy.metric("holdfast_feed_lag_skips_total", feed="ticker", policy="drop_oldest")


def begin(start, way, config):
    return start(config, prefix=WITHOUT if way == SEND else ())


def check_way(proxy, way):
    if way == SEND:
        assert rings(proxy) == 0
    elif rings(proxy) == 0:
        pytest.skip("this kernel refuses io_uring to everybody")


def test_100_clients_get_every_message_once_in_order(start, source, followers, way):
    market = source()
    proxy = begin(start, way, feeds.config(market))
    crowd = followers(proxy, 100)
    market.wait_live(1)
    feeds.subscribers(proxy, 100)
    with market.counting(rate=100) as counter:
        harness.eventually(lambda: counter.last >= 100)
    for numbers in crowd.wait(counter.last):
        assert numbers == list(range(1, counter.last + 1))
    check_way(proxy, way)


def test_clients_that_vanish_or_stall_cost_the_others_nothing(start, source, followers, way):
    market = source()
    proxy = begin(start, way, feeds.config(market, feed={"on_lag": "drop_oldest", "ring": {"bytes": "64KiB"}}))
    crowd = followers(proxy, 20)
    stalled = [feeds.follow(proxy, receive_buffer=4096) for _ in range(5)]  # they read nothing
    vanishing = [feeds.follow(proxy) for _ in range(5)]
    market.wait_live(1)
    feeds.subscribers(proxy, 30)
    with market.counting(rate=200, size=8192) as counter:
        harness.eventually(lambda: counter.last >= 100)
        for client in vanishing:
            client.reset()
        feeds.subscribers(proxy, 25)
        harness.eventually(lambda: skips(proxy) > 0, 30)
    for numbers in crowd.wait(counter.last):
        assert numbers == list(range(1, counter.last + 1))
    assert crowd.alive() == 20
    check_way(proxy, way)
    for client in stalled:
        client.close()


def begin_over_tls(start, way, authority, market, feed):
    chain, key = authority.issue("feeds.test")
    made = feeds.config(market, feed=feed)
    made["listeners"][0]["tls"] = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    return begin(start, way, made)


def follow_over_tls(proxy, trust, count):
    """Clients that read nothing until they are asked to. With windows smaller than a segment the kernel itself would
    stop to send for many seconds."""
    return [feeds.follow(proxy, tls=trust, server_name="feeds.test", receive_buffer=32768) for _ in range(count)]


def test_tls_clients_that_stall_go_on_in_the_middle_of_a_record(start, source, authority, trust, way):
    market = source()
    proxy = begin_over_tls(start, way, authority, market, {"on_lag": "drop_oldest", "ring": {"bytes": "64KiB"}})
    stalled = follow_over_tls(proxy, trust, 8)
    feeds.subscribers(proxy, 8)
    market.wait_live(1)
    with market.counting(rate=500, size=1000) as counter:
        harness.eventually(lambda: skips(proxy) > 8 * 1000, 30)
    check_way(proxy, way)
    for client in stalled:
        numbers = [feeds.number(client)]
        while numbers[-1] < counter.last:
            numbers.append(feeds.number(client))
        assert numbers == sorted(set(numbers))
        assert len(numbers) < counter.last, "it was to skip something"
        client.close()


def test_a_close_comes_behind_the_rest_of_a_tls_record(start, source, authority, trust, way):
    market = source()
    proxy = begin_over_tls(start, way, authority, market, {
        "on_lag": "disconnect", "ring": {"bytes": "256KiB", "age": "60s"},
        "slow": {"behind": "300ms", "floor": 100, "window": "500ms"}})
    stalled = follow_over_tls(proxy, trust, 8)
    feeds.subscribers(proxy, 8)
    market.wait_live(1)
    with market.counting(rate=500, size=1000):
        feeds.counted(proxy, "holdfast_feed_too_slow_total", 8)
    check_way(proxy, way)
    for client in stalled:
        numbers = []
        while (frame := client.frame())[0] != wire.CLOSE:
            if frame[0] == wire.TEXT:
                numbers.append(json.loads(frame[2])["n"])
        assert feeds.consecutive(numbers)
        assert int.from_bytes(frame[2][:2], "big") == 1013
        client.close()
