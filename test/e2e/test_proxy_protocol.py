"""The PROXY protocol (HAProxy's doc/proxy-protocol.txt) in front of clients and of backends, and mutual TLS."""
import json
import socket
import ssl
import struct

import pytest

import backend as fake
import harness
import wire

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
LISTENER = {"proxy_protocol": True, "trusted_peers": ["127.0.0.1"]}


def v2(source="192.0.2.7", port=4711, extensions=b""):
    body = socket.inet_aton(source) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", port, 443) + extensions
    return SIGNATURE + b"\x21\x11" + struct.pack("!H", len(body)) + body


def extension(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def session_behind(proxy, header, tls=None):
    """A session whose connection begins with `header`, and what its backend was told."""
    stream = wire.connect(proxy.public)
    stream.send(header)
    if tls:
        stream = wire.Stream(tls.wrap_socket(stream.sock, server_hostname="one.test"), 10)
    stream.send(wire.request())
    assert stream.head().status == 101
    return stream, dict(json.loads(stream.data_frame()[2])["fields"])


class Told(list):
    """What a backend reads in front of each request: (command, source, destination, extensions)."""

    def read(self, stream):
        start = stream.exactly(16)
        assert start.startswith(SIGNATURE)
        body = stream.exactly(struct.unpack("!H", start[14:])[0])
        entry = {"command": start[12] & 15}
        if start[13] == 0x11:
            ports = struct.unpack("!HH", body[8:12])
            entry["source"] = f"{socket.inet_ntoa(body[:4])}:{ports[0]}"
            entry["destination"] = f"{socket.inet_ntoa(body[4:8])}:{ports[1]}"
            rest, entry["extensions"] = body[12:], {}
            while rest:
                kind, size = struct.unpack("!BH", rest[:3])
                entry["extensions"][kind] = rest[3:3 + size]
                rest = rest[3 + size:]
        self.append(entry)


def said(access_line):
    return access_line.replace("\\x20", " ")


def own_address(stream):
    return "%s:%d" % stream.sock.getsockname()[:2]


@pytest.mark.parametrize("header", [V1, v2(), v2(extensions=extension(4, b"\0" * 1000))], ids=["v1", "v2", "v2 with noop"])
def test_the_client_is_who_the_header_names(start, backend, header):
    proxy = start(harness.config_for(backend(fake.tell_head).address, listener=LISTENER))
    stream, fields = session_behind(proxy, header)
    assert fields["x-forwarded-for"] == "192.0.2.7"
    stream.close()
    assert "192.0.2.7:4711" in proxy.access_lines(1)[0]


def test_tls_and_request_may_come_with_the_header_in_pieces(start, backend, authority, trust):
    chain, key = authority.issue("one.test")
    tls = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    proxy = start(harness.config_for(backend(fake.tell_head).address, listener={**LISTENER, "tls": tls}))
    _, fields = session_behind(proxy, V1, tls=trust)
    assert fields["x-forwarded-for"] == "192.0.2.7"
    assert fields["x-forwarded-proto"] == "https"
    with wire.connect(proxy.public) as stream:
        for byte in v2():
            stream.send(bytes([byte]))
        secure = wire.Stream(trust.wrap_socket(stream.sock, server_hostname="one.test"), 10)
        secure.send(wire.request())
        assert secure.head().status == 101


def test_tls_that_ended_in_front_of_us_is_https(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address, listener=LISTENER))
    used_tls = extension(0x20, b"\x01\0\0\0\0" + extension(0x21, b"TLSv1.3"))
    _, fields = session_behind(proxy, v2(extensions=used_tls))
    assert fields["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0"], ids=["v1", "v2"])
def test_a_load_balancers_own_connection_keeps_its_address(start, backend, header):
    proxy = start(harness.config_for(backend(fake.tell_head).address, listener=LISTENER))
    _, fields = session_behind(proxy, header)
    assert fields["x-forwarded-for"] == "127.0.0.1"


def test_who_is_not_trusted_or_says_nothing_is_closed(start, backend):
    elsewhere = {**LISTENER, "trusted_peers": ["192.0.2.0/24"]}
    proxy = start(harness.config_for(backend(fake.echo).address, listener=elsewhere))
    with wire.connect(proxy.public) as stream:
        stream.send(V1 + wire.request())
        assert ended_without_a_byte(stream)
    assert "not one of trusted_peers" in said(proxy.access_lines(1)[0])
    proxy.reload(harness.config_for(backend(fake.echo).address, listener=LISTENER))
    with wire.connect(proxy.public) as stream:
        stream.send(wire.request())
        assert ended_without_a_byte(stream)
    assert "PROXY header: there is none" in said(proxy.access_lines(2)[1])
    assert proxy.metric("holdfast_handshakes_total", result="proxy_header") == 2


def ended_without_a_byte(stream):
    try:
        return stream.rest() == b""
    except ConnectionResetError:
        return True  # what it has sent was not read


def test_a_header_that_does_not_come_is_waited_for_as_long_as_a_request(start, backend):
    listener = {**LISTENER, "handshake_timeout": "200ms"}
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))
    with wire.connect(proxy.public) as stream:
        stream.send(V1[:20])
        assert ended_without_a_byte(stream)
    assert "PROXY header: timed out" in said(proxy.access_lines(1)[0])


def test_a_listener_that_nobody_could_use_is_an_error(tmp_path):
    config = harness.config_for("127.0.0.1:1", listener={"proxy_protocol": True})
    result = harness.run("check", "-c", write(tmp_path, config))
    assert result.returncode == 2
    assert "listeners[0].proxy_protocol: is true without trusted_peers" in result.stdout + result.stderr


def write(folder, config):
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return str(file)


def test_backends_are_told_the_client_in_front_of_the_request(start, backend):
    told = Told()
    server = backend(fake.echo, on_accept=told.read)
    proxy = start(harness.config_for(server.address, upstream={"proxy_protocol": "v2"}))
    with wire.open_session(proxy.public, host="chat.example") as client:
        assert told == [{"command": 1, "source": own_address(client), "destination": proxy.public,
                         "extensions": {2: b"chat.example"}}]
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"


def test_version_1_has_the_addresses_only(start, backend):
    lines = []
    server = backend(fake.echo, on_accept=lambda stream: lines.append(stream.until(b"\r\n")) and False)
    proxy = start(harness.config_for(server.address, upstream={"proxy_protocol": "v1"}))
    with wire.open_session(proxy.public) as client:
        source, destination = own_address(client).split(":"), proxy.public.split(":")
        assert lines == [f"PROXY TCP4 {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()]


def test_the_next_backend_is_told_the_same(start, backend):
    """A reroute has no handshake of the client's to look at: what was told is kept."""
    told = Told()
    one, two = backend(fake.echo, on_accept=told.read), backend(fake.echo, on_accept=told.read)
    proxy = start(harness.config_for(one.address, two.address, upstream={"proxy_protocol": "v2"}))
    with wire.open_session(proxy.public) as client:
        client.send(wire.frame(wire.TEXT, b"hi"))
        assert client.data_frame()[2] == b"hi"
        (one if one.connections else two).stop()
        harness.eventually(lambda: len(told) == 2, what="a second header")
        assert told[0] == told[1]
        client.send(wire.frame(wire.TEXT, b"again"))
        assert client.data_frame()[2] == b"again"


def test_probes_say_that_they_speak_for_nobody(start, backend):
    told = Told()
    server = backend(fake.echo, on_accept=told.read)
    start(harness.config_for(server.address, upstream={
        "proxy_protocol": "v2", "probe": {"type": "websocket", "interval": "50ms"}}))
    harness.eventually(lambda: len(told) >= 2, what="two probes")
    assert told[0] == {"command": 0}


def test_two_proxies_in_a_row_pass_on_client_and_tls(start, backend, authority, trust, tmp_path):
    chain, key = authority.issue("one.test")
    told = Told()
    server = backend(fake.tell_head, on_accept=told.read)
    inner = start(harness.config_for(server.address, listener=LISTENER, upstream={"proxy_protocol": "v2"}))
    outer = start(harness.config_for(
        inner.public, listener={"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}},
        upstream={"proxy_protocol": "v2"}))
    with wire.open_session(outer.public, tls=trust, server_name="one.test") as client:
        assert told[0]["source"] == own_address(client)
        assert told[0]["extensions"][2] == b"one.test"
        assert told[0]["extensions"][0x20] == b"\x01\0\0\0\0" + extension(0x21, b"TLSv1.3")


def test_a_unix_listener_needs_no_trusted_peers(start, backend, tmp_path):
    path = f"unix:{tmp_path}/public.sock"
    proxy = start(harness.config_for(backend(fake.tell_head).address, listener={"bind": path, "proxy_protocol": True}))
    with wire.connect(path) as stream:
        stream.send(V1 + wire.request())
        assert stream.head().status == 101
        fields = dict(json.loads(stream.data_frame()[2])["fields"])
    assert fields["x-forwarded-for"] == "192.0.2.7"
    assert proxy.sessions() in (0, 1)


def test_the_subject_of_a_clients_certificate_reaches_every_backend(start, backend, authority):
    """Nobody can pretend to have one: the field of a client is never passed on."""
    chain, key = authority.issue("one.test")
    tls = {"certificates": [{"chain": str(chain), "key": str(key)}], "client_ca": str(authority.ca)}
    one, two = backend(fake.tell_head), backend(fake.tell_head)
    proxy = start(harness.config_for(one.address, two.address, listener={"tls": tls}))
    known = ssl.create_default_context(cafile=str(authority.ca))
    known.load_cert_chain(*authority.issue("ann.test"))
    with wire.open_session(proxy.public, tls=known, server_name="one.test",
                           extra=[("Holdfast-Client-Subject", "CN=root")]) as client:
        fields = json.loads(client.data_frame()[2])["fields"]
        assert [value for name, value in fields if name == "holdfast-client-subject"] == ["CN=ann.test"]
        (one if one.connections else two).stop()
        fields = json.loads(client.data_frame()[2])["fields"]
        assert [value for name, value in fields if name == "holdfast-client-subject"] == ["CN=ann.test"]


def test_without_client_ca_nobody_has_a_subject(start, backend):
    proxy = start(harness.config_for(backend(fake.tell_head).address))
    for name in ("Holdfast-Client-Subject", "holdfast_client_subject"):
        with wire.open_session(proxy.public, extra=[(name, "CN=root")]) as client:
            names = [name.lower() for name, _ in json.loads(client.data_frame()[2])["fields"]]
            assert name.lower() not in names
