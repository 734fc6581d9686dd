"""A host that has been up for weeks: what is counted in 32 bits of milliseconds has wrapped."""
import os
import signal
import subprocess
import threading
import time

import pytest

import backend as fake
import harness
import reroutes
import wire


def up_for(days):
    """A command that starts another in a time namespace; skips where that isn't allowed."""
    offset = days * 86400 - int(time.monotonic())
    command = ["unshare", "--time", "--monotonic", str(offset), "--fork", "--kill-child"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("no time namespaces here (they need root)")
    return command


def test_a_backend_that_is_drained_while_a_reroute_goes_to_it_is_left_again(start, puppet):
    """Story: from the 25th day on the state at the attach was looked at in vain."""
    gate = threading.Event()

    def slow(stream, head):
        gate.wait(20)
        fake.switch(stream, head)
        stream.rest()
    first, second, third = puppet(), puppet(mood=slow), puppet()

    def config(*servers):
        return reroutes.config(*(server.address for server in servers))
    proxy = start(config(first), prefix=up_for(30))
    client = wire.open_session(proxy.public, timeout=30 * harness.SLOWNESS)
    leg = first.next()[0]
    reroutes.talks(client, leg)
    proxy.write(config(first, second))
    assert proxy.get("/reload", method="POST")[0] == 200
    first.stop()
    leg.close()
    harness.eventually(lambda: second.connections == 1, what="an attempt")
    proxy.write(config(first, second, third))
    assert proxy.get("/reload", method="POST")[0] == 200
    reroutes.set_state(proxy, second.address, "draining")
    gate.set()
    last = third.next(seconds=20)[0]
    reroutes.log_lines(proxy, 1, cause="draining", result="attached")
    reroutes.talks(client, last, "here now")
    assert reroutes.only_session(proxy)["age_seconds"] < 120
    os.kill(proxy.pid, signal.SIGTERM)  # the namespace's first process doesn't pass it on
    os.kill(proxy.pid, signal.SIGINT)
