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

import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXY_CPU = "0"
LOAD_CPU = "1"


def add_arguments(parser):
    parser.add_argument("--proxies", default="holdfast,relay,haproxy,nginx")
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


def start(command, cpu, **options):
    return subprocess.Popen(["taskset", "-c", cpu, *map(str, command)], text=True, **options)


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
def proxy_before_backend(kind, options, folder):
    backend = start([options.loader, "echo"], LOAD_CPU, stdout=subprocess.PIPE)
    proxy = None
    try:
        port = int(backend.stdout.readline().split()[1])
        proxy = peers.start(kind, folder, port, binary_of(kind, options), lambda c, **o: start(c, PROXY_CPU, **o))
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


class Load:
    """A mode of bench_load that says "open N" when it is ready and then answers lines on its stdin."""

    def __init__(self, loader, *arguments):
        self.process = start([loader, *arguments], LOAD_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.process.stdout.readline().startswith("open "):
            self.stop()
            raise RuntimeError(f"the load generator could not open its connections: {arguments}")

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
