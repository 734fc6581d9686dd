"""Starts the real binary on free ports, watches it, and always ends it."""
import copy
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Sanitizer builds are slower: every deadline is multiplied.
SLOWNESS = float(os.environ.get("HOLDFAST_SLOWNESS", "1"))
QUICK = os.environ.get("HOLDFAST_QUICK") == "1"
# The result labels of holdfast_config_reloads_total.
RELOAD_OK, RELOAD_FAILED = "applied", "refused"
REPORTS = re.compile(r"(AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:)[^\n]*")


def binary():
    place = pathlib.Path(os.environ.get("HOLDFAST_BIN", ROOT / "build/holdfast"))
    assert place.exists(), f"no binary at {place}: build it first (deploy/quickstart --build-only)"
    return place


def eventually(check, seconds=10.0, what="the condition"):
    """Calls check() until it returns something true, and returns that. Waits on a condition, not a time."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds * SLOWNESS:g} s")
        time.sleep(0.01)


def config_for(*addresses, route=None, listener=None, upstream=None, **top):
    """A small config: one plain listener "public", one upstream "main"; no probe unless asked for."""
    config = {
        "workers": 2,
        "listeners": [{"name": "public", "bind": "127.0.0.1:0", **(listener or {})}],
        "upstreams": [{"name": "main", "backends": [{"address": a} for a in addresses],
                       "probe": {"type": "none"}, **(upstream or {})}],
        "admin": {"bind": "127.0.0.1:0"},
        "log": {"level": "info", "format": "text", "access": "access.log"},
        "shutdown_timeout": "2s"}
    if route is not None:
        config["routes"] = [{"name": "all", "upstream": "main", **route}]
    config.update(copy.deepcopy(top))
    return config


class Holdfast:
    """One running `holdfast run`; a relative path in its config is relative to its folder."""

    def __init__(self, folder, config, arguments=(), prefix=(), environment=None, program=None, pass_fds=()):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.token = None  # what admin calls are made with
        self.file = folder / "holdfast.json"
        self.ready_file = folder / "ready.json"
        self.log_file = folder / "stderr.log"
        self.write(config)
        command = [*prefix, program or binary(), "run", "-c", self.file, "--ready-file", self.ready_file, *arguments]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(environment or {})}, pass_fds=pass_fds)
        try:
            eventually(self._is_ready, 20, "the ready file")
        except BaseException:
            self.kill()
            raise
        told = json.loads(self.ready_file.read_text())
        self.pid, self.listeners, self.admin_address = told["pid"], told["listeners"], told["admin"]

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"holdfast ended with {self.process.returncode} at its start:\n{self.log()}")
        return self.ready_file.exists()

    def write(self, config):
        """The config file, replaced atomically as an editor does; text is written as it is."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        new = self.folder / "holdfast.json.new"
        new.write_text(text)
        new.replace(self.file)

    @property
    def public(self):
        return self.listeners["public"]

    def log(self):
        return self.log_file.read_text(errors="replace")

    def access(self):
        file = self.folder / "access.log"
        return file.read_text().splitlines() if file.exists() else []

    def access_lines(self, count):
        """Waits for `count` access lines; sessions are logged at their end."""
        eventually(lambda: len(self.access()) >= count, what=f"{count} access lines")
        return self.access()

    def get(self, path, method="GET"):
        """(status, body text) of an admin call."""
        call = urllib.request.Request(f"http://{self.admin_address}{path}", method=method)
        if self.token:
            call.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(call, timeout=10 * SLOWNESS) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self):
        return json.loads(self.get("/status")[1])

    def backends(self, upstream="main"):
        """address -> its entry in /status."""
        found = next(u for u in self.status()["upstreams"] if u["name"] == upstream)
        return {backend["address"]: backend for backend in found["backends"]}

    def sessions(self):
        return sum(listener["sessions"] for listener in self.status()["listeners"])

    def metric(self, name, **labels):
        """The sum of all samples of a series whose labels contain these; 0 when there are none."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            match = re.match(r"([a-zA-Z_:0-9]+)(?:\{(.*)\})? (\S+)", line)
            if not match or match[1] != name:
                continue
            found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                total += float(match[3])
        return total

    def reload(self, config=None, result=RELOAD_OK):
        """Writes the config (if given), sends SIGHUP, and waits for the verdict in the metrics."""
        if config is not None:
            self.write(config)
        before = self.metric("holdfast_config_reloads_total", result=result)
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.metric("holdfast_config_reloads_total", result=result) > before,
                   what=f"a reload with result {result}")
        # Listeners that came with this reload are found in /status.
        for listener in self.status()["listeners"]:
            self.listeners[listener["name"]] = listener["bind"]

    def sockets(self):
        """How many the process has open. (Its other descriptors come as its threads start, after the ready file.)"""
        def target(name):
            try:
                return os.readlink(f"/proc/{self.pid}/fd/{name}")
            except FileNotFoundError:
                return ""
        return sum(target(name).startswith("socket:") for name in os.listdir(f"/proc/{self.pid}/fd"))

    def memory_bytes(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def terminate(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)

    def wait_exit(self, seconds=15):
        try:
            return self.process.wait(seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"holdfast did not end within {seconds * SLOWNESS:g} s") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def finish(self):
        """Ends the process and fails on a crash or a sanitizer's report."""
        if self.process.poll() is None:
            # Two of the same kind may arrive as one, and one begins a drain.
            self.terminate(signal.SIGTERM)
            self.terminate(signal.SIGINT)
            try:
                self.process.wait(10 * SLOWNESS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"holdfast did not stop at a second SIGTERM:\n{self.log()[-2000:]}") from None
        report = REPORTS.search(self.log())
        assert not report, f"sanitizer report:\n{self.log()[-8000:]}"
        # The second signal may come when the drain is over and nobody handles it any more.
        expected = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL)
        crashed = self.process.returncode < 0 and self.process.returncode not in expected
        assert not crashed, f"holdfast died of signal {-self.process.returncode}:\n{self.log()[-4000:]}"


def run(*arguments, folder=None, seconds=60):
    """Runs a holdfast command to its end."""
    return subprocess.run([str(binary()), *map(str, arguments)], cwd=folder, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=seconds * SLOWNESS, check=False)
