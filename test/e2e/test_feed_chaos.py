"""Clients, a source and an operator that do as they like at the same time, seeded: who stays is answered once for
each of his messages, and when all have gone nothing is left of it."""
import asyncio
import json
import random
import time

import pytest

import exchanges
import feeds
import harness
import peers
import wire

KEYS = [f"k{n}@trade" for n in range(12)]
NOISE = ["{", "[1]", '{"result":null}', '{"id":null,"error":{"code":2}}', '{"id":99999999,"result":null}',
         '{"stream":"nobody@trade","data":{}}', "\x00", b"\xff\x00"]


class Moody(exchanges.Binance):
    """Answers as it likes until it is cured."""

    def __init__(self, seed):
        self.random, self.cured = random.Random(seed), False

    def message(self, connection, message):
        mood = 1.0 if self.cured else self.random.random()
        if mood < 0.10:
            return None  # no answer
        if mood < 0.20:
            return connection.say({"error": {"code": 2, "msg": "no"}, "id": message["id"]})
        if mood < 0.25:
            return connection.end(1011, "not now")
        if mood < 0.35:
            for noise in NOISE:
                connection.say(noise)
        if mood < 0.45:
            time.sleep(0.3)
        super().message(connection, message)
        if mood < 0.25 + 0.30 and not self.cured:
            super().message(connection, message)  # once more
        return None


class Client:
    """Says some of all that can be said, then waits for its answers, or vanishes."""

    def __init__(self, address, seed):
        self.address, self.random = address, random.Random(seed)
        self.asked, self.answered = [], []

    def message(self, number):
        keys = self.random.choices(KEYS, k=self.random.randint(1, 4))
        return self.random.choice([
            {"method": "SUBSCRIBE", "params": keys, "id": number},
            {"method": "SUBSCRIBE", "params": keys + keys, "id": number},
            {"method": "UNSUBSCRIBE", "params": keys, "id": number},
            {"method": "UNSUBSCRIBE", "params": ["never@had"], "id": number},
            {"method": "LIST_SUBSCRIPTIONS", "id": number},
            {"method": "NONSENSE", "id": number}])

    async def run(self):
        stays = self.random.random() < 0.5
        client = await peers.connect(self.address)
        try:
            for number in range(self.random.randint(1, 12)):
                await client.send(json.dumps(self.message(number)))
                self.asked.append(number)
                if self.random.random() < 0.2:
                    await asyncio.sleep(self.random.random() * 0.1)
            if not stays:
                self.asked = []
                return client.transport.abort()
            while len(self.answered) < len(self.asked):
                told = json.loads(await asyncio.wait_for(client.recv(), 10 * harness.SLOWNESS))
                if "id" in told and told["id"] is not None:
                    self.answered.append(told["id"])
            return await client.close()
        finally:
            client.transport.abort()


async def crowd(address, seed, seconds, done):
    """Forty at a time."""
    generator = random.Random(seed)
    end = time.monotonic() + seconds

    async def one_after_another():
        while time.monotonic() < end:
            client = Client(address, generator.random())
            done.append(client)
            await client.run()
    await asyncio.gather(*(one_after_another() for _ in range(40)))


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_who_stays_is_answered_and_nothing_is_left(start, source, seed):
    market = source(Moody(seed))
    made = feeds.spoken("binance", "/stream", market, request_timeout="1s", linger="200ms",
                        source={"retry_max": "100ms", "limits": {"messages_per_second": 50}})
    feed = made["feeds"][0]
    feed["source"]["urls"] = [market.url + "stream"]
    proxy = start(made)
    done, generator = [], random.Random(seed)

    async def all_of_it():
        uri = f"ws://{proxy.public}/stream"
        clients = asyncio.ensure_future(crowd(uri, seed, 6, done))
        while not clients.done():
            await asyncio.sleep(0.4)
            for key in generator.sample(KEYS, 4):
                market.publish(key, {"n": 1})
            feed.update({"linger": generator.choice(["0s", "200ms"]),
                         "request_timeout": generator.choice(["500ms", "1s"]),
                         "max_channels": generator.choice([6, 1000]),
                         "max_channels_per_client": generator.choice([0, 3])})
            feed["source"]["limits"] = {"messages_per_second": generator.choice([3, 50]),
                                        "subscriptions_per_connection": generator.choice([2, 1000])}
            await asyncio.to_thread(proxy.reload, made)
        await clients
    asyncio.run(all_of_it())
    stayed = [each for each in done if each.asked]
    assert len(stayed) > 20
    for each in stayed:
        assert sorted(each.answered) == each.asked
    market.dialect.cured = True
    feeds.subscribers(proxy, 0)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0, what="no channels")
    assert proxy.metric("holdfast_feed_subscriptions", feed="ticker") == 0
    market.wait(lambda: not any(each.keys for each in market.live()), 20)
    with wire.open_session(proxy.public, "/stream") as client:
        fine = {"method": "SUBSCRIBE", "params": ["a@trade"], "id": "fine"}
        harness.eventually(lambda: "result" in feeds.ask(client, fine), 20)
        market.wait(lambda: any("a@trade" in each.keys for each in market.live()))
        market.publish("a@trade", {"n": 1})
        assert feeds.heard(client)["data"] == {"n": 1}
