"""The rows of test/bench/run: what each one does to a proxy, and what it reads off it."""
import dataclasses
import time

import stage


@dataclasses.dataclass(frozen=True)
class Echo:
    """A closed loop: each echo is answered by the next message."""
    transport: str
    size: int
    connections: int
    in_flight: int = 1
    unit = "CPU us per round trip (whole core)"

    def title(self, _options):
        flight = f", {self.in_flight} in flight" if self.in_flight > 1 else ""
        return f"{self.transport}, {self.size} B x {self.connections}{flight}"

    def measure(self, proxy, options):
        with stage.Load(options.loader, "load", proxy.port(self.transport), self.connections, self.size,
                        self.transport, "echo", self.in_flight) as load:
            return {"": cpu_per_count(load, proxy, options.seconds)}


@dataclasses.dataclass(frozen=True)
class Handshake:
    """Sessions that come, get their 101, and go: a closed loop."""
    transport: str
    kind: str
    at_once = 32
    unit = "CPU us per session (whole core)"

    def title(self, _options):
        return f"{'TLS resumed' if self.kind == 'resumed' else self.kind} handshakes, {self.at_once} at once"

    def measure(self, proxy, options):
        with stage.Load(options.loader, "handshake", proxy.port(self.transport), self.at_once, self.kind) as load:
            return {"": cpu_per_count(load, proxy, options.seconds)}


def idle_load(proxy, transport, options):
    return stage.Load(options.loader, "load", proxy.port(transport), options.idle_sessions, 128, transport, "idle", 1)


def echo_once(load, options):
    """Each session sends a message and gets its echo."""
    load.ask("once")
    wait_until(lambda: load.count() >= options.idle_sessions, "not every session got its echo")


@dataclasses.dataclass(frozen=True)
class Idle:
    """Sessions that are open and silent; their heads are a browser's, 1 KB."""
    transport: str
    unit = "bytes per session"

    def title(self, options):
        return f"{self.transport}-idle, {options.idle_sessions} sessions"

    def measure(self, proxy, options):
        before = proxy.pss_bytes()
        with idle_load(proxy, self.transport, options) as load:
            values = {"": (settled_memory(proxy) - before) / options.idle_sessions}
            if options.after_traffic:
                echo_once(load, options)
                values["after traffic"] = (settled_memory(proxy) - before) / options.idle_sessions
        return values


@dataclasses.dataclass(frozen=True)
class Reconnects:
    """The same number of sessions comes, echoes once, and goes, ten times: does memory stick? TLS, because its
    sessions have everything that plain ones have."""
    transport: str = "tls"
    times: int = 10
    unit = "memory after the last / after the first"

    def title(self, options):
        return f"{options.idle_sessions} {self.transport} sessions come and go {self.times} times"

    def measure(self, proxy, options):
        empty = proxy.descriptors()
        memory = []
        for _ in range(self.times):
            with idle_load(proxy, self.transport, options) as load:
                echo_once(load, options)
            # A few are left for what a proxy opens for itself meanwhile.
            wait_until(lambda: proxy.descriptors() <= empty + 10, "sessions stayed after their clients had gone")
            memory.append(settled_memory(proxy))
        return {"": memory[-1] / memory[0]}


ROWS = {
    "plain-128": Echo("plain", 128, 1000),
    "tls-128": Echo("tls", 128, 1000),
    "plain-pipelined": Echo("plain", 128, 50, 16),
    "tls-pipelined": Echo("tls", 128, 50, 16),
    "plain-16k": Echo("plain", 16384, 100),
    "tls-16k": Echo("tls", 16384, 100),
    "plain-1m": Echo("plain", 1 << 20, 8),
    "tls-1m": Echo("tls", 1 << 20, 8),
    "plain-handshake": Handshake("plain", "plain"),
    "tls-handshake": Handshake("tls", "tls"),
    "tls-resumed": Handshake("tls", "resumed"),
    "plain-idle": Idle("plain"),
    "tls-idle": Idle("tls"),
    "reconnects": Reconnects(),
}


def cpu_per_count(load, proxy, seconds):
    """Microseconds of the proxy's processes, and of its whole CPU, per thing that the load has counted."""
    time.sleep(seconds / 3)  # warm-up: this is a measurement, not a test
    count, process, core = load.count(), proxy.cpu_seconds(), stage.core_seconds()
    time.sleep(seconds)
    done = load.count() - count
    process, core = proxy.cpu_seconds() - process, stage.core_seconds() - core
    if done == 0:
        raise RuntimeError("nothing was completed")
    return process / done * 1e6, core / done * 1e6


def wait_until(condition, complaint, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(complaint)
        time.sleep(0.1)


def settled_memory(proxy):
    """Bytes of Pss, once two readings agree within 1 %."""
    deadline = time.monotonic() + 15
    last = 0
    while time.monotonic() < deadline:
        now = proxy.pss_bytes()
        if abs(now - last) <= now / 100:
            break
        last = now
        time.sleep(0.5)
    return now
