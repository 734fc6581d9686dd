"""The rows of test/bench/feeds: what each one asks of a server, and what it reads off it."""
import contextlib
import dataclasses
import json
import pathlib
import re
import select
import statistics
import subprocess
import threading
import time

import feed_servers
import rows
import stage

PAGE = 4096
PATIENCE = 120  # seconds


class Crowd:
    """bench_load's source and clients, in one process."""

    def __init__(self, loader, clients, stalled, size, transport, deflate, source):
        self.process = stage.start(
            [loader, "feed", clients, stalled, size, transport, "deflate" if deflate else "identity", source],
            stage.LOAD_CPU, stage.BEFORE_STRANGERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.source_port = int(self._answer("port"))

    def _line(self):
        """The next line; the process says few, and never two at once."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise RuntimeError(f"the load client said nothing for {PATIENCE} s")
        return self.process.stdout.readline()

    def _answer(self, word):
        line = self._line().split()
        if not line or line[0] != word:
            raise RuntimeError(f"the load client ended, or said {line}")
        return line[1] if len(line) > 1 else ""

    def ask(self, order, word="ok"):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self._answer(word)

    def connect(self, port, publish_port):
        self.ask(f"connect {port} {publish_port}", "open")

    def pause(self):
        """Messages that never came, of all clients that read."""
        return int(self.ask("pause", "paused"))

    def report(self):
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        return json.loads(self._line() or "{}")

    def measure(self, seconds):
        self.ask("reset")
        time.sleep(seconds)
        report = self.report()
        if not report.get("deliveries"):
            raise RuntimeError("nothing was delivered")
        return report

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def before_clients(kind, options, folder, clients, transport="plain", size=256, stalled=0, deflate=False):
    """A server, and the source and clients that will be connected to it."""
    crowd = Crowd(options.loader, clients, stalled, size, transport, deflate,
                  feed_servers.source_kind(kind, options.publisher))
    server = None
    try:
        server = feed_servers.start(kind, folder, crowd.source_port, deflate, options.binary)
        yield crowd, server
    finally:
        crowd.stop()
        if server:
            server.stop()


@contextlib.contextmanager
def feed(kind, options, folder, clients, transport="plain", **rest):
    """A server with all its clients connected; nothing is said yet."""
    with before_clients(kind, options, folder, clients, transport, **rest) as (crowd, server):
        crowd.connect(server.port(transport), server.plain_port)
        yield crowd, server


class Cpu:
    """Seconds of the server's processes, and of its whole CPU, since it was made."""

    def __init__(self, server):
        self.server, self.process, self.core = server, server.cpu_seconds(), stage.core_seconds()

    def used(self):
        return self.server.cpu_seconds() - self.process, stage.core_seconds() - self.core


def faults(report, missing):
    """Messages that a client got twice, late, never, or broken: there must be none."""
    return report["skipped"] + report["doubled"] + report["broken"] + missing


class Row:
    """`columns`: what a table shows of the values that measure() returns."""

    def summary(self, rounds):
        return {name: statistics.median(values[name] for values in rounds) for name in self.columns}


@dataclasses.dataclass(frozen=True)
class Most(Row):
    """As many deliveries as the server gives: a window of messages on their way, of several sizes; the best one
    counts whose latency keeps its bound, or the best of all if none does."""
    transport: str
    clients: int
    windows: tuple
    bound_ms: float  # p99
    columns = {"rate": "deliveries/s", "p50": "p50 ms", "p99": "p99 ms", "spread": "first to last p99 ms",
               "window": "window", "most": "deliveries/s at any latency", "server": "server's core %",
               "client": "client's core %", "faults": "faults"}

    def title(self, _options):
        return f"{self.transport}, 256 B x {self.clients}, as many as come (p99 at most {self.bound_ms:g} ms)"

    def measure(self, kind, options, folder):
        """For each window, "rate@N" and so on."""
        values = {"faults": 0}
        with feed(kind, options, folder, self.clients, self.transport) as (crowd, server):
            for window in self.windows:
                crowd.ask(f"window {window}")
                time.sleep(0.5)
                cpu = Cpu(server)
                report = crowd.measure(options.seconds / 2)
                found = {"rate": report["deliveries"] / report["seconds"], "p50": report["latency"]["p50"],
                         "p99": report["latency"]["p99"], "spread": report["spread"]["p99"],
                         "server": cpu.used()[0] / report["seconds"] * 100, "client": report["cpu"] * 100}
                values |= {f"{name}@{window}": value for name, value in found.items()}
                values["faults"] += faults(report, 0)
            values["faults"] += crowd.pause()
        return values

    def summary(self, rounds):
        """The window is chosen by medians: a stranger who spoils the latency of one would choose it otherwise."""
        middle = {name: statistics.median(values[name] for values in rounds) for name in rounds[0]}
        good = [window for window in self.windows if middle[f"p99@{window}"] <= self.bound_ms]
        best = max(good or self.windows, key=lambda window: middle[f"rate@{window}"])
        chosen = {name: middle[f"{name}@{best}"] for name in ("rate", "p50", "p99", "spread", "server", "client")}
        return {**chosen, "window": best, "most": max(middle[f"rate@{window}"] for window in self.windows),
                "faults": max(values["faults"] for values in rounds)}


@dataclasses.dataclass(frozen=True)
class Offered(Row):
    """The goal's rate, evenly: is it delivered, and how late? Latency counts from when a message was meant to leave;
    so that nobody has to queue without end, a message waits at the source while `most` are on their way."""
    transport: str
    clients: int
    deliveries: int  # a second
    most = 256
    columns = {"rate": "deliveries/s", "share": "of the offered %", "p50": "p50 ms", "p99": "p99 ms",
               "spread": "first to last p99 ms", "server": "server's core %", "client": "client's core %",
               "faults": "faults"}

    def title(self, _options):
        return f"{self.transport}, 256 B x {self.clients}, {self.deliveries:,} deliveries/s offered"

    def measure(self, kind, options, folder):
        with feed(kind, options, folder, self.clients, self.transport) as (crowd, server):
            crowd.ask(f"pace {self.deliveries // self.clients} {self.most}")
            time.sleep(1)
            cpu = Cpu(server)
            report = crowd.measure(options.seconds)
            used = cpu.used()[0]
            rate = report["deliveries"] / report["seconds"]
            return {"rate": rate, "share": rate / self.deliveries * 100, "p50": report["latency"]["p50"],
                    "p99": report["latency"]["p99"], "spread": report["spread"]["p99"],
                    "server": used / report["seconds"] * 100, "client": report["cpu"] * 100,
                    "faults": faults(report, crowd.pause())}


@dataclasses.dataclass(frozen=True)
class Paced(Row):
    """A fixed rate of messages: what a delivery costs."""
    transport: str
    clients: int = 1000
    deliveries: int = 100_000  # a second
    compressions: tuple = (False,)
    columns = {"cpu": "CPU us per delivery", "core": "whole core us", "p50": "p50 ms", "p99": "p99 ms",
               "spread": "first to last p99 ms", "client": "client's core %", "faults": "faults"}

    def title(self, _options):
        return f"{self.transport}, 256 B x {self.clients}, {self.deliveries} deliveries/s"

    def measure(self, kind, options, folder):
        return self.window(kind, options, folder, False)

    def window(self, kind, options, folder, deflate):
        with feed(kind, options, folder, self.clients, self.transport, deflate=deflate) as (crowd, server):
            crowd.ask(f"pace {self.deliveries // self.clients}")
            time.sleep(1)
            cpu = Cpu(server)
            report = crowd.measure(options.seconds)
            process, core = cpu.used()
            missing = crowd.pause()
            if deflate and report["deflating"] != self.clients:
                raise RuntimeError(f"{kind} agreed on permessage-deflate with {report['deflating']} clients only")
            done = report["deliveries"]
            return {"cpu": process / done * 1e6, "core": core / done * 1e6, "p50": report["latency"]["p50"],
                    "p99": report["latency"]["p99"], "spread": report["spread"]["p99"],
                    "client": report["cpu"] * 100, "bytes": report["bytes"] / done,
                    "faults": faults(report, missing)}


@dataclasses.dataclass(frozen=True)
class Deflate(Paced):
    """The same with permessage-deflate and without it, one after the other."""
    columns = {"off": "CPU us per delivery, off", "on": "on", "ratio": "on / off", "size": "bytes per delivery, on",
               "p99": "p99 ms, on", "faults": "faults"}

    def title(self, options):
        return "permessage-deflate, " + super().title(options)

    def measure(self, kind, options, folder):
        off, on = (self.window(kind, options, folder, deflate) for deflate in (False, True))
        return {"off": off["cpu"], "on": on["cpu"], "ratio": on["cpu"] / max(off["cpu"], 1e-9), "size": on["bytes"],
                "p99": on["p99"], "faults": off["faults"] + on["faults"]}


@dataclasses.dataclass(frozen=True)
class Idle(Row):
    """Subscribers to whom nothing is said."""
    transport: str
    columns = {"bytes": "bytes per subscriber", "after": "after a message each"}

    def title(self, options):
        return f"{self.transport}, {options.idle_clients} idle subscribers, Pss"

    def measure(self, kind, options, folder):
        clients = options.idle_clients
        with before_clients(kind, options, folder, clients, self.transport) as (crowd, server):
            empty = rows.settled_memory(server)
            crowd.connect(server.port(self.transport), server.plain_port)
            silent = rows.settled_memory(server) - empty
            crowd.ask("window 1")
            time.sleep(1)
            if crowd.pause():
                raise RuntimeError(f"{kind} did not give every subscriber its message")
            return {"bytes": silent / clients, "after": (rows.settled_memory(server) - empty) / clients}


def kernel_socket_bytes():
    """Of all TCP sockets of the machine."""
    text = pathlib.Path("/proc/net/sockstat").read_text()
    return int(re.search(r"^TCP:.* mem (\d+)", text, re.M)[1]) * PAGE


class Watch:
    """The most memory, the server's own and the kernel's for sockets, that is seen until it is read."""

    def __init__(self, server):
        self.server, self.ended = server, threading.Event()
        self.before = (server.pss_bytes(), kernel_socket_bytes())
        self.most = self.before
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        while not self.ended.wait(0.5):
            now = (self.server.pss_bytes(), kernel_socket_bytes())
            self.most = tuple(map(max, self.most, now))

    def growth(self):
        self.ended.set()
        self.thread.join()
        return tuple(most - before for most, before in zip(self.most, self.before))


@dataclasses.dataclass(frozen=True)
class Stalled(Row):
    """Half of the clients never read: what they cost in memory, and the others in latency."""
    transport: str = "plain"
    clients: int = 200
    rate: int = 500
    size: int = 1024
    columns = {"memory": "memory +MB", "kernel": "kernel's socket memory +MB", "p50": "healthy p50 ms",
               "p99": "healthy p99 ms", "alone": "p99 ms without stalled ones", "ratio": "p99 ratio",
               "closed": "stalled clients closed", "faults": "faults"}

    def title(self, options):
        return (f"{self.transport}, {self.clients} clients, half of them stalled, {self.rate} messages/s x "
                f"{self.size} B, {options.stalled_seconds} s")

    def window(self, kind, options, folder, stalled):
        healthy = self.clients // 2
        with feed(kind, options, folder, healthy + stalled, self.transport,
                  size=self.size, stalled=stalled) as (crowd, server):
            watch = Watch(server)
            crowd.ask(f"pace {self.rate}")
            report = crowd.measure(options.stalled_seconds)
            missing = crowd.pause()
            return report, missing, watch.growth()

    def measure(self, kind, options, folder):
        alone, alone_missing, _ = self.window(kind, options, folder, 0)
        report, missing, (memory, kernel) = self.window(kind, options, folder, self.clients // 2)
        return {"memory": memory / 1e6, "kernel": kernel / 1e6, "p50": report["latency"]["p50"],
                "p99": report["latency"]["p99"], "alone": alone["latency"]["p99"],
                "ratio": report["latency"]["p99"] / max(alone["latency"]["p99"], 1e-9), "closed": report["closed"],
                "faults": faults(report, missing) + faults(alone, alone_missing)}


ROWS = {
    "plain-1000": Most("plain", 1000, (2, 4, 8, 16, 32, 64), 15),
    "plain-9000": Most("plain", 9000, (1, 2, 3, 4), 60),
    "tls-1000": Most("tls", 1000, (2, 4, 8, 16, 32, 64), 15),
    "tls-9000": Most("tls", 9000, (1, 2, 3, 4), 60),
    "plain-offered": Offered("plain", 1000, 1_500_000),
    "plain-offered-9000": Offered("plain", 9000, 400_000),
    "plain-paced": Paced("plain"),
    "tls-paced": Paced("tls"),
    "plain-deflate": Deflate("plain"),
    "plain-idle": Idle("plain"),
    "tls-idle": Idle("tls"),
    "stalled": Stalled(),
}
