"""What the feed scenarios share: a config, followers that count what they hear, real clients that do."""
import asyncio
import json
import threading

import websockets

import harness
import peers
import wire


def config(*sources, feed=None, source=None, route=None, **options):
    """A listener "public", and a feed "ticker" of these sources on /feed/:name."""
    made = harness.config_for(**options)
    del made["upstreams"]
    made["feeds"] = [{"name": "ticker", "source": {"urls": [each.url for each in sources], "retry_max": "300ms",
                                                   **(source or {})}, **(feed or {})}]
    made["routes"] = [{"name": "feed", "path": "/feed/:name", "feed": "ticker", **(route or {})}]
    return made


def spoken(dialect, path, *markets, source=None, **feed):
    """The same with a dialect and another path."""
    made = config(*markets, source=source, feed={"dialect": dialect, "linger": "500ms", **feed})
    made["routes"][0]["path"] = path
    return made


def say(client, message):
    client.send(wire.frame(wire.TEXT, (message if isinstance(message, str) else json.dumps(message)).encode()))


def raw(client):
    """The next message, as it stands there."""
    opcode, _, payload = client.data_frame()
    assert opcode == wire.TEXT, f"opcode {opcode}: {payload}"
    return payload.decode()


def heard(client):
    return json.loads(raw(client))


def ask(client, message):
    say(client, message)
    return heard(client)


def quiet(client):
    """Nothing waits for it: the pong to a ping is what comes next."""
    client.send(wire.frame(wire.PING, b"quiet?"))
    opcode, _, payload = client.frame()
    while opcode == wire.PING:
        opcode, _, payload = client.frame()
    assert (opcode, payload) == (wire.PONG, b"quiet?"), payload


def uri(proxy, name="all", scheme="ws"):
    return f"{scheme}://{proxy.public}/feed/{name}"


class Followers:
    """python3-websockets clients on a thread of their own; each remembers the numbers n of the {"n":N} it heard."""

    def __init__(self, address, count, **options):
        self.heard = [[] for _ in range(count)]
        self.codes = [None] * count  # of those that ended
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.clients = asyncio.run_coroutine_threadsafe(
            self._open(address, count, options), self.loop).result(60 * harness.SLOWNESS)

    async def _open(self, address, count, options):
        gate = asyncio.Semaphore(50)

        async def one():
            async with gate:
                return await peers.connect(address, **options)
        clients = await asyncio.gather(*(one() for _ in range(count)))
        self.tasks = [asyncio.ensure_future(self._listen(n, client)) for n, client in enumerate(clients)]
        return clients

    @staticmethod
    def note(message):
        return json.loads(message)["n"]

    async def _listen(self, number, client):
        try:
            async for message in client:
                self.heard[number].append(self.note(message))
        except websockets.ConnectionClosed:
            pass
        self.codes[number] = client.close_code

    def wait(self, last, seconds=20):
        """Until each has heard this number, or a later one."""
        harness.eventually(lambda: all(numbers and numbers[-1] >= last for numbers in self.heard), seconds,
                           f"message {last} at every client")
        return self.heard

    def alive(self):
        return self.codes.count(None)

    def stop(self):
        async def end():
            for client in self.clients:
                client.transport.abort()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(20 * harness.SLOWNESS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Talkers(Followers):
    """The same for clients that speak; each remembers the texts that it heard."""

    @staticmethod
    def note(message):
        return message

    def say(self, text):
        """Each says it."""
        async def all_of_them():
            await asyncio.gather(*(client.send(text) for client in self.clients), return_exceptions=True)
        asyncio.run_coroutine_threadsafe(all_of_them(), self.loop).result(60 * harness.SLOWNESS)

    def wait(self, count, seconds=20):
        """Until each has heard so many."""
        harness.eventually(lambda: all(len(texts) >= count for texts in self.heard), seconds,
                           f"{count} messages at every client")
        return self.heard


def follow(proxy, name="all", **options):
    """A raw client of a feed."""
    return wire.open_session(proxy.public, f"/feed/{name}", **options)


def number(stream):
    """Of the next message."""
    return json.loads(stream.data_frame()[2])["n"]


def subscribers(proxy, count, seconds=10):
    """Waits until the feed has exactly so many."""
    harness.eventually(lambda: proxy.metric("holdfast_feed_subscribers", feed="ticker") == count, seconds,
                       f"{count} subscribers")


def counted(proxy, name, count):
    """Waits until a counter of the feed has come to this: threads count after they have sent."""
    harness.eventually(lambda: proxy.metric(name, feed="ticker") == count, what=f"{name} = {count}")


def consecutive(numbers):
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
