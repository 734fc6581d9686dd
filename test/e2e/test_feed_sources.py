"""Where a feed's messages come from: two sources that say the same, an upstream's backends, old connections."""
import json
import threading
import time

import pytest

import backend as fake
import feeds
import harness
import source as sources


def say_everywhere(markets, numbers, pause=0.005):
    """Each source says all numbers, on a thread of its own, one behind the other."""
    def say(market, wait):
        time.sleep(wait)
        for n in numbers:
            market.publish(None, {"n": n})
            time.sleep(pause)
    threads = [threading.Thread(target=say, args=(market, 0.05 * n)) for n, market in enumerate(markets)]
    for thread in threads:
        thread.start()
    return threads


def test_redundant_sources_with_different_delays_are_one_stream_without_loss_or_doubles(start, source, followers):
    fast, late = source(), source()
    proxy = start(feeds.config(fast, late, source={"mode": "redundant"}))
    crowd = followers(proxy, 10)
    feeds.subscribers(proxy, 10)
    for market in (fast, late):
        market.wait_live(1)
    for thread in say_everywhere((fast, late), range(1, 301)):
        thread.join()
    for numbers in crowd.wait(300):
        assert numbers == list(range(1, 301))
    feeds.counted(proxy, "holdfast_feed_duplicates_total", 300)


def test_the_death_of_one_redundant_source_is_not_seen_by_clients(start, source, followers):
    fast, late = source(), source()
    proxy = start(feeds.config(fast, late, source={"mode": "redundant"}))
    crowd = followers(proxy, 10)
    feeds.subscribers(proxy, 10)
    for market in (fast, late):
        market.wait_live(1)
    threads = say_everywhere((fast, late), range(1, 401))
    crowd.wait(100)
    fast.kill()
    for thread in threads:
        thread.join()
    for numbers in crowd.wait(400):
        assert numbers == list(range(1, 401))


def test_a_standby_source_takes_over_from_one_that_dies(start, source, followers):
    first, second = source(), source()
    proxy = start(feeds.config(first, second))
    crowd = followers(proxy, 10)
    feeds.subscribers(proxy, 10)
    first.wait_live(1)
    assert second.connections == []
    first.publish(None, {"n": 1})
    crowd.wait(1)
    first.kill()
    second.wait_live(1)
    second.publish(None, {"n": 2})
    for numbers in crowd.wait(2):
        assert numbers == [1, 2]


def test_a_feeds_source_can_be_an_upstream_that_is_balanced_and_probed(start, source, followers):
    one, two = source(), source()
    made = feeds.config()
    made["upstreams"] = [{"name": "markets", "backends": [{"address": one.address}, {"address": two.address}],
                          "probe": {"type": "none"}}]
    made["feeds"][0]["source"] = {"upstream": "markets", "path": "/stream", "retry_max": "300ms"}
    proxy = start(made)
    crowd = followers(proxy, 5)
    feeds.subscribers(proxy, 5)
    harness.eventually(lambda: one.live() or two.live())
    used, other = (one, two) if one.live() else (two, one)
    assert used.live()[0].path == "/stream"
    used.publish(None, {"n": 1})
    crowd.wait(1)
    used.kill()
    other.wait_live(1)
    other.publish(None, {"n": 2})
    assert all(numbers == [1, 2] for numbers in crowd.wait(2))


def test_a_connection_is_replaced_before_it_grows_too_old_without_a_gap_or_a_double(start, source, followers):
    market = source(limits=sources.Limits(maximum_age=3))
    proxy = start(feeds.config(market, source={"rotate_after": "1s"}))
    crowd = followers(proxy, 5)
    feeds.subscribers(proxy, 5)
    market.wait_live(1)
    with market.counting(rate=100) as counter:
        market.wait(lambda: len(market.connections) >= 3, 20)
        crowd.wait(counter.last + 10)
    for numbers in crowd.wait(counter.last):
        assert numbers == list(range(1, counter.last + 1))
    assert all(each.over != "maximum age" for each in market.connections)


@pytest.mark.parametrize("wrong", [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n"])
def test_a_source_that_refuses_is_tried_again_and_its_clients_stay(start, backend, source, wrong):
    refusing = backend(fake.answer(wrong))
    made = feeds.config()
    made["feeds"][0]["source"]["urls"] = [f"ws://{refusing.address}/"]
    proxy = start(made)
    with feeds.follow(proxy) as client:
        refusing.wait_heads(3)
        feeds.subscribers(proxy, 1)
        market = source()
        made["feeds"][0]["source"]["urls"] = [market.url]
        proxy.reload(made)
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1


def test_a_source_that_falls_silent_is_replaced_by_the_next(start, source):
    silent, lively = source(), source()
    proxy = start(feeds.config(silent, lively, source={"silence_timeout": "300ms"}))
    silent.silent = True
    with feeds.follow(proxy) as client:
        lively.wait_live(1)
        lively.publish(None, {"n": 7})
        assert feeds.number(client) == 7


def test_a_source_that_accepts_and_ends_is_left_for_the_next(start, source):
    """Story: only what could not be opened was left for the next URL."""
    rude, kind = source(), source()
    proxy = start(feeds.config(rude, kind))
    with feeds.follow(proxy):
        for _ in range(3):
            harness.eventually(lambda: rude.live() or kind.live(), what="a connection")
            if rude.live():
                rude.live()[0].end(1013, "full")
        kind.wait_live(1)


@pytest.mark.parametrize("mode", ["standby", "redundant"])
def test_connections_that_rotate_stay_with_their_urls(start, source, mode):
    """Story: the second URL's turn came with each other rotation; in redundant mode both were at one URL then."""
    first, second = source(), source()
    proxy = start(feeds.config(first, second, source={"mode": mode, "rotate_after": "1s"}))
    with feeds.follow(proxy):
        first.wait_live(1)
        end = time.monotonic() + 4
        n = 0
        while time.monotonic() < end:
            n += 1
            for market in (first, second):
                market.publish(None, {"n": n})
            time.sleep(0.02)
            assert first.live()
            assert bool(second.live()) == (mode == "redundant") or n < 20
        counted = proxy.metric("holdfast_feed_source_connects_total", feed="ticker", result="ok")
        assert counted >= (3 if mode == "standby" else 6)


def test_a_feed_is_up_while_an_old_connection_serves_although_the_new_source_cant_be_had(start, source):
    """Story: a reload to a source that refused everybody told of a feed that was down, while its clients got all."""
    market, dead = source(), source()
    dead.kill()
    config = feeds.config(market)
    proxy = start(config)
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        feeds.counted(proxy, "holdfast_feed_source_up", 1)
        config["feeds"][0]["source"]["urls"] = [dead.url]
        told = harness.run("check", "-c", written(proxy, config), "--against", f"http://{proxy.admin_address}")
        assert "~ feed ticker: source changed, 1 subscriber would stay" in told.stdout
        proxy.reload(config)
        feeds.counted(proxy, "holdfast_feed_source_connections_wanted", 2)
        harness.eventually(lambda: proxy.metric("holdfast_feed_source_connects_total", feed="ticker", result="failed") > 1)
        assert proxy.metric("holdfast_feed_source_up", feed="ticker") == 1
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
        text = harness.run("status", "--admin", f"http://{proxy.admin_address}").stdout
        line = next(line for line in text.splitlines() if line.startswith("feed ticker"))
        assert "1 subscribers" in line and "1 of 2 sources open: connect to" in line
        market.kill()
        feeds.counted(proxy, "holdfast_feed_source_up", 0)


def written(proxy, config):
    file = proxy.folder / "next.json"
    file.write_text(json.dumps(config))
    return file


def test_a_source_may_have_a_name_and_one_that_is_unknown_is_left_for_the_next(start, source):
    market = source()
    config = feeds.config(market)
    port = market.url.rstrip("/").rsplit(":", 1)[1]
    config["feeds"][0]["source"]["urls"] = ["ws://absent.invalid:1/", f"ws://localhost:{port}/"]
    proxy = start(config)
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        assert "absent.invalid" in proxy.log()
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
