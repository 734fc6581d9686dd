"""Feeds without a dialect: one source connection, and everybody gets everything."""
import copy
import json
import time

import feeds
import harness
import source as sources
import wire


def test_200_clients_share_one_source_connection_and_get_every_message_once_in_order(start, source, followers):
    market = source()
    proxy = start(feeds.config(market))
    crowd = followers(proxy, 200)
    market.wait_live(1)
    feeds.subscribers(proxy, 200)
    with market.counting(rate=40) as counter:
        harness.eventually(lambda: counter.last >= 80)
    for numbers in crowd.wait(counter.last):
        assert numbers == list(range(1, counter.last + 1))
    assert len(market.connections) == 1
    assert market.commands() == []
    feeds.counted(proxy, "holdfast_feed_messages_total", counter.last)
    feeds.counted(proxy, "holdfast_feed_deliveries_total", 200 * counter.last)


def test_a_client_that_comes_late_gets_what_its_join_promises_and_then_everything(start, source):
    market = source()
    for join, expected in (({"last": 5}, 16), ({"last": 1}, 20), ("none", 21)):
        proxy = start(feeds.config(market, feed={"join": join}))
        with feeds.follow(proxy) as early:
            market.wait_live(1)
            for n in range(1, 21):
                market.publish(None, {"n": n})
            assert [feeds.number(early) for _ in range(20)] == list(range(1, 21))
            with feeds.follow(proxy) as late:
                feeds.subscribers(proxy, 2)
                market.publish(None, {"n": 21})
                assert [feeds.number(late) for _ in range(expected, 22)] == list(range(expected, 22))
        proxy.kill()
        market.wait_live(0)


def test_what_comes_within_flush_interval_goes_together_at_its_end(start, source):
    market = source()
    proxy = start(feeds.config(market, feed={"flush_interval": "1s"}))
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        begun = time.monotonic()
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
        for n in (2, 3):
            market.publish(None, {"n": n})
        assert [feeds.number(client) for _ in range(2)] == [2, 3]
        assert time.monotonic() - begun >= 1  # steady clocks: never early
    assert proxy.metric("holdfast_feed_lag_skips_total") == 0


def test_clients_that_join_under_load_miss_nothing_from_their_first_message_on(start, source, followers):
    market = source()
    proxy = start(feeds.config(market, feed={"join": {"last": 3}}))
    first = followers(proxy, 1)
    market.wait_live(1)
    with market.counting(rate=300) as counter:
        harness.eventually(lambda: counter.last > 20)
        crowds = [first, *(followers(proxy, 20) for _ in range(5))]
        mark = counter.last + 50
        for crowd in crowds:
            crowd.wait(mark)
    for crowd in crowds:
        for numbers in crowd.wait(counter.last):
            assert feeds.consecutive(numbers)


def test_a_source_that_dies_and_comes_back_costs_its_clients_only_the_gap(start, source, followers):
    market = source()
    proxy = start(feeds.config(market))
    crowd = followers(proxy, 50)
    feeds.subscribers(proxy, 50)
    market.wait_live(1)
    with market.counting(rate=100) as counter:
        crowd.wait(30)
        market.kill()
        harness.eventually(lambda: proxy.metric("holdfast_feed_source_up", feed="ticker") == 0)
        market.come_back()
        market.wait_live(1)
        back = counter.last + 1
        crowd.wait(back + 30)
    for numbers in crowd.wait(counter.last):
        assert numbers == sorted(set(numbers)), "doubled, or out of order"
        assert numbers[-30:] == list(range(counter.last - 29, counter.last + 1))
    assert crowd.alive() == 50
    assert len(market.connections) == 2
    feeds.counted(proxy, "holdfast_feed_source_up", 1)


def test_each_path_is_a_channel_with_a_source_connection_of_its_own(start, source):
    market = source()
    made = feeds.config(market, feed={"channel": "$name"})
    made["feeds"][0]["source"]["urls"] = [market.url + "stream/$name"]
    proxy = start(made)
    with feeds.follow(proxy, "a") as one, feeds.follow(proxy, "b") as two, feeds.follow(proxy, "a") as three:
        market.wait_live(2)
        assert sorted(each.path for each in market.live()) == ["/stream/a", "/stream/b"]
        feeds.subscribers(proxy, 3)
        for each in market.live():
            each.say({"n": 1 if each.path.endswith("a") else 2})
        assert [feeds.number(client) for client in (one, two, three)] == [1, 2, 1]


def test_fragments_binary_and_large_messages_of_a_source_arrive_whole(start, source):
    market = source()
    proxy = start(feeds.config(market))
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        market.mood.fragments = 7
        market.broadcast("a" * 1000)
        assert whole(client) == (wire.TEXT, b"a" * 1000)
        market.mood.fragments = 1
        market.broadcast(bytes(range(256)) * 16)
        assert whole(client) == (wire.BINARY, bytes(range(256)) * 16)
        market.broadcast("b" * 300_000)
        assert whole(client) == (wire.TEXT, b"b" * 300_000)
        market.broadcast("")
        assert whole(client) == (wire.TEXT, b"")


def whole(client):
    """One message of any number of frames."""
    opcode, fin, payload = client.data_frame()
    while not fin:
        _, fin, more = client.data_frame()
        payload += more
    return opcode, payload


def test_a_source_that_sends_nonsense_is_left_and_tried_again(start, source):
    market = source()
    proxy = start(feeds.config(market))
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
        market.garbage()
        harness.eventually(lambda: len(market.connections) == 2)
        market.wait_live(1)
        market.publish(None, {"n": 2})
        assert feeds.number(client) == 2


def test_clients_messages_are_dropped_or_passed_on_as_configured(start, source):
    for kind, expected in (("drop", []), ("forward", ["hello", "there"])):
        market = source()
        proxy = start(feeds.config(market, feed={"client_messages": kind, "join": {"last": 1}}))
        with feeds.follow(proxy) as client:
            market.wait_live(1)
            market.publish(None, {"n": 0})
            assert feeds.number(client) == 0  # it has joined; before that there is nobody to pass messages to
            client.send(wire.frame(wire.TEXT, b"hello") + wire.frame(wire.TEXT, b"there"))
            client.send(wire.frame(wire.PING, b"done"))
            assert client.frame() == (wire.PONG, True, b"done")
            if expected:
                market.wait(lambda: market.commands() == expected)
            market.publish(None, {"n": 1})
            assert feeds.number(client) == 1
            assert market.commands() == expected


def test_a_source_that_pings_is_answered_within_its_patience(start, source):
    market = source(limits=sources.Limits(ping_every=0.05, pong_within=1))
    proxy = start(feeds.config(market))
    with feeds.follow(proxy):
        market.wait(lambda: market.connections and market.connections[0].pongs >= 20)
    assert market.violations == []


def test_abrupt_ends_leave_no_subscriber_and_the_source_is_left_after_the_linger(start, source):
    market = source()
    proxy = start(feeds.config(market, feed={"linger": "500ms"}))
    clients = [feeds.follow(proxy) for _ in range(150)]
    feeds.subscribers(proxy, 150)
    market.wait_live(1)
    for n, client in enumerate(clients):
        client.reset() if n % 2 else client.close()
    feeds.subscribers(proxy, 0)
    market.wait_live(0)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)
    assert market.connections[0].over.startswith("closed with"), "a source hears a Close"
    with feeds.follow(proxy) as again:
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(again) == 1
    assert len(market.connections) == 2


def test_a_client_that_comes_back_within_the_linger_finds_the_same_source_connection(start, source):
    market = source()
    proxy = start(feeds.config(market, feed={"linger": "1m"}))
    for _ in range(5):
        with feeds.follow(proxy):
            feeds.subscribers(proxy, 1)
        feeds.subscribers(proxy, 0)
    market.wait_live(1)
    assert len(market.connections) == 1


def test_reloads_under_load_cost_no_message(start, source, followers):
    market = source()
    made = feeds.config(market)
    proxy = start(made)
    crowd = followers(proxy, 30)
    market.wait_live(1)
    feeds.subscribers(proxy, 30)
    with market.counting(rate=150) as counter:
        for linger in ("3s", "4s", "5s"):
            crowd.wait(counter.last + 20)
            made["feeds"][0] |= {"linger": linger, "on_lag": "drop_oldest"}
            proxy.reload(made)
        crowd.wait(counter.last + 20)
    for numbers in crowd.wait(counter.last):
        assert numbers == list(range(1, counter.last + 1))
    assert len(market.connections) == 1


def test_a_feed_that_a_reload_takes_away_ends_its_clients_and_its_source(start, source, followers):
    market = source()
    made = feeds.config(market)
    proxy = start(made)
    crowd = followers(proxy, 5)
    market.wait_live(1)
    made["feeds"][0]["name"] = "other"
    made["routes"][0]["feed"] = "other"
    proxy.reload(made)
    harness.eventually(lambda: crowd.alive() == 0, what="every client's end")
    assert set(crowd.codes) == {1012}
    market.wait_live(0)


def test_clients_of_a_feed_that_goes_are_served_until_their_turn(start, source, followers):
    """Story: all heard nothing from the reload on, and were closed one by one over the time of a drain."""
    market = source()
    made = feeds.config(market, workers=1, shutdown_timeout="3s")
    proxy = start(made)
    crowd = followers(proxy, 10)
    feeds.subscribers(proxy, 10)
    market.wait_live(1)
    removed = copy.deepcopy(made)
    removed["feeds"][0]["name"] = removed["routes"][0]["feed"] = "other"
    with market.counting(rate=100) as counter:
        crowd.wait(20)
        proxy.reload(removed)
        harness.eventually(lambda: crowd.alive() == 0, what="every client's end")
    assert counter.last > 200
    assert set(crowd.codes) == {1012}
    assert all(feeds.consecutive(numbers) for numbers in crowd.heard)
    lasts = [numbers[-1] for numbers in crowd.heard]
    assert max(lasts) - min(lasts) > 150
    market.wait_live(0)


def test_a_feed_that_goes_and_comes_back_keeps_its_source(start, source):
    market = source()
    made = feeds.config(market, workers=1, shutdown_timeout="3s")
    proxy = start(made)
    removed = copy.deepcopy(made)
    removed["feeds"][0]["name"] = removed["routes"][0]["feed"] = "other"
    with feeds.follow(proxy) as first, feeds.follow(proxy) as second:
        feeds.subscribers(proxy, 2)
        market.wait_live(1)
        proxy.reload(removed)
        assert first.close_code() == 1012
        proxy.reload(made)
        with feeds.follow(proxy) as late:
            feeds.subscribers(proxy, 2)
            market.publish(None, {"n": 1})
            assert feeds.number(second) == feeds.number(late) == 1
            assert second.close_code() == 1012
            feeds.subscribers(proxy, 1)
            market.publish(None, {"n": 2})
            assert feeds.number(late) == 2
            assert len(market.connections) == 1


def test_status_tells_of_a_feed_its_subscribers_and_its_source(start, source, followers):
    market = source()
    proxy = start(feeds.config(market))
    crowd = followers(proxy, 3)
    market.wait_live(1)
    feeds.subscribers(proxy, 3)
    market.publish(None, {"n": 1})
    crowd.wait(1)
    told = json.dumps(next(feed for feed in proxy.status()["feeds"] if feed["name"] == "ticker"))
    assert '"subscribers": 3' in told
    assert market.url in told


def test_other_channel_names_end_the_channels_that_there_are(start, source):
    """Story: the old channel's name was read by the new template, and its source asked for nonsense."""
    market = source()
    config = feeds.config(market)
    proxy = start(config)
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        config["feeds"][0]["channel"] = "$name"
        proxy.reload(config)
        assert client.close_code() == 1012
    with feeds.follow(proxy, "b") as client:
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1


def test_a_name_in_the_path_adds_nothing_to_the_sources_arguments(start, source):
    market = source()
    config = feeds.config(market, feed={"channel": "$name"})
    config["feeds"][0]["source"]["urls"] = [f"{market.url.rstrip('/')}/stream?key=ours&symbol=$name"]
    proxy = start(config)
    with feeds.follow(proxy, "x&key=theirs"):
        market.wait_live(1)
        assert market.live()[0].path == "/stream?key=ours&symbol=x%26key%3Dtheirs"
    with wire.connect(proxy.public) as client:
        client.send(wire.request("/feed/.."))
        assert client.head().status in (400, 404)


def test_text_that_is_none_ends_its_client_and_not_the_source(start, source):
    """Story: it was passed on, and a source that checks would have closed the connection of all."""
    market = source()
    proxy = start(feeds.config(market, feed={"client_messages": "forward"}))
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        client.send(wire.frame(wire.TEXT, b"\xff\xfe"))
        assert client.close_code() == 1002
    assert len(market.live()) == 1


def test_clients_that_say_too_much_cost_no_more_than_a_queue(start, source):
    """Story: what one client said waited for the source thread without a limit, a quarter of a gigabyte a second."""
    market = source()
    proxy = start(feeds.config(market, feed={"client_messages": "forward"}))
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        before = proxy.memory_bytes()
        flood = wire.frame(wire.TEXT, b"x") * 20000
        for _ in range(30):
            client.send(flood)
        harness.eventually(lambda: proxy.metric("holdfast_feed_client_messages_total", feed="ticker",
                                                result="dropped") > 0, what="messages that were dropped")
        # Without a limit it would be gigabytes. Sanitizers keep freed memory a while.
        assert proxy.memory_bytes() - before < (60 if harness.SLOWNESS == 1 else 400) << 20
