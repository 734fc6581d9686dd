"""The command line: exit codes, check, status, the demo."""
import json

import pytest

import backend as fake
import harness
import wire


def check(tmp_path, config):
    file = tmp_path / "holdfast.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return harness.run("check", "-c", file, folder=tmp_path)


def test_check_accepts_the_smallest_file(tmp_path):
    config = {"listeners": [{"bind": "127.0.0.1:0"}],
              "upstreams": [{"name": "main", "backends": [{"address": "127.0.0.1:9001"}]}]}
    result = check(tmp_path, config)
    assert result.returncode == 0, result.stdout + result.stderr


def test_check_reports_all_errors_at_once_with_path_value_and_hint(tmp_path):
    result = check(tmp_path, {
        "listeners": [{"name": "a", "bind": "127.0.0.1:0", "handshake_timout": "1s"},
                      {"name": "a", "bind": "nonsense"}],
        "upstreams": [{"name": "main", "backends": [{"address": "127.0.0.1:9001", "weight": -1}]}],
        "routes": [{"upstream": "mian"}], "shutdown_timeout": "5 parsecs"})
    assert result.returncode == 2
    told = result.stdout + result.stderr
    for part in ("listeners[0]", "handshake_timeout", "listeners[1]", "nonsense", "upstreams[0].backends[0].weight",
                 "-1", "routes[0]", "mian", "shutdown_timeout", "5 parsecs"):
        assert part in told, f"{part} is missing in:\n{told}"


def test_check_tells_line_and_column_of_broken_json(tmp_path):
    result = check(tmp_path, '{\n  "listeners": [\n    { "bind" "x" }\n  ]\n}')
    assert result.returncode == 2
    assert "line 3" in result.stdout + result.stderr


def test_check_finds_certificates_that_openssl_does_not_read(tmp_path):
    """Story: such errors were told, with "is valid" below them; and a wss:// source with a bad ca was dialled in plain."""
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    result = check(tmp_path, {
        "listeners": [{"bind": "127.0.0.1:0"}],
        "feeds": [{"name": "f", "source": {"urls": ["wss://127.0.0.1:1/"], "tls": {"ca": str(tmp_path / "ca.pem")}}}],
        "routes": [{"path": "/f", "feed": "f"}]})
    assert result.returncode == 2
    told = result.stdout + result.stderr
    assert "feeds[0].source.tls" in told and "1 error" in told
    assert "is valid" not in told


def test_check_of_a_missing_file_is_2(tmp_path):
    result = harness.run("check", "-c", tmp_path / "absent.json")
    assert result.returncode == 2
    assert "absent.json" in result.stdout + result.stderr


def test_check_against_a_running_instance_tells_what_a_reload_would_do(start, backend, tmp_path):
    one, two = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(one.address))
    file = tmp_path / "next.json"
    file.write_text(json.dumps(harness.config_for(one.address, two.address)))
    result = harness.run("check", "-c", file, "--against", f"http://{proxy.admin_address}")
    assert result.returncode == 0, result.stderr
    assert two.address in result.stdout or "1 backend" in result.stdout


@pytest.mark.parametrize("body", [b"[]", b'{"upstreams":[1]}', b'{"upstreams":{"a":1}}', b'{"upstreams":[{"name":1}]}',
                                  b'{"error":1}'])
def test_check_against_something_else_says_so(backend, tmp_path, body):
    def answer(stream, head):
        status = b"503 Ill" if b"error" in body else b"200 OK"
        stream.send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
    other = backend(answer)
    file = tmp_path / "next.json"
    file.write_text(json.dumps(harness.config_for(other.address)))
    result = harness.run("check", "-c", file, "--against", f"http://{other.address}")
    assert result.returncode == 1
    assert result.stderr == f"holdfast: what http://{other.address} answers is not what a holdfast would\n"


def test_usage_errors_are_2():
    for arguments in ([], ["run"], ["fly"], ["run", "--fly"], ["check"]):
        assert harness.run(*arguments).returncode == 2, arguments


def test_help_and_version_are_0():
    for arguments in (["--help"], ["--version"], ["run", "--help"], ["check", "--help"], ["demo", "--help"]):
        result = harness.run(*arguments)
        assert result.returncode == 0 and result.stdout, arguments


def test_run_with_a_bad_config_is_2(tmp_path):
    file = tmp_path / "holdfast.json"
    file.write_text("{}")
    assert harness.run("run", "-c", file).returncode == 2


def test_run_on_a_taken_port_is_1(tmp_path, backend):
    taken = backend(fake.echo).address
    file = tmp_path / "holdfast.json"
    file.write_text(json.dumps(harness.config_for(fake.refused_address(), listener={"bind": taken})))
    result = harness.run("run", "-c", file, folder=tmp_path)
    assert result.returncode == 1
    assert taken in result.stdout + result.stderr


def test_status_and_backend_commands_talk_to_the_admin_port(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address))
    admin = ["--admin", f"http://{proxy.admin_address}"]
    plain = harness.run("status", *admin)
    assert plain.returncode == 0 and server.address in plain.stdout
    assert "refused" not in plain.stdout
    assert json.loads(harness.run("status", "--json", *admin).stdout)["generation"] == 1
    assert harness.run("drain", f"main/{server.address}", *admin).returncode == 0
    assert proxy.backends()[server.address]["state"] == "draining"
    assert harness.run("enable", f"main/{server.address}", *admin).returncode == 0
    assert proxy.backends()[server.address]["state"] == "active"
    assert harness.run("drain", "main/absent:1", *admin).returncode == 1


def test_status_tells_who_was_refused_and_why(start, backend, tmp_path):
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, route={"origins": ["https://app.example.com"], "auth": {
        "jwt": {"secret_file": str(tmp_path / "secret")}}}))
    for extra in ([("Origin", "https://evil.example.com")], []):
        with wire.connect(proxy.public) as stream:
            stream.send(wire.request(extra=extra))
            assert stream.head().status in (401, 403)
    told = harness.run("status", "--admin", f"http://{proxy.admin_address}").stdout
    assert "  refused: origin 1\n" in told
    assert "route all\n  refused by tokens: missing 1\n" in told


def test_status_of_nobody_is_1():
    assert harness.run("status", "--admin", f"http://{fake.refused_address()}").returncode == 1


def test_the_demo_shows_that_it_works():
    result = harness.run("demo", "--check", seconds=60)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.strip().splitlines()) >= 4, result.stdout


def test_a_config_comes_with_comments(start, backend):
    config = json.dumps(harness.config_for(backend(fake.echo).address))
    proxy = start("// one line\n/* and\n more */\n" + config)
    wire.open_session(proxy.public).close()
