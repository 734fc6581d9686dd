"""`source`: where connections to backends come from, as the backends see it."""
import socket

import pytest

import backend as fake
import harness
import wire


class Seen:
    """An echo backend that remembers who connected to it."""

    def __init__(self, backend, **options):
        self.sources = []
        self.server = backend(fake.echo, on_accept=self._note, **options)
        self.address = self.server.address

    def _note(self, stream):
        self.sources.append(stream.sock.getpeername()[0])


def sessions(proxy, count):
    for _ in range(count):
        with wire.open_session(proxy.public) as client:
            client.send(wire.frame(wire.TEXT, b"hi"))
            assert client.data_frame()[2] == b"hi"


def test_connections_come_from_each_source_in_turn(start, backend):
    seen = Seen(backend)
    proxy = start(harness.config_for(seen.address, upstream={"source": ["127.0.0.2", "127.0.0.3"]}))
    sessions(proxy, 6)
    assert sorted(seen.sources) == ["127.0.0.2"] * 3 + ["127.0.0.3"] * 3
    assert proxy.status()["upstreams"][0]["source"] == ["127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize("probe", ["tcp", "websocket"])
def test_probes_come_from_there_too(start, backend, probe):
    seen = Seen(backend)
    start(harness.config_for(seen.address, upstream={
        "source": ["127.0.0.2"], "probe": {"type": probe, "interval": "50ms"}}))
    harness.eventually(lambda: len(seen.sources) >= 3, what="probes")
    assert set(seen.sources) == {"127.0.0.2"}


def test_a_rerouted_session_comes_from_there_too(start, backend):
    first, second = Seen(backend), Seen(backend)
    proxy = start(harness.config_for(first.address, second.address, upstream={"source": ["127.0.0.2"]}))
    with wire.open_session(proxy.public) as client:
        (first if first.sources else second).server.stop()
        harness.eventually(lambda: first.sources and second.sources, what="another backend")
        client.send(wire.frame(wire.TEXT, b"still here"))
        assert client.data_frame()[2] == b"still here"
    assert first.sources == second.sources == ["127.0.0.2"]


def test_a_source_that_this_machine_does_not_have_leaves_it_to_the_next(start, backend):
    # 198.51.100.0/24 is for documentation (RFC 5737): nobody has it.
    seen = Seen(backend)
    proxy = start(harness.config_for(seen.address, upstream={"source": ["198.51.100.1", "127.0.0.2"]}))
    sessions(proxy, 4)
    assert seen.sources == ["127.0.0.2"] * 4
    assert 'upstreams[0].source[0]: can\'t be used on this machine' in proxy.log()


def test_without_a_usable_source_the_backend_is_not_blamed(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, upstream={
        "source": ["198.51.100.1"], "probe": {"type": "tcp", "interval": "50ms", "fall": 1},
        "outlier": {"consecutive_failures": 1}}))
    for _ in range(3):
        with wire.connect(proxy.public) as client:
            client.send(wire.request())
            assert client.head().status == 503
    harness.eventually(lambda: proxy.metric("holdfast_dial_shortages_total", upstream="main") > 10, what="probes")
    known = proxy.backends()[server.address]
    assert known["health"] != "unhealthy" and not known["ejected"]
    assert set(known["failures"].values()) == {0}


def test_a_backend_whose_family_no_source_has_is_reached_as_without(start, backend):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
    seen = Seen(backend)
    proxy = start(harness.config_for(seen.address, upstream={"source": ["::1"]}))
    sessions(proxy, 1)
    assert seen.sources == ["127.0.0.1"]


def test_a_reload_changes_where_new_connections_come_from(start, backend):
    seen = Seen(backend)
    config = harness.config_for(seen.address, upstream={"source": ["127.0.0.2"]})
    proxy = start(config)
    with wire.open_session(proxy.public) as old:
        config["upstreams"][0]["source"] = ["127.0.0.3"]
        proxy.reload(config)
        harness.eventually(lambda: "upstream main changed: source" in proxy.log(), what="the change in the log")
        sessions(proxy, 1)
        assert seen.sources == ["127.0.0.2", "127.0.0.3"]
        old.send(wire.frame(wire.TEXT, b"hi"))
        assert old.data_frame()[2] == b"hi"
