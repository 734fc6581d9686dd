"""Clients come, go and change their minds while a source is slow, is lost, or rotates: in the end all is as wanted."""
import json
import random
import threading
import time

import pytest

import exchanges
import feeds
import harness
import source as sources
import wire

SENSORS = {
    "id": "/ref",
    "client": [{"if": {"/op": "watch"}, "do": "subscribe", "keys": "/sensors/*",
                "reply": {"op": "watching", "sensors": "$keys", "ref": "$id"}},
               {"if": {"/op": "forget"}, "do": "unsubscribe", "keys": "/sensors/*"}],
    "replies": {"error": {"op": "error", "why": "$message", "ref": "$id"}, "gap": {"op": "gap", "id": "$key"}},
    "commands": {"subscribe": {"message": {"cmd": "add", "ids": "$keys"}, "max_keys": 50},
                 "unsubscribe": {"message": {"cmd": "remove", "ids": "$keys"}}},
    "source": [{"has": "/value", "do": "data", "key": "/id", "sequence": {"last": "/at"}}],
    "channels": [{"match": "*", "join": {"last": 1}, "on_lag": "conflate"}]}


class Sensors(exchanges.Json):
    """Answers nothing, does as it is told."""

    def message(self, connection, message):
        (connection.subscribe if message["cmd"] == "add" else connection.unsubscribe)(message["ids"])

    def commands(self, message):
        return (message["ids"], []) if message["cmd"] == "add" else ([], message["ids"])


def test_a_source_without_answers_is_believed_and_its_loss_is_told_in_the_clients_words(start, source, tmp_path):
    file = tmp_path / "sensors.json"
    file.write_text(json.dumps(SENSORS))
    market = source(Sensors())
    proxy = start(feeds.spoken(str(file), "/", market))
    with wire.open_session(proxy.public) as client:
        assert feeds.ask(client, {"op": "watch", "sensors": ["t1", "t2"], "ref": 5}) == \
            {"op": "watching", "sensors": ["t1", "t2"], "ref": 5}
        market.wait(lambda: market.live() and len(market.live()[0].keys) == 2)
        market.publish("t1", {"id": "t1", "at": 17, "value": 20.5})
        assert feeds.heard(client)["value"] == 20.5
        feeds.say(client, {"op": "forget", "sensors": ["t2"]})
        market.wait(lambda: market.unsubscribes("t2") == 1)
        market.kill()
        market.come_back()
        assert feeds.heard(client) == {"op": "gap", "id": "t1"}
        market.wait(lambda: market.live() and list(market.live()[0].keys) == ["t1"])
        market.publish("t1", {"id": "t1", "at": 1, "value": 0})  # it counts anew
        assert feeds.heard(client)["at"] == 1
        assert feeds.ask(client, {"op": "watch", "sensors": [], "ref": 6})["op"] == "error"


class Slow(exchanges.Binance):
    """Answers after a while."""
    pause = 0.3

    def message(self, connection, message):
        time.sleep(self.pause)
        super().message(connection, message)


def binance(start, source, dialect, limits=None, of_source=None, **feed):
    market = source(dialect, limits)
    made = feeds.spoken("binance", "/stream", market, source=of_source, **feed)
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    return market, start(made)


def subscribing(*keys, number=1, method="SUBSCRIBE"):
    return {"method": method, "params": list(keys), "id": number}


def test_an_ack_that_comes_when_all_have_left_is_followed_by_an_unsubscribe(start, source):
    market, proxy = binance(start, source, Slow(), linger="0s")
    with wire.open_session(proxy.public, "/stream") as stays, wire.open_session(proxy.public, "/stream") as leaves:
        feeds.say(stays, subscribing("a@trade"))
        feeds.say(leaves, subscribing("b@trade"))
        market.wait(lambda: market.subscribes("b@trade") == 1)
        leaves.reset()
        assert feeds.heard(stays) == {"result": None, "id": 1}
        market.wait(lambda: market.unsubscribes("b@trade") == 1)
        market.wait(lambda: list(market.live()[0].keys) == ["a@trade"])
        # And who comes at that moment is asked for anew, in the right order.
        for number in range(5):
            assert feeds.ask(stays, subscribing("c@trade", number=number))["id"] == number
            assert feeds.ask(stays, subscribing("c@trade", number=number, method="UNSUBSCRIBE"))["id"] == number
            time.sleep(0.05 * number)
        assert "result" in feeds.ask(stays, subscribing("c@trade", number=9))
        market.wait(lambda: sorted(market.live()[0].keys) == ["a@trade", "c@trade"])
        market.publish("c@trade", {"n": 1})
        assert feeds.heard(stays)["data"] == {"n": 1}
        feeds.quiet(stays)


class Wanderer(threading.Thread):
    """A client that subscribes and unsubscribes at random, comes and goes; notes what should not have been."""
    KEYS = [f"s{n}@trade" for n in range(10)]

    def __init__(self, proxy, seed, until):
        super().__init__(daemon=True)
        self.proxy, self.random, self.until = proxy, random.Random(seed), until
        self.wrong, self.heard = [], 0
        self.start()

    def run(self):
        try:
            while time.monotonic() < self.until:
                with wire.open_session(self.proxy.public, "/stream", timeout=20) as client:
                    self.wander(client)
                    if self.random.random() < 0.5:
                        client.reset()
        except Exception as error:
            self.wrong.append(repr(error))

    def wander(self, client):
        has, last = set(), {}
        for number in range(self.random.randrange(1, 30)):
            some = self.random.sample(self.KEYS, self.random.randrange(1, 5))
            method = self.random.choice(("SUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE"))
            feeds.say(client, subscribing(*some, number=number, method=method))
            while True:
                message = feeds.heard(client)
                if "id" in message:
                    if message != {"result": None, "id": number}:
                        self.wrong.append(message)
                    break
                self.note(message, has, last)
            has = has | set(some) if method == "SUBSCRIBE" else has - set(some)
            for key in some:
                last.pop(key, None)

    def note(self, message, has, last):
        key, number = message["stream"], message["data"]["n"]
        self.heard += 1
        if key not in has:
            self.wrong.append(f"{key} was not subscribed")
        if number <= last.get(key, 0):
            self.wrong.append(f"{key}: {number} after {last[key]}")
        last[key] = number


@pytest.mark.parametrize("trouble", ["none", "rotation", "loss"])
def test_clients_that_wander_hear_what_they_asked_for_and_leave_nothing(start, source, trouble):
    class Quick(Slow):
        pause = 0.01

    market, proxy = binance(start, source, Quick(), linger="0s", request_timeout="30s",
                            of_source={"limits": {"messages_per_second": 500},
                                       **({"rotate_after": "1s"} if trouble == "rotation" else {})})
    until = time.monotonic() + 5
    crowd = [Wanderer(proxy, seed, until) for seed in range(12)]
    number = 0
    while any(each.is_alive() for each in crowd):
        number += 1
        for key in Wanderer.KEYS:
            market.publish(key, {"n": number})
        if trouble == "loss" and number % 100 == 0:
            market.kill()
            market.come_back()
        time.sleep(0.01)
    assert [each.wrong for each in crowd if each.wrong] == []
    assert sum(each.heard for each in crowd) > 100
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)
    assert proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 0
    feeds.subscribers(proxy, 0)
    market.wait(lambda: not any(each.keys for each in market.live()))
    # And all works as at the beginning.
    with wire.open_session(proxy.public, "/stream") as client:
        assert "result" in feeds.ask(client, subscribing(*Wanderer.KEYS))
        market.wait(lambda: any(len(each.keys) == 10 for each in market.live()))
        for key in Wanderer.KEYS:
            market.publish(key, {"n": 0})
        assert sorted(feeds.heard(client)["stream"] for _ in range(10)) == Wanderer.KEYS
        feeds.quiet(client)


def test_a_feed_with_a_dialect_has_its_place_in_metrics_and_status(start, source):
    market, proxy = binance(start, source, exchanges.Binance(), sources.Limits(5, 1024, 300))
    with wire.open_session(proxy.public, "/stream") as client:
        feeds.ask(client, subscribing("a@trade", "b@trade"))
        market.wait_live(1)
        assert proxy.metric("holdfast_feed_channels", feed="ticker") == 2
        assert proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 2
        (feed,) = proxy.status()["feeds"]
        assert feed["name"] == "ticker" and json.dumps(feed).count("open") >= 1
