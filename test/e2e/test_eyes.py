"""What an operator sees: access lines, metrics, status, readiness."""
import json
import re
import shutil
import subprocess

import pytest

import backend as fake
import harness
import wire

DEPLOY = harness.ROOT / "deploy"
# prometheus-cpp's own and the process's names are not ours to promise.
NAME = re.compile(r"\bholdfast_[a-z_]+")
# Series that come with the first event of their kind; the unit tests know their names.
SELDOM = {"holdfast_reroutes_total", "holdfast_ejections_total", "holdfast_discovery_up",
          "holdfast_discovered_backends", "holdfast_discovery_updates_total"}

# Some series are only of routes that ask who their clients are.
ROUTES = [{"name": "guarded", "host": "guarded.test", "auth": {"forward_auth": {"url": "http://127.0.0.1:1/"}}},
          {"name": "quotes", "host": "quotes.test", "feed": "quotes"}, {"name": "all"}]
FEEDS = [{"name": "quotes", "source": {"urls": ["ws://127.0.0.1:1/"]}}]


def one_session(proxy, path="/chat?token=secret"):
    with wire.open_session(proxy.public, path) as client:
        client.send(wire.frame(wire.TEXT, b"hello"))
        client.data_frame()
        client.send(wire.frame(wire.BINARY, b"x" * 1000))
        client.data_frame()
        client.send(wire.close_frame(4001))
        assert client.close_code() == 4001


def test_a_text_access_line_tells_the_session(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address, route={}))
    one_session(proxy)
    line = proxy.access_lines(1)[0]
    for part in ("127.0.0.1", "all", server.address, "4001", "client_closed"):
        assert part in line, line
    assert "secret" not in line


def test_a_json_access_line_has_typed_fields(start, backend):
    server = backend(fake.echo)
    config = harness.config_for(server.address, route={})
    config["log"]["format"] = "json"
    proxy = start(config)
    one_session(proxy)
    line = json.loads(proxy.access_lines(1)[0])
    assert line["route"] == "all"
    assert line["backend"] == server.address
    assert line["reason"] == "client_closed"
    assert any(value == 4001 for key, value in line.items() if "code" in key)
    assert "127.0.0.1" in line["client"]
    assert "secret" not in json.dumps(line)
    numbers = [value for value in line.values() if isinstance(value, (int, float))]
    assert len(numbers) >= 6, "handshake and duration, frames and bytes each way"
    for entry in proxy.log().splitlines():
        json.loads(entry)


def test_frames_messages_and_bytes_move_while_the_session_is_open(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address, route={}))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.TEXT, b"a" * 10, fin=False) + wire.frame(wire.CONTINUATION, b"b" * 10))
        client.data_frame()
        client.data_frame()
        harness.eventually(lambda: proxy.metric("holdfast_sessions", listener="public", route="all") == 1)
        to_backend = {"route": "all", "direction": "to_backend"}
        harness.eventually(lambda: proxy.metric("holdfast_messages_total", **to_backend) == 1)
        assert proxy.metric("holdfast_frames_total", **to_backend, opcode="text") == 1
        assert proxy.metric("holdfast_frames_total", **to_backend, opcode="continuation") == 1
        assert proxy.metric("holdfast_bytes_total", **to_backend) == 2 * (2 + 4 + 10)
        assert proxy.metric("holdfast_bytes_total", route="all", direction="to_client") == 2 * (2 + 10)
    harness.eventually(lambda: proxy.metric("holdfast_sessions") == 0)
    assert proxy.metric("holdfast_session_duration_seconds_count") == 1
    assert proxy.metric("holdfast_handshakes_total", listener="public", result="accepted") == 1


def test_promtool_accepts_the_metrics(start, backend):
    if not shutil.which("promtool"):
        pytest.skip("promtool (package prometheus) is not installed")
    proxy = start(harness.config_for(backend(fake.echo).address, upstream={"probe": {"interval": "50ms"}}, routes=ROUTES, feeds=FEEDS))
    one_session(proxy)
    harness.eventually(lambda: proxy.metric("holdfast_probe_total") > 0)
    result = subprocess.run(["promtool", "check", "metrics"], input=proxy.get("/metrics")[1], text=True,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr.strip() == "", result.stderr


def test_promtool_accepts_the_alert_rules():
    if not shutil.which("promtool"):
        pytest.skip("promtool (package prometheus) is not installed")
    result = subprocess.run(["promtool", "check", "rules", str(DEPLOY / "prometheus/alerts.yml")], text=True,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_dashboard_and_alerts_know_exactly_the_exported_names(start, backend, authority, trust):
    chain, key = authority.issue("names.test")
    listener = {"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}}
    balancing = {"sticky": {}, "queue": {"length": 1}}
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener, upstream=balancing,
                                     routes=ROUTES, feeds=FEEDS))
    wire.open_session(proxy.public, tls=trust, server_name="names.test").close()  # series that come with an end
    harness.eventually(lambda: proxy.metric("holdfast_session_ends_total") == 1)
    exported = set(re.findall(r"^# TYPE (holdfast_\w+|process_\w+) ", proxy.get("/metrics")[1], re.M))
    dashboards = "".join(file.read_text() for file in (DEPLOY / "grafana").glob("*.json"))
    told = dashboards + (DEPLOY / "prometheus/alerts.yml").read_text()
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(told)}
    ours = {name for name in exported if name.startswith("holdfast_")}
    assert ours - used == set(), "exported, but on no dashboard and in no alert"
    assert used - ours - SELDOM == set(), "on a dashboard or in an alert, but not exported"


def test_status_has_what_is_promised(start, backend):
    server = backend(fake.echo)
    proxy = start(harness.config_for(server.address))
    status = proxy.status()
    assert {"version", "generation", "uptime_seconds", "workers", "listeners", "upstreams"} <= set(status)
    assert {"name", "bind", "sessions"} <= set(status["listeners"][0])
    assert {"name", "policy", "backends"} <= set(status["upstreams"][0])
    assert {"address", "health", "state", "ejected", "sessions", "picks_total", "reroutes_from_total",
            "reroutes_to_total", "last_error"} <= set(status["upstreams"][0]["backends"][0])
    with wire.open_session(proxy.public):
        # The 101 is on its way before the session is counted on its pump thread.
        harness.eventually(lambda: proxy.sessions() == 1, what="one session in /status")
        assert proxy.backends()[server.address]["sessions"] == 1


def test_readiness_of_a_route_is_strict(start, backend):
    good, bad = backend(fake.echo), fake.refused_address()
    upstreams = [{"name": "good", "backends": [{"address": good.address}], "probe": {"interval": "50ms"}},
                 {"name": "bad", "backends": [{"address": bad}], "probe": {"interval": "50ms", "fall": 1}}]
    proxy = start(harness.config_for(upstreams=upstreams, routes=[
        {"name": "g", "path": "/g", "upstream": "good"}, {"name": "b", "path": "/b", "upstream": "bad"}]))
    harness.eventually(lambda: proxy.get("/readyz?route=b")[0] == 503, what="the bad route's verdict")
    assert proxy.get("/readyz")[0] == 200
    assert proxy.get("/readyz?route=g")[0] == 200
    assert proxy.get("/readyz?route=absent")[0] == 404


def test_unknown_admin_calls_are_json_errors(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    status, body = proxy.get("/nothing")
    assert status == 404
    assert json.loads(body)["error"]
    status, body = proxy.get("/metrics", method="POST")
    assert status == 405
    assert json.loads(body)["error"]


def test_a_backend_is_drained_disabled_and_enabled_by_the_api(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(one.address, two.address))
    for state in ("draining", "disabled"):
        assert proxy.get(f"/upstreams/main/backends/{one.address}/{state}", method="POST")[0] == 200
        assert proxy.backends()[one.address]["state"] == state
        before = len(one.heads)
        for _ in range(4):
            wire.open_session(proxy.public).close()
        assert len(one.heads) == before
    assert proxy.get(f"/upstreams/main/backends/{one.address}/active", method="POST")[0] == 200
    clients = [wire.open_session(proxy.public) for _ in range(4)]
    assert proxy.backends()[one.address]["sessions"] == 2
    for client in clients:
        client.close()


def test_the_api_reloads_and_tells_the_changes_or_the_errors(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(one.address))
    proxy.write(harness.config_for(one.address, two.address))
    status, body = proxy.get("/reload", method="POST")
    assert status == 200 and two.address in body
    proxy.write("{")
    status, body = proxy.get("/reload", method="POST")
    assert 400 <= status < 500
    assert "line" in body


def test_the_api_lists_sessions_within_limits(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    assert json.loads(proxy.get("/sessions")[1]) == {"sessions": [], "total": 0}
    with wire.open_session(proxy.public):
        harness.eventually(lambda: json.loads(proxy.get("/sessions")[1])["total"] == 1, what="a session in the count")
        assert json.loads(proxy.get("/sessions?upstream=main&limit=1")[1])["total"] == 1
        assert json.loads(proxy.get("/sessions?upstream=absent")[1]) == {"sessions": [], "total": 0}
    for limit in ("0", "10001", "many"):
        assert proxy.get(f"/sessions?limit={limit}")[0] == 400


def test_orders_for_sessions_that_are_not_there_are_refused(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    for action in ("close", "move"):
        assert proxy.get(f"/sessions/nonsense/{action}", method="POST")[0] == 400
        assert proxy.get(f"/sessions/{'0' * 32}/{action}", method="POST")[0] == 404
        assert proxy.get(f"/sessions/{'0' * 32}/{action}")[0] == 405
    assert proxy.get("/upstreams/absent/rebalance", method="POST")[0] == 404


def test_a_rebalance_answers_what_each_backend_gives_away(start, backend):
    one, two = backend(fake.echo), backend(fake.echo)
    proxy = start(harness.config_for(one.address))
    clients = [wire.open_session(proxy.public) for _ in range(20)]
    proxy.reload(harness.config_for(one.address, two.address))
    status, body = proxy.get("/upstreams/main/rebalance", method="POST")
    assert status == 200
    # The mean is 10, and 10 % above it may stay.
    assert json.loads(body) == {"upstream": "main", "to_move": 9, "backends": [
        {"address": one.address, "to_move": 9}, {"address": two.address, "to_move": 0}]}
    for client in clients:
        client.close()


def test_a_token_guards_everything_but_liveness_and_readiness(start, backend, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    proxy = start(harness.config_for(backend(fake.echo).address, admin={
        "bind": "127.0.0.1:0", "token_file": str(tmp_path / "token")}))
    assert [proxy.get(path)[0] for path in ("/healthz", "/readyz", "/status", "/metrics")] == [200, 200, 401, 401]
    assert proxy.get("/reload", method="POST")[0] == 401
