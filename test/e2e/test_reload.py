"""SIGHUP: all or nothing, and never at the cost of a session."""
import json
import os
import pathlib
import shutil
import signal
import tempfile
import threading

import pytest

import backend as fake
import harness
import wire

NOBODY = 65534
RELOADS = 200 if harness.QUICK else 1000


def alive(client):
    client.send(wire.frame(wire.TEXT, b"still here"))
    return client.data_frame()[2] == b"still here"


BROKEN = {
    "empty": "",
    "half-written": '{"listeners": [{"name": "public", "bi',
    "not JSON": "listeners: []",
    "an unknown key": '{"listners": []}',
    "a dangling reference": '{"listeners": [{"name": "public", "bind": "127.0.0.1:0"}], "upstreams": [{"name": "main",'
                            ' "backends": [{"address": "127.0.0.1:1"}]}], "routes": [{"upstream": "nobody"}]}',
    "a wrong type": '{"listeners": 7}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_keeps_the_old_snapshot(start, backend, name):
    proxy = start(harness.config_for(backend(fake.echo).address))
    generation = proxy.status()["generation"]
    with wire.open_session(proxy.public) as client:
        proxy.reload(BROKEN[name], result=harness.RELOAD_FAILED)
        assert alive(client)
        wire.open_session(proxy.public).close()
    assert proxy.status()["generation"] == generation
    harness.eventually(lambda: "holdfast.json" in proxy.log(), what="the file's name in the log")


def missing(file):
    file.unlink()


def a_folder(file):
    file.unlink()
    file.mkdir()


def unreadable(file):
    file.chmod(0)


def as_nobody(closing, config):
    """A proxy that runs as another user: root reads every file."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-nobody-"))
    closing.add(folder, shutil.rmtree)
    program = pathlib.Path(shutil.copy(harness.binary(), folder / "holdfast"))
    os.chown(folder, NOBODY, NOBODY)
    prefix = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
    proxy = harness.Holdfast(folder, config, program=program, prefix=prefix)
    return closing.add(proxy, lambda running: running.finish())


@pytest.mark.parametrize("spoil", [missing, a_folder, unreadable])
def test_an_unreadable_or_missing_file_keeps_the_old_snapshot(start, closing, backend, spoil):
    config = harness.config_for(backend(fake.echo).address)
    proxy = as_nobody(closing, config) if os.geteuid() == 0 else start(config)
    with wire.open_session(proxy.public) as client:
        spoil(proxy.file)
        proxy.reload(result=harness.RELOAD_FAILED)
        assert alive(client)
        wire.open_session(proxy.public).close()
    harness.eventually(lambda: "holdfast.json" in proxy.log(), what="the file's name in the log")


def test_a_missing_certificate_keeps_the_old_snapshot(start, backend, authority):
    proxy = start(harness.config_for(backend(fake.echo).address))
    tls = {"certificates": [{"chain": "absent.pem", "key": "absent.key"}]}
    proxy.reload(harness.config_for("127.0.0.1:1", listener={"tls": tls}), result=harness.RELOAD_FAILED)
    wire.open_session(proxy.public).close()


def test_every_error_of_a_broken_file_is_logged(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    config = harness.config_for("127.0.0.1:1", shutdown_timeout="soon")
    config["upstreams"][0]["plicy"] = "round_robin"
    proxy.reload(config, result=harness.RELOAD_FAILED)
    for part in ("shutdown_timeout", "upstreams[0]", "plicy"):
        harness.eventually(lambda part=part: part in proxy.log(), what=f"{part} in the log")


def test_a_listener_is_added_and_removed_without_touching_sessions(start, backend):
    address = backend(fake.echo).address
    proxy = start(harness.config_for(address))
    listeners = [{"name": "public", "bind": "127.0.0.1:0"}, {"name": "second", "bind": "127.0.0.2:0"}]
    with wire.open_session(proxy.public) as first:
        proxy.reload(harness.config_for(address, listeners=listeners))
        second_address = proxy.listeners["second"]
        with wire.open_session(second_address) as second:
            assert alive(first) and alive(second)
            proxy.reload(harness.config_for(address))

            def refused():
                try:
                    wire.connect(second_address).close()
                    return False
                except ConnectionRefusedError:
                    return True
            harness.eventually(refused, what="the removed listener's refusal")
            assert alive(first) and alive(second)
            wire.open_session(proxy.public).close()


def test_a_route_is_added_and_removed(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    upstreams = [{"name": name, "backends": [{"address": server.address}], "probe": {"type": "none"}}
                 for name, server in (("main", one), ("other", two))]
    general = {"name": "all", "upstream": "main"}
    special = {"name": "special", "path": "/special", "upstream": "other"}
    proxy = start(harness.config_for(upstreams=upstreams, routes=[general]))
    wire.open_session(proxy.public, "/special").close()
    one.wait_heads(1)
    proxy.reload(harness.config_for(upstreams=upstreams, routes=[special, general]))
    with wire.open_session(proxy.public, "/special") as client:
        two.wait_heads(1)
        proxy.reload(harness.config_for(upstreams=upstreams, routes=[general]))
        assert alive(client)
        wire.open_session(proxy.public, "/special").close()
        one.wait_heads(2)


def test_sessions_of_a_removed_backend_go_on_there_when_their_route_does_not_let_them_go(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    route = {"reroute": {"on": ["lost"]}}
    proxy = start(harness.config_for(one.address, route=route))
    with wire.open_session(proxy.public) as old:
        proxy.reload(harness.config_for(two.address, route=route))
        assert alive(old)
        with wire.open_session(proxy.public) as new:
            assert alive(new)
            two.wait_heads(1)
    assert len(one.heads) == 1


def test_counts_and_health_of_kept_backends_survive(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(one.address))
    with wire.open_session(proxy.public), wire.open_session(proxy.public):
        proxy.reload(harness.config_for(one.address, two.address))
        assert proxy.backends()[one.address]["sessions"] == 2
        more = [wire.open_session(proxy.public) for _ in range(2)]
        assert proxy.backends()[two.address]["sessions"] == 2
        for client in more:
            client.close()


def test_live_sessions_take_new_limits(start, backend):
    address = backend(fake.echo).address
    proxy = start(harness.config_for(address, route={"max_message": "1MiB"}))
    with wire.open_session(proxy.public) as client:
        assert alive(client)
        proxy.reload(harness.config_for(address, route={"max_message": 100}))
        client.send(wire.frame(wire.BINARY, b"x" * 1000))
        assert client.close_code() == 1009


def against(proxy, config):
    """What `check --against` says of a file."""
    file = proxy.folder / "next.json"
    file.write_text(json.dumps(config))
    result = harness.run("check", "-c", file, "--against", f"http://{proxy.admin_address}")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_check_tells_how_many_sessions_a_reload_would_move(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(one.address))
    clients = [wire.open_session(proxy.public) for _ in range(3)]
    assert "1 backend added, 1 removed: 3 sessions would move" in against(proxy, harness.config_for(two.address))
    stay = harness.config_for(two.address, route={"reroute": {"on": []}})
    assert "1 backend added, 1 removed: 3 sessions would stay" in against(proxy, stay)
    other = harness.config_for(upstreams=[{"name": "other", "backends": [{"address": one.address}]}])
    assert "1 backend added, 1 removed: 3 sessions would be closed" in against(proxy, other)
    for client in clients:
        client.close()


def test_a_reload_says_what_needs_a_restart(start, backend):
    address = backend(fake.echo).address
    proxy = start(harness.config_for(address))
    proxy.write(harness.config_for(address, workers=3, limits={"hold_memory": "1MiB"}))
    status, body = proxy.get("/reload", method="POST")
    assert status == 200
    for setting in ("workers", "limits"):
        assert f"setting {setting} needs a restart" in body


def test_an_access_log_that_was_renamed_is_reopened(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    wire.open_session(proxy.public).close()
    proxy.access_lines(1)
    (proxy.folder / "access.log").rename(proxy.folder / "access.log.1")
    proxy.reload()
    wire.open_session(proxy.public).close()
    assert len(proxy.access_lines(1)) == 1
    assert len((proxy.folder / "access.log.1").read_text().splitlines()) == 1


class Visitors:
    """Threads that open short sessions and use long ones, and count every failure."""

    def __init__(self, address, threads=4):
        self.address, self.failures, self.opened, self.stopping = address, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        try:
            with wire.open_session(self.address, timeout=30) as steady:
                while not self.stopping.is_set():
                    with wire.open_session(self.address, timeout=30) as client:
                        assert alive(client) and alive(steady)
                        client.send(wire.close_frame(1000))
                        assert client.close_code() == 1000
                    self.opened += 1
        except Exception as error:
            self.failures.append(repr(error))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        return self.failures


def test_reloads_under_load_drop_nothing(start, backend):
    one, two, three = backend(fake.echo), backend(fake.echo), backend(fake.echo)
    configs = [harness.config_for(one.address, two.address), harness.config_for(two.address, three.address)]
    proxy = start(configs[0])
    first = proxy.status()["generation"]
    visitors = Visitors(proxy.public)
    for number in range(RELOADS):
        proxy.write(configs[number % 2])
        generation = proxy.status()["generation"]
        proxy.process.send_signal(signal.SIGHUP)
        harness.eventually(lambda seen=generation: proxy.status()["generation"] > seen, what="the next generation")
    harness.eventually(lambda: visitors.opened > 20, 30, "enough visitors")
    assert visitors.stop() == []
    assert proxy.status()["generation"] == first + RELOADS
    harness.eventually(lambda: proxy.sessions() == 0)
    assert proxy.metric("holdfast_config_reloads_total", result=harness.RELOAD_FAILED) == 0
