"""Fixtures of the end-to-end tests. Everything that a test starts is ended with it."""
import pathlib
import resource
import ssl
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fake")]

import backend as fake  # noqa: E402
import feeds  # noqa: E402
import harness  # noqa: E402
import source as sources  # noqa: E402
from certificates import Authority  # noqa: E402
import reroutes  # noqa: E402
from peers import EchoServer, NodeEcho  # noqa: E402


# A thousand sessions have four ends, two of them in this process; the proxy raises its own limit.
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


class Closing:
    """Ends what was started, last first; the first failure is what the test reports."""

    def __init__(self):
        self.things = []

    def add(self, thing, end):
        self.things.append((thing, end))
        return thing

    def finish(self):
        failures = []
        for thing, end in reversed(self.things):
            try:
                end(thing)
            except AssertionError as error:
                failures.append(error)
        if failures:
            raise failures[0]


@pytest.fixture
def closing():
    things = Closing()
    yield things
    things.finish()


@pytest.fixture
def start(tmp_path, closing):
    """start(config, **options) -> a running Holdfast."""
    def begin(config, **options):
        folder = tmp_path / f"proxy{len(closing.things)}"
        return closing.add(harness.Holdfast(folder, config, **options), lambda proxy: proxy.finish())
    return begin


@pytest.fixture
def backend(closing):
    """backend(script, ...) -> a fake backend (test/fake/backend.py)."""
    return lambda *script, **options: closing.add(fake.Backend(*script, **options), lambda b: b.stop())


@pytest.fixture
def echo(closing):
    """echo(...) -> a python3-websockets echo server."""
    return lambda **options: closing.add(EchoServer(**options), lambda server: server.stop())


@pytest.fixture
def node_echo(closing):
    """node_echo(...) -> an npm ws echo server in a process of its own."""
    return lambda **options: closing.add(NodeEcho(**options), lambda server: server.stop())


@pytest.fixture
def puppet(closing):
    """puppet(...) -> a fake backend whose legs the test moves by hand (reroutes.Puppet)."""
    return lambda *mood, **options: closing.add(reroutes.Puppet(*mood, **options), lambda p: p.stop())


@pytest.fixture
def crowd(closing):
    """crowd(proxy, count, ...) -> clients that talk numbered messages (reroutes.Crowd)."""
    def gather(proxy, count, scheme="ws", **options):
        return closing.add(reroutes.Crowd(f"{scheme}://{proxy.public}/", count, **options), lambda c: c.stop())
    return gather


@pytest.fixture
def source(closing):
    """source(dialect, limits, ...) -> a scripted source of a feed (test/fake/source.py)."""
    return lambda *what, **options: closing.add(sources.Source(*what, **options), lambda s: s.stop())


@pytest.fixture
def followers(closing):
    """followers(proxy, count, ...) -> clients of a feed that count what they hear (feeds.Followers)."""
    def gather(proxy, count, name="all", **options):
        return closing.add(feeds.Followers(feeds.uri(proxy, name), count, **options), lambda f: f.stop())
    return gather


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trust(authority):
    """A client's TLS context that trusts our authority only."""
    return ssl.create_default_context(cafile=str(authority.ca))
