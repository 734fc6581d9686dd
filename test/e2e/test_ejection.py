"""What counts towards an ejection, and what doesn't: told by what real backends answer."""
import backend as fake
import harness
import wire

GARBAGE = fake.answer(b"garbage\r\n\r\n")
UNAUTHORIZED = fake.answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")


def wrong_accept(stream, head):
    fake.switch(stream, head, accept="c2hvcnQ=" + "A" * 20)


def unoffered_extension(stream, head):
    fake.switch(stream, head, extra=[("Sec-WebSocket-Extensions", "permessage-deflate")])


class Moody:
    """One backend that answers as it is told, behind a proxy that ejects even the last one."""

    def __init__(self, start, backend, failures):
        self.mood = fake.echo
        self.server = backend(lambda stream, head: self.mood(stream, head))
        outlier = {"consecutive_failures": failures, "eject_for": "10m", "max_ejected_percent": 100}
        self.proxy = start(harness.config_for(self.server.address, upstream={"outlier": outlier}))

    def answer(self, mood):
        """The status that one client gets."""
        self.mood = mood
        with wire.connect(self.proxy.public, timeout=10 * harness.SLOWNESS) as client:
            client.send(wire.request())
            return client.head().status

    def ejected(self):
        return self.proxy.backends()[self.server.address]["ejected"]


def test_an_answer_that_only_says_no_proves_that_the_backend_is_alive(start, backend):
    """401s neither counted nor reset the count, so a backend whose clients mostly fail to log in was ejected for a
    few failures that were hours apart."""
    moody = Moody(start, backend, 3)
    assert [moody.answer(mood) for mood in (GARBAGE, GARBAGE, UNAUTHORIZED, GARBAGE, GARBAGE)] == \
        [502, 502, 401, 502, 502]
    assert moody.ejected() is False
    assert moody.answer(GARBAGE) == 502
    assert moody.ejected() is True, "three failures in a row did not count"


def test_a_101_that_does_not_fit_the_offer_ejects_nobody(start, backend):
    """Which 101 fits depends on what the client has offered: with an odd offer any client could get every
    backend ejected, one after the other."""
    moody = Moody(start, backend, 1)
    for mood in (wrong_accept, unoffered_extension, wrong_accept):
        assert moody.answer(mood) == 502
        assert moody.ejected() is False
    assert moody.proxy.metric("holdfast_backend_failures_total", kind="garbage") == 3
    assert moody.answer(fake.echo) == 101
    assert moody.answer(GARBAGE) == 502
    assert moody.ejected() is True
