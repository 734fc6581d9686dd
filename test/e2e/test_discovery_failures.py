"""What discovery keeps when its name servers, its file, or the operator in between do something unexpected."""
import ctypes
import json
import os
import threading

import pytest

import backend as fake
import harness
import names
import wire
from test_discovery import config_with, discovery, has_backends, replace, talks, two_on_one_port


@pytest.fixture
def scripted(closing):
    return lambda table, **options: closing.add(names.NameServer(table, **options), names.NameServer.stop)


def port_of(server):
    return int(server.address.rsplit(":", 1)[1])


@pytest.mark.parametrize("change", [{"probe": {"type": "tcp", "interval": "1s"}}, {"interval": "1h"}],
                         ids=["probe", "interval"])
def test_a_reload_keeps_what_a_silent_name_server_told_before(start, backend, scripted, change):
    """A reload with another probe or interval began with an empty source: every discovered backend was removed until
    the next answer came, and for as long as the name servers were down."""
    server = backend(fake.echo)
    table = {("chat.test", names.A): [names.address("127.0.0.1")]}
    told = {"dns": "chat.test", "port": port_of(server), "servers": [scripted(table).address]}
    config = config_with(told)
    proxy = start(config)
    has_backends(proxy, server.address)
    with wire.open_session(proxy.public) as client:
        table[("chat.test", names.A)] = "silence"
        told.update({key: value for key, value in change.items() if key == "interval"})
        config["upstreams"][0].update({key: value for key, value in change.items() if key == "probe"})
        proxy.reload(config)
        assert set(proxy.backends()) == {server.address}
        assert talks(client)
        with wire.open_session(proxy.public) as second:
            assert talks(second)
    assert "removed" not in proxy.log()


def test_a_reload_keeps_what_a_file_said_before_it_broke(start, backend, tmp_path):
    """A broken file keeps the last list, until a reload with another probe read it anew: then nobody was left."""
    server = backend(fake.echo)
    file = tmp_path / "backends.json"
    replace(file, [{"address": server.address}])
    config = config_with({"file": str(file)})
    proxy = start(config)
    has_backends(proxy, server.address)
    replace(file, "[{")
    harness.eventually(lambda: discovery(proxy)["error"], what="an error")
    config["upstreams"][0]["probe"] = {"type": "tcp", "interval": "1s"}
    proxy.reload(config)
    assert set(proxy.backends()) == {server.address}
    harness.eventually(lambda: discovery(proxy)["error"], what="the error again")
    assert set(proxy.backends()) == {server.address}


def test_another_name_takes_over_with_its_first_answer(start, backend, scripted):
    one, two, port = two_on_one_port(backend)
    table = {("one.test", names.A): [names.address("127.0.0.2")], ("two.test", names.A): "silence"}
    told = {"dns": "one.test", "port": port, "servers": [scripted(table).address]}
    config = config_with(told)
    proxy = start(config)
    has_backends(proxy, one.address)
    told["dns"] = "two.test"
    proxy.reload(config)
    assert set(proxy.backends()) == {one.address}
    table[("two.test", names.A)] = [names.address("127.0.0.3")]
    harness.eventually(lambda: set(proxy.backends()) == {two.address}, seconds=20, what="the other name's")


@pytest.mark.parametrize("outage", ["failure", "silence"])
def test_a_target_that_no_server_tells_of_keeps_its_addresses(start, backend, scripted, outage):
    """While the addresses of one SRV target could not be had, its backends were taken away and their sessions moved."""
    one, two, port = two_on_one_port(backend)
    table = {("_ws.test", names.SRV): [names.service(0, 1, port, "a.test"), names.service(0, 1, port, "b.test")],
             ("a.test", names.A): [names.address("127.0.0.2")], ("b.test", names.A): [names.address("127.0.0.3")]}
    server = scripted(table)
    proxy = start(config_with({"dns": "_ws.test", "type": "SRV", "servers": [server.address]}))
    has_backends(proxy, one.address, two.address)
    # Of the family that the target never had nobody expects an answer.
    table[("b.test", names.AAAA)] = outage
    asked = len(server.asked)
    harness.eventually(lambda: len(server.asked) > asked + 5, seconds=30, what="another round")
    assert discovery(proxy)["error"] == ""
    table[("b.test", names.A)] = outage
    harness.eventually(lambda: discovery(proxy)["error"].startswith("b.test: "), seconds=30, what="an error")
    assert set(proxy.backends()) == {one.address, two.address}
    # What is told goes on being followed meanwhile, and what does not exist is gone.
    table[("b.test", names.A)] = "none"
    harness.eventually(lambda: set(proxy.backends()) == {one.address}, seconds=30, what="one backend")
    harness.eventually(lambda: "removed" in proxy.log(), what="a line of the log")


def test_a_thousand_records_come_by_tcp_and_a_thousand_targets_one_after_another(start, scripted):
    many = [f"127.{n // 200}.{n % 200}.1" for n in range(1000)]
    table = {("chat.test", names.A): [names.address(each) for each in many],
             ("_ws.test", names.SRV): [names.service(0, 1, 9, f"t{n}.test") for n in range(1000)]}
    table.update({(f"t{n}.test", names.A): [names.address(each)] for n, each in enumerate(many)})
    server = scripted(table)
    for told in ({"dns": "chat.test", "port": 9}, {"dns": "_ws.test", "type": "SRV"}):
        proxy = start(config_with({**told, "servers": [server.address]}))
        harness.eventually(lambda: len(proxy.backends()) == 1000, seconds=20, what="a thousand backends")
        assert discovery(proxy)["error"] == ""


@pytest.mark.parametrize("answer", [
    b"", b"\x81\x80", b"\x81\x80\0\1\0\1\0\0\0\0" + b"\xff" * 40, b"\x81\x80\0\0\xff\xff\0\0\0\0", "empty", "none", "failure"],
    ids=["nothing", "cut", "garbage", "lying", "empty", "none", "failure"])
def test_a_useless_answer_changes_nothing(start, backend, scripted, answer):
    server = backend(fake.echo)
    table = {("chat.test", names.A): [names.address("127.0.0.1")]}
    proxy = start(config_with({"dns": "chat.test", "port": port_of(server), "servers": [scripted(table, ttl=0).address]}))
    has_backends(proxy, server.address)
    table[("chat.test", names.A)] = answer
    harness.eventually(lambda: discovery(proxy)["error"], seconds=20, what="an error")
    assert set(proxy.backends()) == {server.address}


def test_a_file_in_a_busy_folder_is_read(start, backend, tmp_path):
    """Each event in the folder put the look at the file off by another 50 ms, so that one beside a busy file was not
    read for as long as the other was written."""
    one, two, _ = two_on_one_port(backend)
    file = tmp_path / "backends.json"
    replace(file, [{"address": one.address}])
    proxy = start(config_with({"file": str(file)}))
    has_backends(proxy, one.address)
    over = threading.Event()

    def write():
        while not over.wait(0.002):
            (tmp_path / "noise").write_text("x")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        replace(file, [{"address": two.address}])
        has_backends(proxy, two.address)
    finally:
        over.set()
        writer.join()


def test_a_file_that_has_not_changed_is_not_read_again(start, backend, tmp_path):
    """Every 5 s the whole file was read and parsed, up to 16 MiB of it."""
    server = backend(fake.echo)
    file = tmp_path / "backends.json"
    replace(file, [{"address": server.address}])
    proxy = start(config_with({"file": str(file)}))
    has_backends(proxy, server.address)

    def looks():
        return proxy.metric("holdfast_discovery_updates_total", upstream="main", result="same")

    # Written within the last three seconds it might be written again unseen; after the next look its stat is enough.
    harness.eventually(lambda: looks() == 1, seconds=20, what="a look")
    with Opens(file) as opens:
        harness.eventually(lambda: looks() == 2, seconds=20, what="another look")
        assert not opens.some()
    replace(file, json.dumps([]))
    has_backends(proxy)


class Opens:
    """Whether anybody opens a file."""
    IN_OPEN = 0x20

    def __init__(self, file):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(os.O_NONBLOCK)
        assert self.descriptor >= 0
        assert self.libc.inotify_add_watch(self.descriptor, os.fsencode(file), self.IN_OPEN) >= 0

    def some(self):
        try:
            return os.read(self.descriptor, 4096) != b""
        except BlockingIOError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)


def test_an_upstream_without_backends_keeps_its_counts(start, backend, tmp_path):
    """While an upstream had no backend at all its circuit breaker was another one: sessions that stayed where they were
    vanished from holdfast_upstream_sessions, and all its counters began again at zero."""
    server = backend(fake.echo)
    file = tmp_path / "backends.json"
    replace(file, [{"address": server.address}])
    proxy = start(config_with({"file": str(file)}, upstream={"circuit_breaker": {"max_sessions": 1}}))
    has_backends(proxy, server.address)
    with wire.open_session(proxy.public) as client:
        with wire.connect(proxy.public) as second:
            second.send(wire.request())
            assert second.head().status == 503
        replace(file, [])
        has_backends(proxy)
        assert talks(client)
        circuit = proxy.status()["upstreams"][0]["circuit"]
        assert circuit["sessions"] == 1 and circuit["max_sessions"] == 1 and circuit["breaks"]["sessions"] == 1
        assert proxy.metric("holdfast_upstream_sessions", upstream="main") == 1
        replace(file, [{"address": server.address}])
        has_backends(proxy, server.address)
        assert proxy.metric("holdfast_upstream_sessions", upstream="main") == 1
    harness.eventually(lambda: proxy.metric("holdfast_upstream_sessions", upstream="main") == 0, what="its end")
