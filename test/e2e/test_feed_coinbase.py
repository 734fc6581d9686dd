"""A feed that speaks as Coinbase does: acks without ids that tell the whole set, books that begin with a snapshot."""
import time

import exchanges
import feeds
import harness
import wire


def coinbase(start, source, dialect=None, workers=2, **feed):
    market = source(dialect or exchanges.Coinbase())
    made = feeds.spoken("coinbase", "/", market, **feed)
    made["workers"] = workers
    return market, start(made)


def subscription(kind, *channels, products=None):
    return {"type": kind, "channels": list(channels), **({} if products is None else {"product_ids": products})}


def channels_of(answer):
    assert answer["type"] == "subscriptions", answer
    return {each["name"]: sorted(each["product_ids"]) for each in answer["channels"]}


def has(market, *keys):
    market.wait(lambda: any(set(keys) <= set(each.keys) for each in market.live()))


def test_acks_tell_each_client_its_own_whole_set(start, source):
    market, proxy = coinbase(start, source)
    with wire.open_session(proxy.public) as one, wire.open_session(proxy.public) as two:
        assert channels_of(feeds.ask(one, subscription("subscribe", "ticker", products=["BTC-USD"]))) == \
            {"ticker": ["BTC-USD"]}
        assert channels_of(feeds.ask(two, subscription("subscribe", "ticker", "matches", products=["ETH-USD"]))) == \
            {"ticker": ["ETH-USD"], "matches": ["ETH-USD"]}
        assert channels_of(feeds.ask(one, subscription("subscribe", "heartbeat", products=["ETH-USD", "ETH-EUR"]))) == \
            {"ticker": ["BTC-USD"], "heartbeat": ["ETH-EUR", "ETH-USD"]}
        market.publish("ticker|ETH-USD", {"type": "ticker", "product_id": "ETH-USD", "trade_id": 1})
        market.publish("ticker|BTC-USD", {"type": "ticker", "product_id": "BTC-USD", "trade_id": 2})
        assert feeds.heard(one)["trade_id"] == 2
        assert feeds.heard(two)["trade_id"] == 1
        assert channels_of(feeds.ask(one, subscription("unsubscribe", "heartbeat", products=["ETH-USD"]))) == \
            {"ticker": ["BTC-USD"], "heartbeat": ["ETH-EUR"]}
        assert len(market.connections) == 1


def test_channels_have_products_of_their_own_and_those_of_all(start, source):
    market, proxy = coinbase(start, source)
    with wire.open_session(proxy.public) as client:
        asked = subscription("subscribe", "heartbeat", {"name": "ticker", "product_ids": ["ETH-BTC"]}, products=["BTC-USD"])
        assert channels_of(feeds.ask(client, asked)) == {"heartbeat": ["BTC-USD"], "ticker": ["BTC-USD", "ETH-BTC"]}
        has(market, "heartbeat|BTC-USD", "ticker|BTC-USD", "ticker|ETH-BTC")
        for product in ("ETH-BTC", "BTC-USD"):
            market.publish(f"ticker|{product}", {"type": "ticker", "product_id": product, "trade_id": 1})
            assert feeds.heard(client)["product_id"] == product


def test_a_channel_is_left_with_all_its_products(start, source):
    market, proxy = coinbase(start, source)
    with wire.open_session(proxy.public) as client, wire.open_session(proxy.public) as other:
        feeds.ask(client, subscription("subscribe", "ticker", "matches", products=["BTC-USD", "ETH-USD"]))
        feeds.ask(other, subscription("subscribe", "ticker", products=["ETH-USD"]))
        assert channels_of(feeds.ask(client, subscription("unsubscribe", "ticker"))) == \
            {"matches": ["BTC-USD", "ETH-USD"]}
        market.wait(lambda: market.unsubscribes("ticker|BTC-USD") == 1)
        assert market.unsubscribes("ticker|ETH-USD") == 0  # the other one has it
        market.publish("ticker|ETH-USD", {"type": "ticker", "product_id": "ETH-USD", "trade_id": 1})
        assert feeds.heard(other)["trade_id"] == 1
        assert channels_of(feeds.ask(client, subscription("unsubscribe", {"name": "matches"}))) == {}
        feeds.quiet(client)


def test_an_unknown_product_is_the_trouble_of_its_asker_alone(start, source):
    market, proxy = coinbase(start, source)
    names = ["BTC-USD", "ETH-USD", "NO-SUCH", "ETH-EUR", "ETH-BTC"]
    clients = [wire.open_session(proxy.public) for _ in names]
    for client, name in zip(clients, names):
        feeds.say(client, subscription("subscribe", "ticker", "heartbeat", products=[name, "BTC-USD"]))
    for client, name in zip(clients, names):
        answer = feeds.heard(client)
        if name == "NO-SUCH":
            assert answer == {"type": "error", "message": "Failed to subscribe", "reason": "NO-SUCH is not a valid product"}
            assert channels_of(feeds.ask(client, subscription("subscribe", "heartbeat", products=["ETH-BTC"]))) == \
                {"heartbeat": ["ETH-BTC"]}  # nothing of the message that was refused
        else:
            assert channels_of(answer)["ticker"] == sorted({name, "BTC-USD"})
    market.publish("ticker|BTC-USD", {"type": "ticker", "product_id": "BTC-USD", "trade_id": 1})
    for client, name in zip(clients, names):
        if name != "NO-SUCH":
            assert feeds.heard(client)["trade_id"] == 1
        client.close()
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)


def test_an_error_behind_an_ack_is_not_taken_for_the_acks(start, source):
    class Slow(exchanges.Coinbase):
        def message(self, connection, message):
            time.sleep(0.15)  # so that the next command is under way when this one is answered
            super().message(connection, message)

    market, proxy = coinbase(start, source, dialect=Slow())
    with wire.open_session(proxy.public) as good, wire.open_session(proxy.public) as bad:
        feeds.say(good, subscription("subscribe", "ticker", products=["BTC-USD"]))
        market.wait(lambda: market.commands())
        feeds.say(bad, subscription("subscribe", "ticker", products=["NO-SUCH"]))
        assert channels_of(feeds.heard(good)) == {"ticker": ["BTC-USD"]}
        assert feeds.heard(bad)["type"] == "error"
        market.publish("ticker|BTC-USD", {"type": "ticker", "product_id": "BTC-USD", "trade_id": 1})
        assert feeds.heard(good)["trade_id"] == 1


def update(market, number, pad=0):
    market.publish("level2|BTC-USD", {"type": "l2update", "product_id": "BTC-USD", "n": number, "pad": "x" * pad})


def test_a_book_begins_with_a_snapshot_and_goes_on_with_every_update_once(start, source):
    market, proxy = coinbase(start, source)
    clients = []
    number = 0
    for n in range(5):
        client = wire.open_session(proxy.public)
        clients.append(client)
        assert "level2" in channels_of(feeds.ask(client, subscription("subscribe", "level2", products=["BTC-USD"])))
        if n == 0:
            has(market, "level2|BTC-USD")
        assert feeds.heard(client)["type"] == "snapshot"
        # A later one hears all that was since the snapshot.
        assert [feeds.heard(client)["n"] for _ in range(number)] == list(range(number))
        for _ in range(20):
            update(market, number)
            number += 1
        for each in clients:
            assert [feeds.heard(each)["n"] for _ in range(20)] == list(range(number - 20, number))
    assert market.subscribes("level2|BTC-USD") == 1
    for client in clients:
        feeds.quiet(client)
        client.close()


def test_a_joiner_gets_a_new_snapshot_when_the_ring_has_lost_it(start, source):
    market, proxy = coinbase(start, source, workers=1, ring={"bytes": "4KiB", "age": "60s"})
    with wire.open_session(proxy.public) as first:
        feeds.ask(first, subscription("subscribe", "level2", products=["BTC-USD"]))
        assert feeds.heard(first)["type"] == "snapshot"
        for turn in range(3):
            for n in range(20):
                update(market, n, pad=1000)
                assert feeds.heard(first)["n"] == n
            with wire.open_session(proxy.public) as late:
                feeds.ask(late, subscription("subscribe", "level2", products=["BTC-USD"]))
                for client in (late, first):
                    assert feeds.heard(client)["type"] == "snapshot"
                market.wait(lambda turn=turn: market.subscribes("level2|BTC-USD") == turn + 2)
                update(market, 100 + turn)
                for client in (late, first):
                    assert feeds.heard(client)["n"] == 100 + turn


def test_books_go_on_with_a_snapshot_after_the_source_was_lost(start, source):
    market, proxy = coinbase(start, source)
    with wire.open_session(proxy.public) as client:
        feeds.ask(client, subscription("subscribe", "level2", products=["BTC-USD"]))
        assert feeds.heard(client)["type"] == "snapshot"
        market.kill()
        market.come_back()
        assert feeds.heard(client)["type"] == "snapshot"
        update(market, 1)
        assert feeds.heard(client)["n"] == 1
        feeds.quiet(client)


def test_channels_that_are_not_here_are_refused(start, source):
    market, proxy = coinbase(start, source)
    with wire.open_session(proxy.public) as client:
        for channel in ("full", "status", {"name": "level2_batch", "product_ids": ["BTC-USD"]}):
            assert feeds.ask(client, subscription("subscribe", channel, products=["BTC-USD"]))["type"] == "error"
        for wrong in ({"type": "subscribe"}, {"type": "subscribe", "channels": ["ticker"]}, {"type": "what"}):
            assert feeds.ask(client, wrong)["type"] == "error"
    assert market.commands() == []


def test_an_error_does_not_overtake_the_answer_before_it_while_the_first_connection_opens(start, source):
    market, proxy = coinbase(start, source)
    with wire.open_session(proxy.public) as client:
        # The first needs the source, which is only dialled now; the others can be answered without it.
        feeds.say(client, subscription("subscribe", "ticker", products=["BTC-USD"]))
        feeds.say(client, {"type": "nonsense"})
        feeds.say(client, subscription("unsubscribe", "ticker", products=["ETH-USD"]))
        assert channels_of(feeds.heard(client)) == {"ticker": ["BTC-USD"]}
        assert feeds.heard(client)["type"] == "error"
        assert channels_of(feeds.heard(client)) == {"ticker": ["BTC-USD"]}
        has(market, "ticker|BTC-USD")
        market.publish("ticker|BTC-USD", {"type": "ticker", "product_id": "BTC-USD", "trade_id": 1})
        assert feeds.heard(client)["trade_id"] == 1
