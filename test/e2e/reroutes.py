"""What the reroute scenarios share: backends moved by hand, crowds that talk numbered messages, what is told."""
import asyncio
import json
import queue
import re
import threading

import websockets

import backend as fake
import harness
import peers
import wire


def config(*addresses, reroute=None, route=None, **options):
    """As harness.config_for, with a route "all" that has these `reroute` keys."""
    return harness.config_for(*addresses, route={**(route or {}), "reroute": reroute or {}}, **options)


class Puppet(fake.Backend):
    """A fake backend whose legs the test moves itself: next() gives (stream, request head) of the next one, behind
    its 101. `mood` answers handshakes instead, when set; it is called as a script of fake.Backend is."""

    def __init__(self, mood=None, extra=(), **options):
        self.mood, self.extra = mood, extra
        self.legs = queue.Queue()
        self.over = threading.Event()
        super().__init__(self._hand_over, **options)

    def _hand_over(self, stream, head):
        if self.mood:
            return self.mood(stream, head)
        fake.switch(stream, head, extra=self.extra)
        self.legs.put((stream, head))
        self.over.wait()

    def next(self, seconds=10):
        try:
            return self.legs.get(timeout=seconds * harness.SLOWNESS)
        except queue.Empty:
            raise AssertionError(f"no leg came to {self.address} within {seconds * harness.SLOWNESS:g} s") from None

    def stop(self):
        self.over.set()
        super().stop()


def say(stream, text, masked=True):
    stream.send(wire.frame(wire.TEXT, text.encode(), masked=masked))


def heard(stream, text):
    """The next data frame is this text."""
    opcode, fin, payload = stream.data_frame()
    assert (opcode, fin, payload[:200]) == (wire.TEXT, True, text.encode()[:200])
    return payload == text.encode()


def talks(client, leg, text="are you there?"):
    """Client and leg hear each other, and nothing else came before."""
    say(client, text)
    assert heard(leg, text)
    say(leg, text + " yes", masked=False)
    assert heard(client, text + " yes")


def acknowledge(leg, client):
    """Makes sure that the proxy's kernel knows that the leg's has everything, without answering any message: a pong
    carries the acknowledgement that TCP would else delay."""
    leg.send(wire.frame(wire.PONG, b"got it", masked=False))
    while client.frame() != (wire.PONG, True, b"got it"):
        pass


def whose_turn(*puppets, seconds=20):
    """The puppet that has a new leg."""
    return harness.eventually(lambda: next((p for p in puppets if not p.legs.empty()), None), seconds, "a leg")


def next_leg(*puppets):
    """(stream, head) of the next leg, wherever it comes."""
    return whose_turn(*puppets).next()


def two_puppets(start, puppet, reroute=None, route=None, **options):
    """(proxy, client, its leg, that one's head, the puppet where the client is, the other one)."""
    one, two = puppet(), puppet()
    proxy = start(config(one.address, two.address, reroute=reroute, route=route, **options))
    client = wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS)
    here = whose_turn(one, two)
    leg, head = here.next()
    return proxy, client, leg, head, here, two if here is one else one


def reroutes(proxy, **labels):
    return proxy.metric("holdfast_reroutes_total", **labels)


def lost_messages(proxy):
    """(certainly, perhaps): what the proxy says of client messages that nobody answered."""
    return (proxy.metric("holdfast_messages_undelivered_total"), proxy.metric("holdfast_messages_unconfirmed_total"))


def log_lines(proxy, count, **fields):
    """Waits for `count` lines about reroutes with these fields; each as a dict."""
    def found():
        lines = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in proxy.log().splitlines() if " reroute " in line]
        return [line for line in lines if all(line.get(key) == str(value) for key, value in fields.items())]
    harness.eventually(lambda: len(found()) >= count, what=f"{count} log lines of reroutes with {fields}")
    return found()


def session_list(proxy, **query):
    words = "&".join(f"{key}={value}" for key, value in query.items())
    return json.loads(proxy.get("/sessions" + ("?" + words if words else ""))[1])["sessions"]


def only_session(proxy):
    """The one there is: a session is listed once its pump thread has it, a moment after the client's 101."""
    entries = harness.eventually(lambda: session_list(proxy), what="a listed session")
    assert len(entries) == 1, entries
    return entries[0]


def set_state(proxy, address, state, upstream="main"):
    status, told = proxy.get(f"/upstreams/{upstream}/backends/{address.replace(':', '%3A')}/{state}", method="POST")
    assert status == 200, told


def wait_sessions(proxy, address, count, seconds=20):
    """Until so many sessions are on that backend."""
    harness.eventually(lambda: proxy.backends()[address]["sessions"] == count, seconds,
                       f"{count} sessions on {address}")


class Talker:
    """One client of a crowd. Its messages are "NAME NUMBER PADDING"; the backends echo them."""

    def __init__(self, name, padding):
        self.name, self.padding = name, padding
        self.sent, self.got, self.wrong = 0, [], []
        self.closed = None  # the code, when the connection ended though nobody wanted it to
        self.connection = None
        self.last_word = False
        self.answered = asyncio.Event()

    def next_message(self):
        self.sent += 1
        return f"{self.name} {self.sent} {self.padding}"

    def take(self, message):
        name, number, padding = message.split(" ", 2)
        if name == self.name and number == "end":
            self.last_word = True
        elif name == self.name and padding == self.padding:
            self.got.append(int(number))
            self.answered.set()
        else:
            self.wrong.append(message[:200])


class Report:
    """What a crowd saw until everything was settled."""

    def __init__(self, talkers):
        self.sent = sum(talker.sent for talker in talkers)
        self.got = sum(len(set(talker.got)) for talker in talkers)
        self.lost = self.sent - self.got
        self.doubled = sum(len(talker.got) - len(set(talker.got)) for talker in talkers)
        self.disordered = sum(talker.got != sorted(talker.got) for talker in talkers)
        self.wrong = [message for talker in talkers for message in talker.wrong]
        self.closed = [talker.closed for talker in talkers if talker.closed is not None]

    def __repr__(self):
        return (f"{self.sent} sent, {self.got} came back, {self.lost} lost, {self.doubled} doubled, {self.disordered} "
                f"out of order, {len(self.wrong)} wrong, {len(self.closed)} closed {sorted(set(self.closed))}")

    def exactly_once(self):
        return not (self.lost or self.doubled or self.disordered or self.wrong or self.closed)

    def at_most_once(self):
        return not (self.doubled or self.disordered or self.wrong or self.closed)


class Crowd:
    """python3-websockets clients on a thread of their own; each sends a message, waits for its answer (2 seconds: it
    may be lost) and another `period` seconds. What a killed backend may have lost is only counted right if no earlier
    answer comes behind a later message; `eager` clients don't wait. `pieces`: each message in so many fragments.
    `shy`: nobody talks before begin()."""

    def __init__(self, uri, count, period=0.05, padding="", pieces=1, shy=False, eager=False, **options):
        self.uri, self.period, self.pieces, self.options = uri, period, pieces, options
        self.shy, self.eager = shy, eager
        self.talkers = [Talker(f"t{number}", padding) for number in range(count)]
        self.talking = True
        self.leaving = False
        self.failures = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        harness.eventually(lambda: self.failures or all(talker.connection for talker in self.talkers), 60,
                           f"{count} open sessions")
        assert not self.failures, self.failures[:3]

    def _run(self):
        asyncio.set_event_loop(self.loop)

        async def everybody():
            slots, self.begun = asyncio.Semaphore(50), asyncio.Event()
            await asyncio.gather(*(self._live(talker, slots) for talker in self.talkers))
        self.loop.run_until_complete(everybody())

    async def _live(self, talker, slots):
        try:
            async with slots:
                connection = await peers.connect(self.uri, **self.options)
        except Exception as error:
            self.failures.append(repr(error))
            return
        talker.connection = connection
        if not self.shy and all(each.connection for each in self.talkers):
            self.begun.set()
        speaking = asyncio.ensure_future(self._speak(talker))
        try:
            async for message in connection:
                talker.take(message)
        except websockets.ConnectionClosed:
            pass
        if not self.leaving:
            talker.closed = connection.close_code
        speaking.cancel()

    async def _speak(self, talker):
        try:
            await self.begun.wait()
            while self.talking:
                await talker.connection.send(self._cut(talker.next_message()))
                if not self.eager:
                    await self._answer_to(talker)
                await asyncio.sleep(self.period)
            # Sessions keep the order: once this comes back, all that is still missing is lost.
            while not talker.last_word:
                await talker.connection.send(f"{talker.name} end ")
                await asyncio.sleep(0.5)
        except websockets.ConnectionClosed:
            pass

    @staticmethod
    async def _answer_to(talker):
        talker.answered.clear()
        try:
            while not talker.got or talker.got[-1] < talker.sent:
                await asyncio.wait_for(talker.answered.wait(), 2 * harness.SLOWNESS)
                talker.answered.clear()
        except asyncio.TimeoutError:
            pass

    def begin(self):
        self.loop.call_soon_threadsafe(self.begun.set)

    def _cut(self, text):
        if self.pieces == 1:
            return text
        size = -(-len(text) // self.pieces)
        return [text[at:at + size] for at in range(0, len(text), size)]

    def all_go_on(self, seconds=20):
        """Until everybody has an answer to a message sent from now on, or was closed."""
        marks = [talker.sent for talker in self.talkers]

        def answered(talker, mark):
            return talker.closed is not None or (talker.got and talker.got[-1] > mark)
        harness.eventually(lambda: all(map(answered, self.talkers, marks)), seconds, "an answer for everybody")

    def settle(self, seconds=20):
        """Nobody talks any more and everything has come that will come."""
        self.talking = False
        harness.eventually(lambda: all(t.last_word or t.closed is not None for t in self.talkers), seconds,
                           "the last words")
        return Report(self.talkers)

    def stop(self):
        self.talking, self.leaving = False, True

        def end():
            for talker in self.talkers:
                talker.last_word = True
                if talker.connection:
                    talker.connection.transport.abort()
        self.loop.call_soon_threadsafe(end)
        self.thread.join(10)


class Ledger:
    """What backends received, in a file that survives their death (echo.js writes it, message by message)."""

    def __init__(self, file):
        self.file = file
        file.touch()

    def doubled(self):
        """Messages that backends received more than once, whoever they were."""
        seen, twice = set(), []
        for line in self.file.read_text().splitlines():
            if " end" in line:
                continue
            (twice.append if line in seen else seen.add)(line)
        return twice
