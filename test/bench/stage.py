"""What a measurement stands on: processes on their CPUs, the echo backend, a proxy before it, a load.

The proxy has CPU 0 for itself; the backend and the load generator share CPU 1.
"""
import contextlib
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import sys
import time

import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXY_CPU = "0"
LOAD_CPU = "1"
# Where strangers are about, load and backend can be put before them; who may, is root.
BEFORE_STRANGERS = ["nice", "-n", "-15"] if os.geteuid() == 0 else []


AUTOGROUP = pathlib.Path("/proc/self/autogroup")


@contextlib.contextmanager
def before_strangers():
    """Where the kernel shares CPUs among terminal sessions first (autogroups), a process's nice value counts only
    within its own: as root, our session goes before all others meanwhile."""
    may = os.geteuid() == 0 and AUTOGROUP.exists()
    if may:
        AUTOGROUP.write_text("-15")
    try:
        yield
    finally:
        if may:
            AUTOGROUP.write_text("0")


def add_arguments(parser, proxies="holdfast,relay,haproxy,nginx"):
    parser.add_argument("--proxies", default=proxies)
    parser.add_argument("--binary", default=os.environ.get("HOLDFAST_BIN", ROOT / "build/holdfast"))
    parser.add_argument("--loader", default=ROOT / "build/test/bench/bench_load")


def prepare(options):
    """Everything that has to be there; returns the limit of open files."""
    if not pathlib.Path(options.loader).exists() and (ROOT / "build/build.ninja").exists():
        subprocess.run(["ninja", "-C", ROOT / "build", "test/bench/bench_load"], check=True, stdout=sys.stderr)
    subprocess.run([ROOT / "deploy/install-packages", "bench"], check=True, stdout=sys.stderr)
    if not shutil.which("taskset"):
        sys.exit("taskset is needed (package util-linux)")
    options.proxies = options.proxies.split(",")
    unknown = [kind for kind in options.proxies if kind not in peers.CONFIGS]
    if unknown:
        sys.exit(f"unknown proxies: {unknown}; there are {', '.join(peers.CONFIGS)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def start(command, cpu, prefix=(), **options):
    return subprocess.Popen([*prefix, "taskset", "-c", cpu, *map(str, command)], text=True, **options)


def binary_of(kind, options):
    return options.loader if kind == "relay" else options.binary


def versions(options):
    """For the line below a table."""
    found = ", ".join(peers.version(kind, binary_of(kind, options)) for kind in options.proxies)
    return f"{found}; Linux {platform.release()}, one CPU for the proxy"


def rotated(kinds, number):
    """Nobody always comes first, behind the same one, or last."""
    turn = number % len(kinds)
    return kinds[turn:] + kinds[:turn]


@contextlib.contextmanager
def proxy_before_backend(kind, options, folder, prefix=(), cpus=PROXY_CPU, config=None):
    backend = start([options.loader, "echo"], LOAD_CPU, prefix, stdout=subprocess.PIPE)
    proxy = None
    try:
        port = int(backend.stdout.readline().split()[1])
        proxy = peers.start(kind, folder, port, binary_of(kind, options), lambda c, **o: start(c, cpus, **o), config)
        yield proxy
    finally:
        if proxy:
            proxy.stop()
        backend.kill()
        backend.wait()
        backend.stdout.close()


def core_seconds():
    """How long the proxy's CPU has been busy, interrupts and everybody else's work included."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{PROXY_CPU}":
            user, nice, system, _idle, _wait, hard, soft = map(int, fields[:7])
            return (user + nice + system + hard + soft) / peers.TICKS
    raise RuntimeError(f"no CPU {PROXY_CPU}")


class Others:
    """How much of the proxy's CPU went to processes that are not the bench's, since it was made."""

    def __init__(self, proxy):
        self.proxy, self.begun = proxy, time.monotonic()
        self.before = self._used()

    def _used(self):
        fields = next(line for line in pathlib.Path("/proc/stat").read_text().splitlines()
                      if line.startswith(f"cpu{PROXY_CPU} ")).split()
        return sum(map(int, fields[1:4])) / peers.TICKS - self.proxy.cpu_seconds()  # user, nice, system

    def share(self):
        return max(0.0, (self._used() - self.before) / (time.monotonic() - self.begun))


def undisturbed(window, patience):
    """A window's values; measured again, up to `patience` times, while others took more than 2 % of the CPU. What
    was disturbed least counts."""
    best = None
    for _ in range(patience):
        values = window()
        if best is None or values["others"] < best["others"]:
            best = values
        if best["others"] <= 0.02:
            break
    return best


class Load:
    """A mode of bench_load that says "open N" when it is ready and then answers lines on its stdin."""

    def __init__(self, *command, prefix=(), cpus=LOAD_CPU):
        self.process = start(command, cpus, prefix, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.process.stdout.readline().startswith("open "):
            self.stop()
            raise RuntimeError(f"the load generator could not open its connections: {command}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def count(self):
        """Round trips, or sessions that came and went."""
        _, done, lost = self.ask("count")
        if int(lost):
            raise RuntimeError(f"{lost} connections were lost under load")
        return int(done)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
