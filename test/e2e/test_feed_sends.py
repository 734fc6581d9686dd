"""The two ways in which a feed's messages leave: by io_uring, and, where the kernel refuses it, one send each."""
import pathlib
import sys

import feeds
import harness
import pytest

SEND, RING = "send", "io_uring"
WITHOUT = (sys.executable, pathlib.Path(__file__).with_name("without_io_uring.py"))


@pytest.fixture(params=[SEND, RING])
def way(request):
    return request.param


def rings(proxy):
    """How many io_urings the process has."""
    return sum("io_uring" in str(each.readlink()) for each in pathlib.Path(f"/proc/{proxy.pid}/fd").iterdir())


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
