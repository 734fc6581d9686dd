"""A feed that speaks JSON-RPC: subscriptions with one id for all, and calls that find back to who asked."""
import json
import threading
import time

import exchanges
import feeds
import harness
import source as sources
import wire


def ethereum(start, source, node=None, **feed):
    made_node = source(node or exchanges.Ethereum())
    return made_node, start(feeds.spoken("ethereum", "/rpc", made_node, **feed))


def call(method, *params, number=1):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def result(value, number=1):
    return {"jsonrpc": "2.0", "id": number, "result": value}


def connect(proxy, count):
    return [wire.open_session(proxy.public, "/rpc") for _ in range(count)]


def close(clients):
    for client in clients:
        client.close()


HEADS = exchanges.Ethereum.key(["newHeads"])


def test_the_same_params_of_all_clients_are_one_subscription_with_the_same_bytes(start, source):
    node, proxy = ethereum(start, source)
    clients = connect(proxy, 50)
    ids = set()
    for n, client in enumerate(clients):
        answer = feeds.ask(client, call("eth_subscribe", "newHeads", number=n))
        assert answer["id"] == n
        ids.add(answer["result"])
    assert len(ids) == 1 and node.subscribes(HEADS) == 1
    (subscription,) = ids
    node.publish(HEADS, {"hash": "0xaa", "number": "0x1"})
    texts = {feeds.raw(client) for client in clients}
    assert len(texts) == 1
    assert json.loads(texts.pop())["params"] == {"subscription": subscription, "result": {"hash": "0xaa", "number": "0x1"}}
    # One leaves: the others keep it. An id that nobody was told is nobody's.
    assert feeds.ask(clients[0], call("eth_unsubscribe", subscription)) == result(True)
    assert feeds.ask(clients[0], call("eth_unsubscribe", subscription))["error"]["code"] == -32602
    assert feeds.ask(clients[1], call("eth_unsubscribe", "0x123"))["error"]["code"] == -32602
    node.publish(HEADS, {"hash": "0xbb"})
    for client in clients[1:]:
        assert feeds.heard(client)["params"]["result"] == {"hash": "0xbb"}
    feeds.quiet(clients[0])
    # The node goes and comes back, and gives the subscription an id of its own that is another one.
    node.kill()
    node.come_back()
    node.wait(lambda: node.live() and node.live()[0].keys)
    node.publish(HEADS, {"hash": "0xcc"})
    for client in clients[1:]:
        assert feeds.heard(client)["params"] == {"subscription": subscription, "result": {"hash": "0xcc"}}
    close(clients)
    node.wait(lambda: node.unsubscribes(node_ids(node)[-1]) == 1 or not node.live())


def node_ids(node):
    return [number for each in node.connections for number in each.ids] or [None]


def test_a_client_may_subscribe_twice_and_to_several(start, source):
    node, proxy = ethereum(start, source)
    logs = exchanges.Ethereum.key(["logs", {"address": "0x1", "topics": ["0x2"]}])
    (client,) = connect(proxy, 1)
    first = feeds.ask(client, call("eth_subscribe", "newHeads"))["result"]
    assert feeds.ask(client, call("eth_subscribe", "newHeads"))["result"] == first
    # The order of members makes no difference.
    second = feeds.ask(client, call("eth_subscribe", "logs", {"topics": ["0x2"], "address": "0x1"}))["result"]
    assert feeds.ask(client, call("eth_subscribe", "logs", {"address": "0x1", "topics": ["0x2"]}))["result"] == second
    assert second != first and node.subscribes(logs) + node.subscribes(HEADS) == 2
    node.publish(HEADS, {"hash": "0x1"})
    assert feeds.heard(client)["params"]["subscription"] == first
    node.publish(logs, {"data": "0x"})
    assert feeds.heard(client)["params"]["subscription"] == second
    # Twice asked for, so once left is not enough.
    assert feeds.ask(client, call("eth_unsubscribe", first)) == result(True)
    node.publish(HEADS, {"hash": "0x2"})
    assert feeds.heard(client)["params"]["subscription"] == first
    assert feeds.ask(client, call("eth_unsubscribe", first)) == result(True)
    node.publish(HEADS, {"hash": "0x3"})
    feeds.quiet(client)
    client.close()


def test_calls_of_many_clients_with_the_same_id_get_their_own_answers(start, source):
    node, proxy = ethereum(start, source, exchanges.Ethereum({"eth_getBalance": lambda params: params[0]}))
    clients = connect(proxy, 50)
    for n, client in enumerate(clients):
        feeds.say(client, call("eth_getBalance", hex(n), "latest"))
    for n, client in enumerate(clients):
        assert feeds.heard(client) == result(hex(n))
    assert len(node.connections) == 1
    close(clients)


def test_one_question_of_many_at_once_is_asked_once(start, source):
    release = threading.Event()

    def slowly(_params):
        release.wait(5)
        return "0x1"
    node, proxy = ethereum(start, source, exchanges.Ethereum({"eth_chainId": slowly}))
    clients = connect(proxy, 50)
    for n, client in enumerate(clients):
        feeds.say(client, call("eth_chainId", number=n))
    node.wait(lambda: any("eth_chainId" in text for text in node.commands()))
    time.sleep(0.3)
    clients[7].reset()  # who goes meanwhile is in nobody's way
    release.set()
    for n, client in enumerate(clients):
        if n != 7:
            assert feeds.heard(client) == result("0x1", n)
    assert sum("eth_chainId" in text for text in node.commands()) == 1
    # Later it is another question.
    assert feeds.ask(clients[0], call("eth_chainId")) == result("0x1")
    assert sum("eth_chainId" in text for text in node.commands()) == 2
    close(clients)


def test_ids_come_back_as_they_were_sent(start, source):
    _, proxy = ethereum(start, source)
    (client,) = connect(proxy, 1)
    for text in ('"a"', '"häß\\u00e9\\" \\\\"', "null", "12345678901234567890123", "-1", "1.50", "1e3", '""'):
        feeds.say(client, f'{{"jsonrpc":"2.0","id":{text},"method":"eth_blockNumber","params":[]}}')
        assert f'"id":{text},' in feeds.raw(client)
        feeds.say(client, f'{{"jsonrpc":"2.0","id":{text},"method":"eth_subscribe","params":["newHeads"]}}')
        assert f'"id":{text},' in feeds.raw(client)
        feeds.say(client, f'{{"jsonrpc":"2.0","id":{text},"method":"no_such","params":[]}}')
        answer = feeds.raw(client)
        assert f'"id":{text},' in answer and "-32601" in answer
    for wrong in ("true", "[1]", "{}"):
        feeds.say(client, f'{{"jsonrpc":"2.0","id":{wrong},"method":"eth_blockNumber"}}')
        assert feeds.heard(client)["error"]["code"] == -32602
    client.close()


def test_errors_of_the_node_pass_through(start, source):
    node, proxy = ethereum(start, source)
    clients = connect(proxy, 2)
    for n, client in enumerate(clients):
        error = feeds.ask(client, call("eth_foo", number=f"c{n}"))
        assert error == {"jsonrpc": "2.0", "id": f"c{n}", "error": {
            "code": -32601, "message": "the method eth_foo does not exist/is not available"}}
    assert sum("eth_foo" in text for text in node.commands()) == 2
    for method in ("admin_peers", "debug_traceCall", "parity_subscribe"):
        assert feeds.ask(clients[0], call(method))["error"]["code"] == -32601
        assert not any(method in text for text in node.commands())
    feeds.say(clients[0], [call("eth_chainId")])
    assert feeds.heard(clients[0])["error"]["code"] == -32600
    close(clients)


class Mute(exchanges.Ethereum):
    """Does not answer these methods."""

    def __init__(self, *methods):
        super().__init__()
        self.mute = set(methods)

    def message(self, connection, message):
        if message["method"] not in self.mute:
            super().message(connection, message)


def test_a_call_that_is_not_answered_in_time_is_an_error(start, source):
    node, proxy = ethereum(start, source, Mute("eth_call", "eth_subscribe"), request_timeout="500ms")
    (client,) = connect(proxy, 1)
    begun = time.monotonic()
    assert feeds.ask(client, call("eth_call", number="late"))["error"]["code"] == -32000
    assert 0.4 < time.monotonic() - begun < 2 * harness.SLOWNESS
    assert feeds.ask(client, call("eth_subscribe", "newHeads", number=2))["error"]["code"] == -32000
    assert feeds.ask(client, call("eth_blockNumber", number=3)) == result("0x10", 3)
    # What comes later is nobody's, and the next one's own answer is right.
    for text in [text for text in node.commands() if "eth_call" in text]:
        node.live()[0].say(result("0xdead", json.loads(text)["id"]))
    assert feeds.ask(client, call("eth_blockNumber", number=4)) == result("0x10", 4)
    client.close()


def test_a_subscription_that_the_node_refuses_is_its_askers_error(start, source):
    class Picky(exchanges.Ethereum):
        def message(self, connection, message):
            if message["params"] == ["foo"]:
                return connection.say({"jsonrpc": "2.0", "id": message["id"], "error": {
                    "code": -32601, "message": "no \"foo\" subscription in eth namespace"}})
            return super().message(connection, message)

    node, proxy = ethereum(start, source, Picky())
    clients = connect(proxy, 2)
    feeds.say(clients[0], call("eth_subscribe", "foo", number="f"))
    feeds.say(clients[1], call("eth_subscribe", "newHeads", number="h"))
    assert feeds.heard(clients[0]) == {"jsonrpc": "2.0", "id": "f", "error": {
        "code": -32601, "message": "no \"foo\" subscription in eth namespace"}}
    assert "result" in feeds.heard(clients[1])
    # What the node says of nobody's words is no answer to a subscription that is under way.
    node.live()[0].say({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "parse error"}})
    assert "result" in feeds.ask(clients[0], call("eth_subscribe", "newHeads", number="n"))
    close(clients)


def test_a_burst_beyond_the_nodes_pace_does_not_spoil_what_comes_later(start, source):
    node = source(exchanges.Ethereum(), sources.Limits(messages_per_second=40))
    proxy = start(feeds.spoken("ethereum", "/rpc", node, source={"limits": {"messages_per_second": 20}},
                               request_timeout="1s", linger="30s"))
    clients = connect(proxy, 10)
    for client in clients:
        for number in range(60):
            feeds.say(client, call("eth_getBalance", hex(number), number=number))
    for client in clients:
        answers = [feeds.heard(client) for _ in range(60)]
        assert {answer["id"] for answer in answers} == set(range(60))
    begun = time.monotonic()
    assert feeds.ask(clients[0], call("eth_blockNumber")) == result("0x10")
    assert time.monotonic() - begun < 2 * harness.SLOWNESS
    assert node.violations == []
    close(clients)


def test_what_may_be_asked_twice_survives_the_death_of_the_node(start, source):
    node, proxy = ethereum(start, source, Mute("eth_getBalance", "eth_sendRawTransaction"), request_timeout="20s")
    (client,) = connect(proxy, 1)
    feeds.say(client, call("eth_getBalance", "0x1", number="again"))
    feeds.say(client, call("eth_sendRawTransaction", "0x2", number="once"))
    node.wait(lambda: len(node.commands()) == 2)
    time.sleep(1.5)  # it has waited longer than one waits for a node that is not there
    node.dialect.mute.clear()
    node.dialect.calls |= {"eth_getBalance": "0x99", "eth_sendRawTransaction": "0x98"}
    node.kill()
    node.come_back()
    answers = {answer["id"]: answer for answer in (feeds.heard(client), feeds.heard(client))}
    assert answers["once"]["error"]["code"] == -32000
    assert answers["again"] == result("0x99", "again")
    assert sum("eth_sendRawTransaction" in text for text in node.commands()) == 1
    client.close()


def test_without_a_node_calls_and_subscriptions_are_errors(start, source):
    node, proxy = ethereum(start, source, request_timeout="1s")
    node.kill()
    (client,) = connect(proxy, 1)
    feeds.say(client, call("eth_getBalance", "0x1", number=1))
    feeds.say(client, call("eth_subscribe", "newHeads", number=2))
    answers = {answer["id"]: answer["error"]["code"] for answer in (feeds.heard(client), feeds.heard(client))}
    assert answers == {1: -32000, 2: -32000}
    node.come_back()
    harness.eventually(lambda: "result" in feeds.ask(client, call("eth_blockNumber", number=3)))
    assert "result" in feeds.ask(client, call("eth_subscribe", "newHeads", number=4))
    client.close()


def test_clients_that_leave_with_calls_under_way_leave_nothing_behind(start, source):
    node, proxy = ethereum(start, source, Mute("eth_getBalance"), request_timeout="2s")
    for turn in range(1, 6):
        clients = connect(proxy, 20)
        for client in clients:
            for number in range(20):
                feeds.say(client, call("eth_getBalance", hex(number), number=number))
        node.wait(lambda turn=turn: len(node.commands()) == turn * 20 * 20)
        for client in clients:
            client.reset()
    feeds.subscribers(proxy, 0)
    (client,) = connect(proxy, 1)
    assert feeds.ask(client, call("eth_blockNumber")) == result("0x10")
    node.wait(lambda: len(node.commands()) == 5 * 20 * 20 + 1)
    # They are too many for one client at once.
    for number in range(70):
        feeds.say(client, call("eth_getBalance", hex(number), number=number))
    answers = [feeds.heard(client) for _ in range(70)]
    assert sorted(answer["id"] for answer in answers) == list(range(70))
    assert [answer["error"]["code"] for answer in answers].count(-32005) == 6
    client.close()


def test_two_nodes_are_one_stream_and_the_death_of_one_is_not_seen(start, source):
    nodes = [source(exchanges.Ethereum()), source(exchanges.Ethereum())]
    proxy = start(feeds.spoken("ethereum", "/rpc", *nodes, source={"mode": "redundant"}))
    clients = connect(proxy, 3)
    for client in clients:
        feeds.ask(client, call("eth_subscribe", "newHeads"))
    for node in nodes:
        node.wait(lambda node=node: node.live() and node.live()[0].keys)
    for n in range(200):
        for node in nodes if n % 2 else reversed(nodes):
            node.publish(HEADS, {"hash": hex(n)})
        if n == 100:
            nodes[0].kill()
    for client in clients:
        assert [feeds.heard(client)["params"]["result"]["hash"] for _ in range(200)] == [hex(n) for n in range(200)]
        assert feeds.ask(client, call("eth_blockNumber")) == result("0x10")
        feeds.quiet(client)
    close(clients)


def test_a_node_that_refuses_in_redundant_mode_is_no_answer_while_the_other_may_give_one(start, source):
    mute = Mute("eth_subscribe")
    nodes = [source(exchanges.Ethereum()), source(mute)]
    proxy = start(feeds.spoken("ethereum", "/rpc", *nodes, source={"mode": "redundant"}, request_timeout="500ms"))
    nodes[0].dialect.message = mute.message  # both are mute now
    (client,) = connect(proxy, 1)
    assert feeds.ask(client, call("eth_subscribe", "newHeads"))["error"]["code"] == -32000
    client.close()
