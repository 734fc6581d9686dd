"""A backend whose host is gone: no FIN, no RST, no packet ever again."""
import os
import shutil
import subprocess

import pytest

import harness
import reroutes
import wire


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Island:
    """A network namespace behind a cable that can be cut. 198.18.0.0/15 is the range for tests of networks."""

    def __init__(self):
        self.name = f"holdfast{os.getpid()}"
        self.ours, self.theirs = f"hfo{os.getpid()}"[:15], f"hft{os.getpid()}"[:15]
        net = f"198.18.{os.getpid() % 250}"
        self.host = f"{net}.2"
        ip("netns", "add", self.name)
        ip("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs, "netns", self.name)
        ip("address", "add", f"{net}.1/30", "dev", self.ours)
        ip("link", "set", self.ours, "up")
        ip("-n", self.name, "address", "add", f"{self.host}/30", "dev", self.theirs)
        ip("-n", self.name, "link", "set", self.theirs, "up")

    def inside(self):
        return ["ip", "netns", "exec", self.name]

    def cut(self):
        ip("-n", self.name, "link", "set", self.theirs, "down")

    def sink(self):
        ip("link", "delete", self.ours, check=False)
        ip("netns", "delete", self.name, check=False)


@pytest.fixture
def island(closing):
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    probe = subprocess.run(["unshare", "-n", "ip", "link", "add", "hfprobe", "type", "veth", "peer", "name", "hfq"],
                           capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this kernel gives no virtual cables")
    return closing.add(Island(), lambda place: place.sink())


@pytest.fixture
def proxy_of(start, island, node_echo):
    """(proxy, the backend on the island, the one here)."""
    far, near = node_echo(host=island.host, prefix=island.inside()), node_echo()
    patience = {"ping": {"interval": "1s", "timeout": "500ms"}}
    upstream = {"connect_timeout": "300ms"}
    return start(reroutes.config(far.address, near.address, route=patience, upstream=upstream)), far, near


def test_idle_sessions_of_a_host_that_is_gone_are_found_by_their_pings(proxy_of, island):
    proxy, far, near = proxy_of
    clients = [wire.open_session(proxy.public, timeout=20 * harness.SLOWNESS) for _ in range(6)]
    assert proxy.backends()[far.address]["sessions"] == 3
    harness.eventually(lambda: proxy.metric("holdfast_ping_rtt_seconds_count") >= 6, what="answered pings")
    island.cut()
    reroutes.wait_sessions(proxy, near.address, 6)
    for client in clients:
        reroutes.say(client, "back")
        assert reroutes.heard(client, "back")
    assert reroutes.reroutes(proxy, cause="lost", result="attached") == 3
    assert reroutes.lost_messages(proxy) == (0, 0)


def test_busy_sessions_of_a_host_that_is_gone_are_found_by_what_is_never_acknowledged(proxy_of, island, crowd):
    """None of these legs has ever had to answer a ping: they always had something to say."""
    proxy, far, near = proxy_of
    people = crowd(proxy, 20, period=0.05)
    people.all_go_on()
    island.cut()
    reroutes.wait_sessions(proxy, near.address, 20)
    people.all_go_on()
    report = people.settle()
    assert report.at_most_once(), report
    undelivered, unconfirmed = reroutes.lost_messages(proxy)
    assert report.lost <= undelivered + unconfirmed, report
    assert far.address not in {entry["backend"] for entry in reroutes.session_list(proxy)}
