"""Backends that do as a script says. A script is a function (stream, head) run in a thread per connection
after the request head was read; it may return at any time, the connection is then closed."""
import json
import socket
import threading

import wire


class Backend:
    """A listening fake. `script=None`: connections are accepted by the kernel and never answered.
    `on_accept(stream)` runs before the head is read (return True to end there)."""

    def __init__(self, script=None, on_accept=None, tls=None, port=0, host="127.0.0.1"):
        self.script, self.on_accept, self.tls = script, on_accept, tls
        self.heads = []
        self.connections = 0
        self.errors = []
        self.changed = threading.Condition()
        self.streams = []
        self.listener = socket.create_server((host, port), backlog=512)
        self.address = "%s:%d" % self.listener.getsockname()[:2]
        if script or on_accept:
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        stream = None
        try:
            sock.settimeout(20)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            stream = wire.Stream(sock, 20)
            self.streams.append(stream)
            if self.on_accept and self.on_accept(stream):
                return
            head = stream.head()
            with self.changed:
                self.heads.append(head)
                self.changed.notify_all()
            self.script(stream, head)
        except (OSError, EOFError, ValueError) as error:
            self.errors.append(error)
        finally:
            (stream or sock).close()

    def wait_heads(self, count, seconds=10):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.heads) >= count, seconds):
                raise AssertionError(f"{len(self.heads)} requests arrived, expected {count}")
            return self.heads

    def stop(self):
        """Listener and connections go; from now on the port refuses."""
        # shutdown wakes the thread in accept(); a bare close would leave it there, still accepting.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for stream in self.streams:
            try:
                stream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def refused_address():
    """An address where nobody listens (bound once, so the kernel just gave it out)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "127.0.0.1:%d" % listener.getsockname()[1]


def switch(stream, head, extra=(), accept=None, then=b""):
    """Answers 101, with `then` in the same packet."""
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Accept: " + (accept or wire.accept_of(head.one("sec-websocket-key")))]
    lines += [f"{name}: {value}" for name, value in extra]
    stream.send(("\r\n".join(lines) + "\r\n\r\n").encode() + then)


def echo(stream, head):
    """101, then every data frame back; answers pings and Close."""
    switch(stream, head)
    echo_frames(stream)


def echo_frames(stream):
    while True:
        opcode, fin, payload = stream.frame()
        if opcode == wire.PONG:
            continue
        stream.send(wire.frame(wire.PONG if opcode == wire.PING else opcode, payload, fin=fin, masked=False))
        if opcode == wire.CLOSE:
            return


def tell_head(stream, head):
    """101, one text message with the request as JSON, then echo."""
    switch(stream, head)
    told = json.dumps({"start": head.start, "fields": head.fields}).encode()
    stream.send(wire.frame(wire.TEXT, told, masked=False))
    echo_frames(stream)


def answer(raw):
    """A script that sends these bytes for any request and closes."""
    def script(stream, _head):
        stream.send(raw)
    return script


def silent(stream, _head):
    """Reads the request and never answers, until the peer goes."""
    stream.rest()


def reset(stream, _head):
    stream.reset()


def reset_at_once(stream):
    stream.reset()
    return True
