"""Sources that do as a test says: WebSocket servers that broadcast, speak an exchange's dialect (exchanges.py),
enforce its limits on whoever connects, remember all that they got, and misbehave when asked to.

    source = Source(Binance(), Limits(messages_per_second=5), port=0)
    source.publish("btcusdt@trade", {"e": "trade"})     to every connection that is subscribed
    with source.counting(rate=500): …                    the numbers 1, 2, 3 … as {"n":N}
    source.kill(); source.come_back()                    on the same port
"""
import contextlib
import dataclasses
import json
import random
import struct
import threading
import time
import zlib

import backend
import exchanges
import wire


@dataclasses.dataclass
class Limits:
    """What the source allows one peer; None = anything. A breach is recorded and ends the connection."""
    messages_per_second: int | None = None  # incoming; pings and pongs count
    streams_per_connection: int | None = None
    connects: int | None = None  # in any `connects_window` seconds; one more gets 429
    connects_window: float = 300
    maximum_age: float | None = None  # seconds; the source then closes
    subscribe_within: float | None = None
    ping_every: float | None = None
    pong_within: float = 60


class Connection:
    """One peer. `commands` = its text messages in order; `over` = why the source ended it, or "gone"."""

    def __init__(self, source, stream, head):
        self.source, self.stream, self.head = source, stream, head
        self.path = head.start.split()[1]
        self.opened_at = time.monotonic()
        self.commands, self.pings, self.pongs = [], 0, 0
        self.keys = {}  # in order
        self.over = None
        self.arrivals = []  # times of the last second's messages
        self.subscribed_once = False
        self.ping_sent = self.pong_due = None
        self.held = None  # the message that a later one overtakes
        self.deflated = False
        self.lock = threading.RLock()  # frames of several threads don't mix

    def say(self, message):
        """An object as JSON, or text, or bytes. Nothing while the source is silent."""
        if self.source.silent or self.over:
            return
        data = json.dumps(message, separators=(",", ":")) if isinstance(message, (dict, list)) else message
        self._disturbed(data)

    def data(self, key, fields):
        """A data message of a key, in the dialect's shape."""
        shaped = self.source.dialect.shape(self, key, fields)
        for message in shaped if isinstance(shaped, list) else [shaped]:
            self.say(message)

    def _disturbed(self, data):
        mood = self.source.mood
        if mood.delay:
            time.sleep(mood.delay)
        with self.lock:
            turn = [data]
            if mood.reorder and self.held is None:
                self.held, turn = data, []
            elif self.held is not None:
                self.held, turn = None, [data, self.held]
            for each in turn:
                for _ in range(2 if mood.duplicate else 1):
                    self._send(each)

    def _send(self, data):
        opcode = wire.BINARY if isinstance(data, bytes) else wire.TEXT
        payload = data if isinstance(data, bytes) else data.encode()
        reserved = 0
        if self.deflated:
            deflater = zlib.compressobj(wbits=-15)
            payload = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
            reserved = 4
        pieces = max(1, min(self.source.mood.fragments, len(payload)))
        size = max(1, -(-len(payload) // pieces))
        parts = [payload[at:at + size] for at in range(0, len(payload), size)] or [b""]
        self.raw(b"".join(
            wire.frame(opcode if n == 0 else wire.CONTINUATION, part, fin=n == len(parts) - 1, masked=False,
                       reserved=reserved if n == 0 else 0) for n, part in enumerate(parts)))

    def raw(self, data):
        try:
            with self.lock:
                self.stream.send(data)
        except OSError:
            self.finish("gone")

    def subscribe(self, keys):
        """False when that was too much, and the connection is at its end."""
        self.subscribed_once = True
        self.keys.update(dict.fromkeys(keys))
        most = self.source.limits.streams_per_connection
        if most is not None and len(self.keys) > most:
            self.end(1008, "too many streams", violation="streams per connection")
            return False
        return True

    def unsubscribe(self, keys):
        for key in keys:
            self.keys.pop(key, None)

    def end(self, code, why, violation=None):
        if violation:
            self.source.record(violation)
        self.raw(wire.close_frame(code, why.encode(), masked=False))
        self.finish(violation or why)

    def finish(self, why):
        self.over = self.over or why
        with contextlib.suppress(OSError):
            self.stream.sock.shutdown(2)

    def ping_payload(self):
        """A pong counts when it brings this back."""
        return repr(self.ping_sent).encode()

    def counts(self):
        """A message came; False when it is one too many for this second."""
        now = time.monotonic()
        self.arrivals = [at for at in self.arrivals if at > now - 1] + [now]
        most = self.source.limits.messages_per_second
        return most is None or len(self.arrivals) <= most


@dataclasses.dataclass
class Mood:
    """What is done to everything that the source says."""
    delay: float = 0        # seconds before each message
    duplicate: bool = False
    reorder: bool = False   # each pair is swapped
    fragments: int = 1


class Source:
    """`deflate`: permessage-deflate is agreed on when offered. Ends with stop()."""

    def __init__(self, dialect=None, limits=None, port=0, tls=None, deflate=False, host="127.0.0.1"):
        self.dialect, self.limits = dialect or exchanges.Opaque(), limits or Limits()
        self.tls, self.deflate, self.host = tls, deflate, host
        self.mood, self.silent = Mood(), False
        self.connections = []  # all that there ever were
        self.violations = []
        self.connects = []
        self.changed = threading.Condition()
        self.ended = threading.Event()
        self._listen(port)
        threading.Thread(target=self._watch, daemon=True).start()

    def _listen(self, port):
        self.backend = backend.Backend(self._serve, port=port, tls=self.tls, host=self.host)
        self.address = self.backend.address
        self.port = int(self.address.rsplit(":", 1)[1])
        self.url = f"{'wss' if self.tls else 'ws'}://{self.address}/"

    # What came in.

    def live(self):
        return [each for each in list(self.connections) if each.over is None]

    def commands(self):
        """All text messages of all connections, in order within a connection."""
        return [text for each in list(self.connections) for text in list(each.commands)]

    def _named(self, key, which):
        return sum(self.dialect.subscribed(text)[which].count(key) for text in self.commands())

    def subscribes(self, key):
        """How often a message asked for this key, on any connection."""
        return self._named(key, 0)

    def unsubscribes(self, key):
        return self._named(key, 1)

    def wait(self, condition, seconds=10, what="the source's condition"):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come true within {seconds:g} s; commands: {self.commands()[-5:]}")
            with self.changed:
                self.changed.wait(0.02)  # not all that is counted is told

    def wait_live(self, count, seconds=10):
        """The live connections, once there are exactly so many."""
        self.wait(lambda: len(self.live()) == count, seconds, f"{count} live connections")
        return self.live()

    def record(self, violation):
        with self.changed:
            self.violations.append(violation)
            self.changed.notify_all()

    # What goes out.

    def broadcast(self, data):
        for each in self.live():
            each.say(data)

    def publish(self, key, fields):
        for each in self.live():
            if self.dialect.hears(each, key):
                each.data(key, fields)

    @contextlib.contextmanager
    def counting(self, rate, key=None, size=0, first=1):
        """Publishes {"n": first}, {"n": first + 1} … at this rate; gives an object whose `last` is the last one."""
        counter, stop = Counter(first - 1), threading.Event()

        def count():
            due = time.monotonic()
            while not stop.is_set():
                message = {"n": counter.last + 1}
                if size:
                    message["pad"] = "x" * max(0, size - len(json.dumps(message)) - 10)
                self.publish(key, message)
                counter.last += 1
                due += 1 / rate
                stop.wait(max(0.0, due - time.monotonic()))
        thread = threading.Thread(target=count, daemon=True)
        thread.start()
        try:
            yield counter
        finally:
            stop.set()
            thread.join()

    def garbage(self, seed=1):
        """Bytes that are no frames, then the end."""
        noise = random.Random(seed).randbytes(300)
        for each in self.live():
            each.raw(b"\xff" + noise)  # reserved bits and an unknown opcode at once
            each.finish("garbage")

    # Life and death.

    def kill(self):
        """Listener and connections go at once, without a Close; the port refuses."""
        self.backend.stop()
        for each in self.live():
            each.finish("killed")

    def come_back(self):
        self._listen(self.port)

    def stop(self):
        self.ended.set()
        self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # A connection's life.

    def _serve(self, stream, head):
        now = time.monotonic()
        with self.changed:
            self.connects = [at for at in self.connects if at > now - self.limits.connects_window] + [now]
            too_many = self.limits.connects is not None and len(self.connects) > self.limits.connects
        if too_many:
            self.record("connects")
            return stream.send(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection = Connection(self, stream, head)
        offer = ",".join(head.all("sec-websocket-extensions"))
        extra = []
        if self.deflate and "permessage-deflate" in offer:
            connection.deflated = True
            extra = [("Sec-WebSocket-Extensions",
                      "permessage-deflate; server_no_context_takeover; client_no_context_takeover")]
        stream.sock.settimeout(None)
        backend.switch(stream, head, extra=extra)
        self.dialect.opened(connection)
        with self.changed:
            self.connections.append(connection)
            self.changed.notify_all()
        try:
            self._read(connection)
        finally:
            with self.changed:
                connection.over = connection.over or "gone"
                self.changed.notify_all()
        return None

    def _read(self, connection):
        message = b""
        deflated = False
        while connection.over is None:
            opcode, fin, payload = connection.stream.frame()
            reserved = connection.stream.reserved
            if opcode == wire.CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else None
                connection.raw(wire.close_frame(code, masked=False))
                return connection.finish(f"closed with {code}")
            if fin and not connection.counts():
                return connection.end(1008, "too many requests", violation="messages per second")
            if opcode == wire.PING:
                connection.pings += 1
                if not self.silent:
                    connection.raw(wire.frame(wire.PONG, payload, masked=False))
            elif opcode == wire.PONG:
                connection.pongs += 1
                if payload == connection.ping_payload():
                    connection.pong_due = None
            else:
                deflated = reserved == 4 if opcode != wire.CONTINUATION else deflated
                message += payload
                if fin:
                    self._take(connection, inflated(message) if deflated else message)
                    message = b""
        return None

    def _take(self, connection, message):
        text = message.decode(errors="replace")
        with self.changed:
            connection.commands.append(text)
            self.changed.notify_all()
        self.dialect.take(connection, text)

    def _watch(self):
        """The source's own clock."""
        while not self.ended.wait(0.02):
            now = time.monotonic()
            for each in self.live():
                self._look_at(each, now)

    def _look_at(self, connection, now):
        limits, age = self.limits, now - connection.opened_at
        if limits.maximum_age is not None and age > limits.maximum_age:
            connection.end(1001, "maximum age")
        elif limits.subscribe_within is not None and not connection.subscribed_once and age > limits.subscribe_within:
            connection.end(1008, "no subscription", violation="subscribe within")
        elif connection.pong_due is not None and now > connection.pong_due:
            connection.end(1008, "no pong", violation="pong within")
        elif limits.ping_every is not None and not self.silent and \
                now > (connection.ping_sent or connection.opened_at) + limits.ping_every:
            connection.ping_sent = now
            connection.pong_due = connection.pong_due or now + limits.pong_within
            connection.raw(wire.frame(wire.PING, connection.ping_payload(), masked=False))


@dataclasses.dataclass
class Counter:
    last: int


def inflated(message):
    return zlib.decompressobj(wbits=-15).decompress(message + b"\0\0\xff\xff")
