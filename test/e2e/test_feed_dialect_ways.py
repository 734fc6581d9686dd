"""Feeds with a dialect by other ways: an upstream as source, TLS on both sides, a browser, the demo's crowd."""
import json
import re
import shutil
import signal
import ssl
import subprocess
import urllib.request

import pytest

import exchanges
import feeds
import harness
import peers
import wire


def numbers_until(client, last):
    """Those of {"stream":…,"data":{"n":N}}."""
    heard = [feeds.heard(client)["data"]["n"]]
    while heard[-1] < last:
        heard.append(feeds.heard(client)["data"]["n"])
    return heard


def test_a_source_that_is_an_upstreams_backend_is_left_for_another_one_without_a_gap(start, source):
    one, two = source(exchanges.Binance()), source(exchanges.Binance())
    made = feeds.spoken("binance", "/stream")
    made["upstreams"] = [{"name": "markets", "backends": [{"address": one.address}, {"address": two.address}],
                          "probe": {"type": "none"}}]
    made["feeds"][0]["source"] = {"upstream": "markets", "path": "/stream", "retry_max": "300ms"}
    proxy = start(made)
    with wire.open_session(proxy.public, "/stream?streams=a@trade") as client:
        harness.eventually(lambda: one.live() or two.live())
        used, other = (one, two) if one.live() else (two, one)
        used.wait(lambda: "a@trade" in used.live()[0].keys)
        # Both say the same, as two front ends of one exchange do.
        with used.counting(rate=100, key="a@trade") as first, other.counting(rate=100, key="a@trade") as second:
            harness.eventually(lambda: first.last > 20 and second.last > 20)
            result = harness.run("drain", f"markets/{used.address}", "--admin", f"http://{proxy.admin_address}")
            assert result.returncode == 0, result.stderr
            other.wait_live(1)
            used.wait(lambda: not used.live())
            heard = numbers_until(client, second.last + 10)
    assert len(set(heard)) == len(heard) and heard == sorted(heard)


def test_over_tls_on_both_sides(start, source, authority, trust):
    chain, key = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    node = source(exchanges.Ethereum(), tls=context)
    made = feeds.spoken("ethereum", "/rpc", node, source={"tls": {"ca": str(authority.ca), "server_name": "localhost"}})
    made["listeners"].append({"name": "tls", "bind": "127.0.0.1:0",
                              "tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}})
    proxy = start(made)
    with wire.open_session(proxy.listeners["tls"], "/rpc", tls=trust, server_name="localhost") as client:
        call = {"jsonrpc": "2.0", "id": "x", "method": "eth_chainId", "params": []}
        assert feeds.ask(client, call) == {"jsonrpc": "2.0", "id": "x", "result": "0x1"}
        identity = feeds.ask(client, {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})["result"]
        for n in range(100):
            node.publish('["newHeads"]', {"hash": hex(n), "pad": "y" * 5000})
            told = feeds.heard(client)["params"]
            assert told["subscription"] == identity and told["result"]["hash"] == hex(n)


def test_chromium_hears_the_raw_form(start, source, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("chromium is not installed")
    peers.need_npm()
    market = source(exchanges.Binance())
    made = feeds.spoken("binance", "/ws/*", market)
    made["feeds"][0]["source"]["urls"] = [market.url + "stream"]
    proxy = start(made)
    with market.counting(rate=50, key="a@trade"):
        told = peers.run_node("follow_chromium.js", {"url": f"ws://{proxy.public}/ws/a@trade", "count": 30,
                                                     "browser": browser, "profile": str(tmp_path / "profile")})
    assert feeds.consecutive([json.loads(text)["n"] for text in told["texts"]])
    assert "permessage-deflate" in told["extensions"]


def test_the_demos_crowd_is_many_clients_on_one_source_connection():
    demo = subprocess.Popen([harness.binary(), "demo", "--crowd", "300"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True)
    try:
        admin = next(found for line in demo.stdout if (found := re.search(r"(http://\S+)  /metrics", line))).group(1)

        def market():
            with urllib.request.urlopen(admin + "/status", timeout=10) as answer:
                return json.load(answer)["feeds"][0]
        harness.eventually(lambda: market()["subscribers"] == 300 and market()["deliveries_total"] > 3000, 30, "a crowd")
        assert market()["source_connections"] == 1
        assert market()["channels"] == 40  # ticker and trades of 20 symbols
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.stdout.close()
        assert demo.wait(20) == 0
