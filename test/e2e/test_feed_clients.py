"""Real clients of a feed, with compression and without: each message is deflated once for all of them."""
import json
import shutil
import ssl
import threading

import pytest

import feeds
import harness
import peers
import wire

COUNT = 20


def texts(count=COUNT):
    return [json.dumps({"n": n, "pad": "häß€😀 " * 20}, separators=(",", ":")) for n in range(1, count + 1)]


def told(proxy, market, script, **options):
    """What a client in a process of its own heard; the source says everything once it is there."""
    done = {}

    def client():
        try:
            done["result"] = peers.run_node(script, {"url": feeds.uri(proxy), "count": COUNT, **options})
        except AssertionError as error:
            done["error"] = error
    thread = threading.Thread(target=client)
    thread.start()
    feeds.subscribers(proxy, 1, 60)
    market.wait_live(1)
    for text in texts():
        market.publish(None, text)
    thread.join()
    if "error" in done:
        raise done["error"]
    return done["result"]


@pytest.fixture
def feed(start, source):
    market = source()
    return market, start(feeds.config(market, feed={"linger": "100ms"}))


@pytest.mark.parametrize("deflate", [False, True])
def test_npm_ws_hears_every_message(feed, deflate):
    peers.need_npm()
    market, proxy = feed
    result = told(proxy, market, "follow.js", deflate=deflate)
    assert result["texts"] == texts()
    assert ("permessage-deflate" in result["extensions"]) == deflate


def test_chromium_hears_every_message_deflated(feed, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("chromium is not installed")
    market, proxy = feed
    peers.need_npm()
    result = told(proxy, market, "follow_chromium.js", browser=browser, profile=str(tmp_path / "profile"))
    assert result["texts"] == texts()
    assert "permessage-deflate" in result["extensions"]


def test_a_message_is_deflated_once_for_all_who_want_it_so(feed, followers):
    market, proxy = feed
    crowds = [followers(proxy, 20, compression="deflate"), followers(proxy, 10)]
    market.wait_live(1)
    feeds.subscribers(proxy, 30)
    for n in range(1, COUNT + 1):
        market.publish(None, {"n": n, "pad": "x" * 200})
    for crowd in crowds:
        for numbers in crowd.wait(COUNT):
            assert numbers == list(range(1, COUNT + 1))
    # One for each message, whatever the number of threads and clients.
    feeds.counted(proxy, "holdfast_feed_deflations_total", COUNT)


def test_an_offer_that_demands_a_smaller_window_gets_plain_frames(feed):
    market, proxy = feed
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=9")]
    with feeds.follow(proxy, extra=offer) as client:
        assert client.answer.one("sec-websocket-extensions") is None
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1


def test_nothing_is_deflated_where_nobody_wants_it_or_the_feed_is_against_it(start, source, followers):
    market = source()
    proxy = start(feeds.config(market, feed={"compression": "off"}))
    crowd = followers(proxy, 5, compression="deflate")
    feeds.subscribers(proxy, 5)
    market.wait_live(1)
    for n in range(1, COUNT + 1):
        market.publish(None, {"n": n})
    crowd.wait(COUNT)
    assert proxy.metric("holdfast_feed_deflations_total", feed="ticker") == 0
    assert all("permessage" not in str(client.response_headers) for client in crowd.clients)


def test_tls_clients_hear_what_plain_ones_do(start, source, authority, trust):
    market = source()
    chain, key = authority.issue("feeds.test")
    made = feeds.config(market)
    made["listeners"].append({"name": "tls", "bind": "127.0.0.1:0",
                              "tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}})
    proxy = start(made)
    with wire.open_session(proxy.listeners["tls"], "/feed/all", tls=trust, server_name="feeds.test") as secret, \
            feeds.follow(proxy) as plain:
        market.wait_live(1)
        feeds.subscribers(proxy, 2)
        for n in range(1, 101):
            market.publish(None, {"n": n, "pad": "y" * 2000})
        for client in (secret, plain):
            assert [feeds.number(client) for _ in range(100)] == list(range(1, 101))


def test_a_wss_source_is_verified(start, source, authority):
    chain, key = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    market = source(tls=context)
    tls = {"ca": str(authority.ca), "server_name": "localhost"}
    proxy = start(feeds.config(market, source={"tls": tls}))
    with feeds.follow(proxy) as client:
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
    strict = start(feeds.config(market, source={"tls": {**tls, "server_name": "else.test"}}))
    with feeds.follow(strict):
        harness.eventually(lambda: "certificate" in strict.log() or "verif" in strict.log(), what="a refusal in the log")
        assert strict.metric("holdfast_feed_source_up", feed="ticker") == 0
