"""Servers and clients that we did not write: python3-websockets, npm ws, Chromium."""
import asyncio
import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest
import websockets

import harness

HERE = pathlib.Path(__file__).resolve().parent
# python3-websockets 14 renamed the argument of connect().
HEADERS = "extra_headers" if int(websockets.__version__.split(".")[0]) < 14 else "additional_headers"


def connect(uri, headers=None, **options):
    """websockets.connect() without its own pings and limits."""
    options = {"max_size": None, "ping_interval": None, "open_timeout": 30 * harness.SLOWNESS,
               "close_timeout": 10 * harness.SLOWNESS, "compression": None, **options}
    if headers:
        options[HEADERS] = headers
    return websockets.connect(uri, **options)


class EchoServer:
    """A python3-websockets echo server on a thread of its own. Two texts are orders instead:
    "close CODE REASON" and "burst COUNT BYTES"."""

    def __init__(self, port=0, **options):
        self.options = {"max_size": None, "ping_interval": None, "compression": None, "close_timeout": 5, **options}
        self.live = set()
        self.total = 0
        self.closes = []
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self.thread.start()
        assert self.ready.wait(10), "the echo server did not start"

    def _run(self, port):
        asyncio.set_event_loop(self.loop)

        async def begin():
            self.server = await websockets.serve(self._serve, "127.0.0.1", port, backlog=2048, **self.options)
            self.port = next(iter(self.server.sockets)).getsockname()[1]
            self.address = f"127.0.0.1:{self.port}"

        self.loop.run_until_complete(begin())
        self.ready.set()
        self.loop.run_forever()

    async def _serve(self, connection, _path=None):
        self.live.add(connection)
        self.total += 1
        try:
            async for message in connection:
                await self._answer(connection, message)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.live.discard(connection)
            self.closes.append(connection.close_code)

    @staticmethod
    async def _answer(connection, message):
        words = message.split(" ", 2) if isinstance(message, str) and len(message) < 100 else [""]
        if words[0] == "close":
            await connection.close(int(words[1]), words[2])
        elif words[0] == "burst":
            for _ in range(int(words[1])):
                await connection.send(b"x" * int(words[2]))
        else:
            await connection.send(message)

    def stop(self):
        if not self.thread.is_alive():
            return

        async def end():
            self.server.close()
            for connection in list(self.live):
                connection.transport.abort()
            self.loop.call_later(0.05, self.loop.stop)

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(10)


def need_npm():
    if not (HERE / "node_modules/ws").exists():
        pytest.skip("npm packages are not installed (test/run installs them)")


class NodeEcho:
    """An npm ws echo server (echo.js) in a process of its own."""

    def __init__(self, prefix=(), **options):
        need_npm()
        self.process = subprocess.Popen([*prefix, "node", str(HERE / "echo.js"), json.dumps(options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.address = f"{options.get('host', '127.0.0.1')}:{self.port}"

    def kill(self):
        """SIGKILL: the kernel ends its connections, with FIN, or with RST where something was unread."""
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """SIGSTOP: the kernel goes on accepting and acknowledging for it."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


def run_node(script, options, seconds=60):
    """Runs one of our .js clients; its last line of output is JSON."""
    need_npm()
    result = subprocess.run(["node", str(HERE / script), json.dumps(options)], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=seconds * harness.SLOWNESS,
                            env={**os.environ, "NODE_TLS_REJECT_UNAUTHORIZED": "1"}, check=False)
    assert result.returncode == 0, f"{script}: {result.stdout}{result.stderr}"
    return json.loads(result.stdout.strip().splitlines()[-1])
