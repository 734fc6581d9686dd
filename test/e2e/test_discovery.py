"""Backends that are found while the proxy runs: a real name server (dnsmasq), a file that is rewritten."""
import json
import os
import pwd
import signal
import socket
import subprocess

import pytest

import backend as fake
import harness
import wire


def free_dns_port():
    """Free for UDP and TCP: dnsmasq has no "any port"."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as packets:
            stream.bind(("127.0.0.1", 0))
            try:
                packets.bind(stream.getsockname())
            except OSError:
                continue
            return stream.getsockname()[1]


class NameServer:
    """dnsmasq on the loopback. `names`: name -> addresses; `services`: lines of --srv-host."""

    def __init__(self, folder, names, services=()):
        self.hosts, self.port, self.services = folder / "hosts", free_dns_port(), services
        self.address = f"127.0.0.1:{self.port}"
        self._write(names)
        self._start()

    def _write(self, names):
        self.hosts.write_text("".join(f"{a} {name}\n" for name, all_of in names.items() for a in all_of))

    def _start(self):
        self.process = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll",
             f"--addn-hosts={self.hosts}", f"--port={self.port}", "--listen-address=127.0.0.1", "--bind-interfaces",
             "--local-ttl=1", "--cache-size=0", "--pid-file=", f"--user={pwd.getpwuid(os.geteuid()).pw_name}",
             *(f"--srv-host={line}" for line in self.services)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.eventually(self._accepts, what="dnsmasq")

    def _accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except ConnectionRefusedError:
            return False

    def change(self, names):
        self._write(names)
        self.process.send_signal(signal.SIGHUP)

    def serve(self, services):
        self.stop()
        self.services = services
        self._start()

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def name_server(tmp_path, closing):
    return lambda *arguments, **named: closing.add(NameServer(tmp_path, *arguments, **named), NameServer.stop)


def two_on_one_port(backend):
    """Two backends that only their addresses tell apart."""
    first = backend(fake.echo, host="127.0.0.2")
    port = int(first.address.rsplit(":", 1)[1])
    return first, backend(fake.echo, host="127.0.0.3", port=port), port


def config_with(discover, *addresses, **more):
    config = harness.config_for(*addresses, **more)
    config["upstreams"][0]["discover"] = discover
    if not addresses:
        del config["upstreams"][0]["backends"]
    return config


def has_backends(proxy, *addresses):
    harness.eventually(lambda: set(proxy.backends()) == set(addresses), what=f"backends {addresses}")


def discovery(proxy):
    return proxy.status()["upstreams"][0]["discovery"]


def talks(client, text=b"hi"):
    client.send(wire.frame(wire.TEXT, text))
    return client.data_frame()[2] == text


def test_addresses_come_and_go_with_the_name(start, backend, name_server):
    """The sessions of an address that is gone move, as with a reload; no client is closed."""
    first, second, port = two_on_one_port(backend)
    names = name_server({"chat.test": ["127.0.0.2"]})
    proxy = start(config_with({"dns": "chat.test", "port": port, "servers": [names.address]}))
    has_backends(proxy, first.address)
    with wire.open_session(proxy.public) as client:
        assert talks(client)
        names.change({"chat.test": ["127.0.0.2", "127.0.0.3"]})
        has_backends(proxy, first.address, second.address)
        assert all(entry["discovered"] for entry in proxy.backends().values())
        names.change({"chat.test": ["127.0.0.3"]})
        has_backends(proxy, second.address)
        harness.eventually(lambda: proxy.backends()[second.address]["sessions"] == 1, what="the move")
        assert talks(client, b"still here")
    assert "discovery: backend main/" + second.address + " added" in proxy.log()
    assert discovery(proxy)["source"] == "dns A chat.test"
    assert proxy.metric("holdfast_discovery_up", upstream="main") == 1
    assert proxy.metric("holdfast_discovery_updates_total", upstream="main", result="changed") == 3


def test_a_name_server_that_fails_changes_nothing_and_is_told(start, backend, name_server):
    server = backend(fake.echo, host="127.0.0.2")
    port = int(server.address.rsplit(":", 1)[1])
    names = name_server({"chat.test": ["127.0.0.2"]})
    proxy = start(config_with({"dns": "chat.test", "port": port, "servers": [names.address]}))
    has_backends(proxy, server.address)
    names.stop()
    harness.eventually(lambda: discovery(proxy)["error"], seconds=20, what="an error in /status")
    assert set(proxy.backends()) == {server.address}
    assert proxy.metric("holdfast_discovery_up", upstream="main") == 0
    assert "discovery of upstream main fails, what was found last stays" in proxy.log()
    with wire.open_session(proxy.public) as client:
        assert talks(client)
    names.serve(())
    harness.eventually(lambda: not discovery(proxy)["error"], seconds=40, what="the recovery")
    assert "discovery of upstream main works again" in proxy.log()


def test_a_name_that_nobody_knows_keeps_what_was_found(start, backend, name_server):
    server = backend(fake.echo, host="127.0.0.2")
    names = name_server({"chat.test": ["127.0.0.2"]})
    proxy = start(config_with({"dns": "chat.test", "port": int(server.address.rsplit(":", 1)[1]),
                               "servers": [names.address]}))
    has_backends(proxy, server.address)
    names.change({})
    harness.eventually(lambda: discovery(proxy)["error"], what="an error")
    assert set(proxy.backends()) == {server.address}


def test_services_have_ports_weights_and_priorities(start, backend, name_server):
    one, two, spare = (backend(fake.echo) for _ in range(3))
    ports = [server.address.rsplit(":", 1)[1] for server in (one, two, spare)]
    line = "_ws._tcp.chat.test,host.test,{},{},{}"
    names = name_server({"host.test": ["127.0.0.1"]},
                        services=[line.format(ports[0], 10, 30), line.format(ports[1], 10, 10),
                                  line.format(ports[2], 20, 10)])
    proxy = start(config_with({"dns": "_ws._tcp.chat.test", "type": "SRV", "servers": [names.address]},
                              upstream={"probe": {"type": "tcp", "interval": "50ms", "rise": 1, "fall": 1}}))
    has_backends(proxy, one.address, two.address, spare.address)
    backends = proxy.backends()
    assert backends[one.address]["weight"] == 30
    assert backends[two.address]["weight"] == 10
    assert [backends[each.address]["backup"] for each in (one, two, spare)] == [False, False, True]
    for _ in range(4):
        with wire.open_session(proxy.public) as client:
            assert talks(client)
    assert proxy.backends()[spare.address]["picks_total"] == 0
    one.stop()
    two.stop()
    harness.eventually(lambda: unhealthy(proxy, one, two), what="two dead ones")
    with wire.open_session(proxy.public) as client:
        assert talks(client)
    assert proxy.backends()[spare.address]["picks_total"] == 1
    # Where the lowest priority is gone from the answer, the next one makes primaries.
    names.serve([line.format(ports[2], 20, 10)])
    harness.eventually(lambda: set(proxy.backends()) == {spare.address}, seconds=30, what="the spare one")
    assert not proxy.backends()[spare.address]["backup"]


def unhealthy(proxy, *servers):
    backends = proxy.backends()
    return all(backends[each.address]["health"] == "unhealthy" for each in servers)


def test_listed_backends_stay_beside_discovered_ones(start, backend, name_server):
    listed, found = backend(fake.echo), backend(fake.echo, host="127.0.0.2")
    names = name_server({"chat.test": ["127.0.0.2"]})
    proxy = start(config_with({"dns": "chat.test", "port": int(found.address.rsplit(":", 1)[1]),
                               "servers": [names.address]}, listed.address))
    has_backends(proxy, listed.address, found.address)
    backends = proxy.backends()
    assert not backends[listed.address]["discovered"] and backends[found.address]["discovered"]


def replace(file, backends):
    """As careful writers do."""
    unfinished = file.with_suffix(".new")
    unfinished.write_text(backends if isinstance(backends, str) else json.dumps(backends))
    unfinished.rename(file)


def test_a_file_is_followed(start, backend, tmp_path):
    one, two = backend(fake.echo), backend(fake.echo)
    file = tmp_path / "backends.json"
    replace(file, [{"address": one.address}])
    proxy = start(config_with({"file": str(file)}))
    assert set(proxy.backends()) == {one.address}  # from the start: nothing has to be waited for
    with wire.open_session(proxy.public) as client:
        assert talks(client)
        replace(file, [{"address": two.address, "weight": 7}])
        has_backends(proxy, two.address)
        assert proxy.backends()[two.address]["weight"] == 7
        harness.eventually(lambda: proxy.backends()[two.address]["sessions"] == 1, what="the move")
        assert talks(client, b"still here")


@pytest.mark.parametrize("text, why", [
    ("[", "line 1, column 1"),
    ("{}", "must hold a JSON list of backends"),
    ('[{"address": "127.0.0.1"}]', "backends[0].address"),
    ('[{"adress": "127.0.0.1:1"}]', "did you mean"),
    ('[{"address": "localhost:1"}]', "must be an IP address"),
    ('[{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:1"}]', "as another one is")])
def test_a_broken_file_changes_nothing_and_is_told(start, backend, tmp_path, text, why):
    one = backend(fake.echo)
    file = tmp_path / "backends.json"
    replace(file, [{"address": one.address}])
    proxy = start(config_with({"file": str(file)}))
    replace(file, text)
    harness.eventually(lambda: why in discovery(proxy)["error"], what=f"an error with {why}")
    assert set(proxy.backends()) == {one.address}
    file.unlink()
    harness.eventually(lambda: "can't be read" in discovery(proxy)["error"], what="an error about the missing file")
    assert set(proxy.backends()) == {one.address}


def test_a_folder_that_is_swapped_by_a_link_is_followed(start, backend, tmp_path):
    """Kubernetes mounts a ConfigMap like this: file -> ..data/file, ..data -> a folder that is replaced."""
    one, two = backend(fake.echo), backend(fake.echo)
    for number, server in (1, one), (2, two):
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "backends.json").write_text(json.dumps([{"address": server.address}]))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "backends.json").symlink_to("..data/backends.json")
    proxy = start(config_with({"file": str(tmp_path / "backends.json")}))
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    has_backends(proxy, two.address)


def test_a_reload_keeps_what_was_found(start, backend, name_server):
    server = backend(fake.echo, host="127.0.0.2")
    names = name_server({"chat.test": ["127.0.0.2"]})
    discover = {"dns": "chat.test", "port": int(server.address.rsplit(":", 1)[1]), "servers": [names.address]}
    proxy = start(config_with(discover))
    has_backends(proxy, server.address)
    with wire.open_session(proxy.public) as client:
        proxy.reload(config_with(discover, route={"idle_timeout": "1m"}))
        assert set(proxy.backends()) == {server.address}
        assert talks(client)
        proxy.reload(harness.config_for(server.address))
        assert talks(client)
    assert "discovery" not in proxy.status()["upstreams"][0]


def test_check_against_a_running_proxy_knows_discovered_backends(start, backend, tmp_path):
    one = backend(fake.echo)
    file = tmp_path / "backends.json"
    replace(file, [{"address": one.address}])
    config = config_with({"file": str(file)})
    proxy = start(config)
    (tmp_path / "next.json").write_text(json.dumps(config))
    told = harness.run("check", "-c", str(tmp_path / "next.json"), "--against", f"http://{proxy.admin_address}")
    assert told.returncode == 0 and "no backend added or removed" in told.stdout


@pytest.mark.parametrize("discover, why", [
    ({}, "must have either dns or file"),
    ({"dns": "a.test", "port": 1, "file": "x"}, "must have either dns or file"),
    ({"dns": "a.test"}, "discover.port: is missing"),
    ({"dns": "a.test", "type": "SRV", "port": 1}, "SRV records have their own"),
    ({"dns": "a b", "port": 1}, "discover.dns: is \"a b\", must be a name"),
    ({"dns": "a.test", "port": 1, "interval": "1ms"}, "must be \"ttl\" or a duration from 1s to 24h"),
    ({"dns": "a.test", "port": 1, "servers": ["ns.test:53"]}, "must be an IP address and a port")])
def test_what_can_not_be_discovered_is_an_error(tmp_path, discover, why):
    (tmp_path / "config.json").write_text(json.dumps(config_with(discover)))
    told = harness.run("check", "-c", str(tmp_path / "config.json"))
    assert told.returncode == 2 and why in told.stdout + told.stderr


def test_what_could_not_be_applied_is_tried_again(start, backend, tmp_path):
    """A change is a small reload, which needs the access log's file: for a while that can't be opened."""
    one, two = backend(fake.echo), backend(fake.echo)
    file, logs = tmp_path / "backends.json", tmp_path / "logs"
    logs.mkdir()
    replace(file, [{"address": one.address}])
    config = config_with({"file": str(file)})
    config["log"]["access"] = str(logs / "access.log")
    proxy = start(config)
    logs.rename(tmp_path / "elsewhere")
    logs.write_text("not a folder")
    replace(file, [{"address": two.address}])
    harness.eventually(lambda: "error discovery: " in proxy.log(), what="the complaint")
    assert set(proxy.backends()) == {one.address}
    logs.unlink()
    (tmp_path / "elsewhere").rename(logs)
    has_backends(proxy, two.address)
