"""What real sources say: the message shapes of Binance, Coinbase, Kraken and Ethereum nodes for test/fake/source.py.

A dialect is told of a connection's opening and of each message, answers through connection.say(), and keeps the
connection's subscriptions in connection.keys. `shape(connection, key, fields)` makes a data message for one key."""
import itertools
import json


class Opaque:
    """Says nothing by itself; every connection hears everything that is published."""

    def opened(self, connection):
        pass

    def take(self, connection, text):
        pass

    def hears(self, connection, _key):
        return True

    def shape(self, _connection, _key, fields):
        return fields if isinstance(fields, (str, bytes)) else json.dumps(fields, separators=(",", ":"))

    @staticmethod
    def subscribed(_text):
        """The keys that a client's message subscribes to, and those that it leaves."""
        return [], []


class Json(Opaque):
    """What the others share: messages are JSON objects, data goes to whom it interests."""

    def take(self, connection, text):
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise ValueError("no object")
        except ValueError:
            return self.refuse_text(connection)
        return self.message(connection, message)

    def refuse_text(self, connection):
        connection.end(1003, "not JSON", violation="not JSON")

    def message(self, connection, message):
        raise NotImplementedError

    def hears(self, connection, key):
        return key in connection.keys

    def commands(self, message):
        """([keys subscribed to], [keys left]) of a client's message."""
        raise NotImplementedError

    def subscribed(self, text):
        try:
            return self.commands(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            return [], []


class Binance(Json):
    """Spot market streams; combined on /stream, raw on /ws."""

    METHODS = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY"

    def opened(self, connection):
        path, _, query = connection.path.partition("?")
        connection.combined = path.startswith("/stream")
        names = query.removeprefix("streams=") if query.startswith("streams=") else path.removeprefix("/ws").strip("/")
        if names and not path.startswith("/stream") or query.startswith("streams="):
            connection.subscribe(names.split("/"))

    def commands(self, message):
        keys = message.get("params") or []
        return (keys if message["method"] == "SUBSCRIBE" else []), (keys if message["method"] == "UNSUBSCRIBE" else [])

    def refuse_text(self, connection):
        connection.say({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}, "id": None})

    def message(self, connection, message):
        method, keys, number = message.get("method"), message.get("params") or [], message.get("id")
        result = None
        if method == "SUBSCRIBE":
            if not connection.subscribe(keys):
                return
        elif method == "UNSUBSCRIBE":
            connection.unsubscribe(keys)
        elif method == "LIST_SUBSCRIPTIONS":
            result = sorted(connection.keys)
        elif method == "SET_PROPERTY" and keys[:1] == ["combined"]:
            connection.combined = keys[1]
        elif method == "GET_PROPERTY" and keys == ["combined"]:
            result = connection.combined
        else:
            why = f"Invalid request: unknown variant `{method}`, expected one of {self.METHODS}"
            return connection.say({"error": {"code": 2, "msg": why}, "id": number})
        connection.say({"result": result, "id": number})

    def shape(self, connection, key, fields):
        return super().shape(connection, key, {"stream": key, "data": fields} if connection.combined else fields)

    @staticmethod
    def shutdown(connection):
        event = {"e": "serverShutdown", "E": 1770123456789}
        connection.say({"stream": "!system", "data": event} if connection.combined else event)


class Coinbase(Json):
    """Exchange feed. A key is "channel|product"; data names the product and a type that belongs to the channel."""

    PRODUCTS = ("BTC-USD", "ETH-USD", "ETH-EUR", "ETH-BTC")

    @staticmethod
    def pairs(message):
        found = []
        for channel in message.get("channels", []):
            named = isinstance(channel, dict)
            products = channel.get("product_ids") if named else None
            name = channel["name"] if named else channel
            found += [f"{name}|{product}" for product in (products or message.get("product_ids", []))]
        return found

    def commands(self, message):
        return (self.pairs(message) if message["type"] == "subscribe" else [],
                self.pairs(message) if message["type"] == "unsubscribe" else [])

    def message(self, connection, message):
        kind, keys = message.get("type"), self.pairs(message)
        unknown = [key for key in keys if key.partition("|")[2] not in self.PRODUCTS]
        if kind == "subscribe" and unknown:
            return connection.say({"type": "error", "message": "Failed to subscribe",
                                   "reason": f"{unknown[0].partition('|')[2]} is not a valid product"})
        if kind == "subscribe":
            new = [key for key in keys if key not in connection.keys]
            if not connection.subscribe(keys):
                return
            connection.say(self.current(connection))
            for key in new:
                if key.startswith("level2|"):
                    connection.data(key, {"type": "snapshot", "product_id": key.partition("|")[2],
                                          "bids": [["10101.10", "0.450541"]], "asks": [["10102.55", "0.577534"]]})
        elif kind == "unsubscribe":
            channels = [c for c in message.get("channels", []) if isinstance(c, str)]
            if not message.get("product_ids"):  # the whole channel
                keys += [key for key in connection.keys if key.partition("|")[0] in channels]
            connection.unsubscribe(keys)
            connection.say(self.current(connection))
        else:
            connection.say({"type": "error", "message": "Malformed JSON"})

    @staticmethod
    def current(connection):
        """The whole set, never an answer to one request."""
        channels = {}
        for key in connection.keys:
            channel, _, product = key.partition("|")
            channels.setdefault(channel, []).append(product)
        return {"type": "subscriptions",
                "channels": [{"name": name, "product_ids": products} for name, products in channels.items()]}


class Kraken(Json):
    """v2. A key is "channel|symbol"; one ack per symbol, then a snapshot, then updates."""

    def opened(self, connection):
        connection.say({"channel": "status", "type": "update",
                        "data": [{"api_version": "v2", "connection_id": 1, "system": "online", "version": "2.0.0"}]})

    @staticmethod
    def pairs(message):
        asked = message.get("params", {})
        return [f"{asked.get('channel')}|{symbol}" for symbol in asked.get("symbol", [])]

    def commands(self, message):
        return (self.pairs(message) if message["method"] == "subscribe" else [],
                self.pairs(message) if message["method"] == "unsubscribe" else [])

    def message(self, connection, message):
        method, asked = message.get("method"), message.get("params", {})
        if method == "ping":
            return connection.say(self.timed({"method": "pong"}, message))
        if method not in ("subscribe", "unsubscribe"):
            return connection.say(self.timed({"error": "Unsupported method", "success": False}, message))
        keys = self.pairs(message)
        if method == "unsubscribe":
            connection.unsubscribe(keys)
        elif not connection.subscribe(keys):
            return
        for key in keys:
            result = {**{name: value for name, value in asked.items() if name != "symbol"},
                      "symbol": key.partition("|")[2]}
            connection.say(self.timed({"method": method, "result": result, "success": True}, message))
        if method == "subscribe" and asked.get("snapshot", True):
            for key in keys:
                channel, _, symbol = key.partition("|")
                connection.data(key, {"channel": channel, "type": "snapshot",
                                      "data": [{"symbol": symbol, "bids": [], "asks": [], "checksum": 0}]})

    @staticmethod
    def timed(answer, message):
        answer |= {"time_in": "2026-07-01T00:00:00.000001Z", "time_out": "2026-07-01T00:00:00.000002Z"}
        return answer | ({"req_id": message["req_id"]} if "req_id" in message else {})


class Ethereum(Json):
    """JSON-RPC. A key is the params of eth_subscribe as canonical JSON; each subscription has an id of its own,
    even of the same key. `calls` maps a method to its result, or to a function of params."""

    def __init__(self, calls=None):
        self.calls = {"eth_chainId": "0x1", "eth_blockNumber": "0x10", **(calls or {})}
        self.numbers = itertools.count(0x9CE59A13059E417087C02D3236A0B1CC)

    @staticmethod
    def key(params):
        return json.dumps(params, sort_keys=True, separators=(",", ":"))

    def commands(self, message):
        return ([self.key(message["params"])] if message["method"] == "eth_subscribe" else [],
                message["params"] if message["method"] == "eth_unsubscribe" else [])

    def opened(self, connection):
        connection.ids = {}  # subscription id -> key

    def message(self, connection, message):
        method, params = message.get("method"), message.get("params", [])
        answer = {"jsonrpc": "2.0", "id": message.get("id")}
        if method == "eth_subscribe":
            number = hex(next(self.numbers))
            connection.ids[number] = self.key(params)
            if connection.subscribe([self.key(params)]):
                connection.say({**answer, "result": number})
        elif method == "eth_unsubscribe":
            key = connection.ids.pop(params[0], None)
            if key is not None and key not in connection.ids.values():
                connection.unsubscribe([key])
            connection.say({**answer, "result": key is not None})
        elif method in self.calls:
            result = self.calls[method]
            connection.say({**answer, "result": result(params) if callable(result) else result})
        else:
            error = {"code": -32601, "message": f"the method {method} does not exist/is not available"}
            connection.say({**answer, "error": error})

    def shape(self, connection, key, fields):
        """One notification per subscription id of this key."""
        return [super(Ethereum, self).shape(connection, key, {
            "jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": number, "result": fields}})
            for number, own in connection.ids.items() if own == key]
