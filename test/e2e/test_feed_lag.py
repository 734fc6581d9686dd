"""A client that must not have holes, and one that must be known before it follows a feed."""
import feeds
import harness
import tokens
import wire

RING = {"bytes": "1MiB", "age": "60s"}


def test_a_client_that_must_not_have_holes_is_closed_with_1013(start, source, followers):
    market = source()
    proxy = start(feeds.config(market, feed={
        "ring": RING, "on_lag": "disconnect", "slow": {"behind": "300ms", "floor": 100, "window": "500ms"}}))
    healthy = followers(proxy, 5)
    stalled = feeds.follow(proxy, receive_buffer=4096)
    feeds.subscribers(proxy, 6)
    with market.counting(rate=500, size=1024) as counter:
        harness.eventually(lambda: proxy.metric("holdfast_feed_too_slow_total", feed="ticker") == 1, 30)
        healthy.wait(counter.last)
    feeds.subscribers(proxy, 5)
    assert stalled.close_code() == 1013
    stalled.close()
    assert healthy.alive() == 5


def test_a_feeds_route_asks_who_its_clients_are(start, source, tmp_path):
    """Story: the circuit breaker of the route's upstream was asked after auth, and a feed's route has none."""
    secret = tmp_path / "secret"
    secret.write_text(tokens.SECRET)
    market = source()
    proxy = start(feeds.config(market, route={"auth": {"jwt": {"secret_file": str(secret), "leeway": 0}}}))
    with wire.connect(proxy.public) as stranger:
        stranger.send(wire.request("/feed/all"))
        assert stranger.head().status == 401
    token = tokens.Signer(tmp_path).token(lasts=2)
    with feeds.follow(proxy, extra=[("Authorization", f"Bearer {token}")]) as client:
        market.wait_live(1)
        market.publish(None, {"n": 1})
        assert feeds.number(client) == 1
        assert client.close_code() == 4401


def test_what_comes_at_once_may_be_larger_than_the_ring(start, source):
    """Story: a ring was trimmed before anybody was served; whoever had kept up was closed as too slow."""
    market = source()
    proxy = start(feeds.config(market, feed={"ring": {"bytes": "4KiB", "age": "60s"}, "on_lag": "disconnect"}))
    with feeds.follow(proxy) as client:
        feeds.subscribers(proxy, 1)
        market.wait_live(1)
        for n in range(30):
            market.publish(None, {"n": n, "pad": "x" * 1000})
        assert [feeds.number(client) for _ in range(30)] == list(range(30))
