"""A name server that says what a test wants, also what no real one would. UDP, and TCP for what is too long."""
import socket
import struct
import threading

import wire

A, AAAA, SRV = 1, 28, 33
LONGEST_DATAGRAM = 512


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def address(text):
    return socket.inet_aton(text)


def service(priority, weight, port, target):
    return struct.pack(">HHH", priority, weight, port) + encoded(target)


def name_in(message, at=12):
    """The name at `at`, and where it ends."""
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += message[at] + 1
    return ".".join(labels), at + 1


class NameServer:
    """`table`: (name, type) -> a list of records' data, or "none" (no such name), "empty", "failure", "silence", or the
    bytes to send instead of an answer. What is not in it does not exist."""

    def __init__(self, table, ttl=1):
        self.table, self.ttl = table, ttl
        self.asked = []
        while True:
            self.stream, self.packets = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.stream.bind(("127.0.0.1", 0))
            try:
                self.packets.bind(self.stream.getsockname())
                break
            except OSError:
                self.stop()
        self.stream.listen(64)
        self.address = "127.0.0.1:%d" % self.stream.getsockname()[1]
        for serve in (self._serve_packets, self._serve_streams):
            threading.Thread(target=serve, daemon=True).start()

    def stop(self):
        for sock in (self.stream, self.packets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _answer(self, question):
        name, end = name_in(question)
        kind = struct.unpack(">H", question[end:end + 2])[0]
        self.asked.append((name, kind))
        told = self.table.get((name, kind), "none")
        if told == "silence":
            return None
        if isinstance(told, bytes):
            return question[:2] + told
        records = told if isinstance(told, list) else []
        flags = 0x8180 | {"none": 3, "failure": 2}.get(told if isinstance(told, str) else "", 0)
        text = question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question[12:end + 4]
        for data in records:
            text += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(data)) + data
        return text

    def _serve_packets(self):
        try:
            while True:
                question, peer = self.packets.recvfrom(65536)
                if not question:  # we were stopped
                    return
                answer = self._answer(question)
                if answer is not None and len(answer) > LONGEST_DATAGRAM:
                    end = name_in(question)[1] + 4
                    answer = question[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + question[12:end]
                if answer is not None:
                    self.packets.sendto(answer, peer)
        except OSError:
            pass

    def _serve_streams(self):
        try:
            while True:
                sock, _ = self.stream.accept()
                threading.Thread(target=self._serve_stream, args=(sock,), daemon=True).start()
        except OSError:
            pass

    def _serve_stream(self, sock):
        stream = wire.Stream(sock, 10)
        try:
            while True:
                answer = self._answer(stream.exactly(struct.unpack(">H", stream.exactly(2))[0]))
                if answer is not None:
                    stream.send(struct.pack(">H", len(answer)) + answer)
        except (OSError, EOFError):
            stream.close()
