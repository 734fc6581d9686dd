"""WebSocket on the wire, byte by byte: for clients and backends that misbehave on purpose."""
import base64
import hashlib
import os
import socket
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def accept_of(key):
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def frame(opcode, payload=b"", fin=True, masked=True, reserved=0, length_bytes=None):
    """One frame. length_bytes 1, 3 or 9 forces a (perhaps not minimal) length encoding."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    size = len(payload)
    if length_bytes is None:
        length_bytes = 1 if size < 126 else 3 if size < 65536 else 9
    mask_bit = 0x80 if masked else 0
    head = {1: lambda: bytes([first, mask_bit | size]),
            3: lambda: bytes([first, mask_bit | 126]) + struct.pack(">H", size),
            9: lambda: bytes([first, mask_bit | 127]) + struct.pack(">Q", size)}[length_bytes]()
    if not masked:
        return head + payload
    key = os.urandom(4)
    repeated = (key * (size // 4 + 1))[:size]
    mixed = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
    return head + key + mixed


def close_frame(code=None, why=b"", masked=True):
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + why, masked=masked)


def request(path="/", host="test.example", key=KEY, version="13", extra=()):
    """A handshake request as text lines; `extra` are (name, value) pairs in order."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Version: {version}"]
    lines += [f"{name}: {value}" for name, value in extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Head:
    """A request's or a response's head: `start` line, `fields` as (lower-case name, value) in order."""

    def __init__(self, raw):
        lines = raw.decode("latin-1").split("\r\n")
        self.raw = raw
        self.start = lines[0]
        pairs = [line.partition(":") for line in lines[1:] if line]
        self.fields = [(name.lower(), value.strip()) for name, _, value in pairs]

    @property
    def status(self):
        return int(self.start.split()[1])

    def all(self, name):
        return [value for field, value in self.fields if field == name.lower()]

    def one(self, name):
        values = self.all(name)
        return values[0] if len(values) == 1 else None


class Stream:
    """A socket with a read buffer. EOF raises EOFError; `timeout` seconds bound every wait."""

    def __init__(self, sock, timeout=10):
        self.sock = sock
        self.buffer = b""
        self.reserved = 0  # RSV1 to RSV3 of the last frame; RSV1 = 4
        sock.settimeout(timeout)

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        data, _, self.buffer = self.buffer.partition(mark)
        return data + mark

    def rest(self):
        """Everything until EOF (or a reset)."""
        try:
            while True:
                self.more()
        except (EOFError, ConnectionResetError):
            data, self.buffer = self.buffer, b""
            return data

    def head(self):
        return Head(self.until(b"\r\n\r\n"))

    def frame(self):
        """(opcode, fin, payload), unmasked."""
        first, second = self.exactly(2)
        self.reserved = first >> 4 & 7
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.exactly(8))[0]
        key = self.exactly(4) if second & 0x80 else b""
        payload = self.exactly(size)
        if key:
            payload = bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))
        return first & 0x0F, bool(first & 0x80), payload

    def data_frame(self):
        """The next frame that is not a ping or a pong."""
        while True:
            found = self.frame()
            if found[0] not in (PING, PONG):
                return found

    def close_code(self):
        """Reads until the Close; its code, None for an empty one, "eof" when the peer just went."""
        try:
            while True:
                opcode, _, payload = self.frame()
                if opcode == CLOSE:
                    return struct.unpack(">H", payload[:2])[0] if payload else None
        except (EOFError, ConnectionResetError):
            return "eof"

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(address, tls=None, server_name=None, receive_buffer=None, timeout=10, source=None):
    """A Stream to "host:port" or "unix:PATH", over TLS if `tls` is an ssl.SSLContext; `source` is our own address."""
    if address.startswith("unix:"):
        family, target = socket.AF_UNIX, address.removeprefix("unix:")
    else:
        host, port = address.rsplit(":", 1)
        family, target = socket.AF_INET, (host, int(port))
    sock = socket.socket(family)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect(target)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_name)
        return Stream(sock, timeout)
    except BaseException:
        sock.close()
        raise


def open_session(address, path="/", extra=(), host="test.example", early=b"", **options):
    """A connected WebSocket client, past its 101; `early` is sent in one piece with the request."""
    stream = connect(address, **options)
    try:
        stream.send(request(path, host=host, extra=extra) + early)
        stream.answer = stream.head()
        if stream.answer.status != 101:
            raise AssertionError(f"expected 101, got {stream.answer.start}")
        assert stream.answer.one("sec-websocket-accept") == accept_of(KEY)
        return stream
    except BaseException:
        stream.close()
        raise
