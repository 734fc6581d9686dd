"""A reload that fails late must leave everything as it was: what it had prepared is let go."""
import socket

import pytest

import backend as fake
import harness
import wire


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def taken_listener(config, taken):
    config["listeners"].append({"name": "taken", "bind": taken})


def taken_admin(config, taken):
    config["admin"]["bind"] = taken


def impossible_log(config, _taken):
    # A file is where its folder should be.
    config["log"]["access"] = "holdfast.json/access.log"


@pytest.mark.parametrize("spoil", [taken_listener, taken_admin, impossible_log])
def test_a_refused_reload_changes_neither_token_nor_log_nor_listeners(start, backend, tmp_path, spoil):
    """A reload applied the admin token and the log file before it bound the listeners. When a port was taken it
    was refused and the old snapshot kept, but operators were locked out and the log was another one."""
    server, taken = backend(fake.echo), backend(fake.echo).address
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"{name}-token\n")
    admin = {"bind": "127.0.0.1:0", "metrics_open": True}
    proxy = start(harness.config_for(server.address, admin={**admin, "token_file": str(tmp_path / "old")}))
    proxy.token = "old-token"
    before = proxy.status()

    port = free_port()
    next_config = harness.config_for(server.address, admin={**admin, "token_file": str(tmp_path / "new")},
                                     log={"level": "debug", "format": "json", "access": "other.log"})
    next_config["listeners"].append({"name": "added", "bind": f"127.0.0.1:{port}"})
    spoil(next_config, taken)
    proxy.write(next_config)
    status, told = proxy.get("/reload", method="POST")
    assert status != 200, told
    assert taken in told or "log.access" in told

    after = proxy.status()
    assert (after["generation"], after["listeners"]) == (before["generation"], before["listeners"])
    proxy.token = "new-token"
    assert proxy.get("/status")[0] == 401
    with pytest.raises(ConnectionRefusedError):
        wire.connect(f"127.0.0.1:{port}")
    wire.open_session(proxy.public).close()
    assert "reason=client_vanished" in proxy.access_lines(1)[0]
    other = proxy.folder / "other.log"
    assert not other.exists() or other.read_text() == ""


def test_the_same_reload_goes_through_once_nothing_is_in_its_way(start, backend, tmp_path):
    server = backend(fake.echo)
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"{name}-token\n")
    admin = {"bind": "127.0.0.1:0", "metrics_open": True}
    proxy = start(harness.config_for(server.address, admin={**admin, "token_file": str(tmp_path / "old")}))
    port = free_port()
    config = harness.config_for(server.address, admin={**admin, "token_file": str(tmp_path / "new")},
                                log={"access": "other.log"})
    config["listeners"].append({"name": "added", "bind": f"127.0.0.1:{port}"})
    proxy.token = "old-token"
    proxy.write(config)
    assert proxy.get("/reload", method="POST")[0] == 200
    proxy.token = "new-token"
    assert proxy.status()["generation"] == 2
    wire.open_session(f"127.0.0.1:{port}").close()
    other = proxy.folder / "other.log"
    harness.eventually(lambda: other.exists() and other.read_text(), what="a line in the new log")
