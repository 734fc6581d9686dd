"""Sticky cookies: given with the 101, honoured, yielding, forged, and after a reroute."""
import re

import pytest

import backend as fake
import harness
import wire
import reroutes


def config(*addresses, sticky=None, **options):
    return harness.config_for(*addresses, route={}, upstream={"sticky": sticky or {}}, **options)


def start_with(start, backend, count=3, **options):
    made = [backend(fake.echo) for _ in range(count)]
    return start(config(*[server.address for server in made], **options)), {s.address: s for s in made}


def cookie_of(client):
    """NAME=VALUE, as a browser would send it back."""
    return client.answer.one("set-cookie").split(";")[0]


def home_of(proxy):
    """The backend of the only session."""
    return reroutes.only_session(proxy)["backend"]


def leave(proxy, client):
    client.close()
    harness.eventually(lambda: proxy.sessions() == 0, what="no session")


def visit(proxy, *cookies):
    """(backend, the cookie it got) of one short session."""
    client = wire.open_session(proxy.public, extra=[("Cookie", cookie) for cookie in cookies])
    found = home_of(proxy), cookie_of(client)
    leave(proxy, client)
    return found


def sticky(proxy, result):
    return proxy.metric("holdfast_sticky_total", result=result)


def test_the_cookie_tells_no_address_and_is_what_browsers_want(start, backend):
    proxy, servers = start_with(start, backend, sticky={"cookie": "home", "ttl": "90m", "same_site": "none"})
    with wire.open_session(proxy.public) as client:
        text = client.answer.one("set-cookie")
        assert re.fullmatch(r"home=[A-Za-z0-9_-]{48}; Path=/; Max-Age=5400; Secure; HttpOnly; SameSite=None", text)
        assert not any(address.split(":")[1] in text for address in servers)
    assert proxy.status()["upstreams"][0]["sticky"] == "home"


def test_without_sticky_there_is_no_cookie(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))
    with wire.open_session(proxy.public) as client:
        assert client.answer.all("set-cookie") == []


def test_a_backends_own_cookies_stay_beside_it(start, puppet):
    server = puppet(extra=[("Set-Cookie", "app=1"), ("Set-Cookie", "app2=2")])
    proxy = start(config(server.address))
    with wire.open_session(proxy.public) as client:
        assert client.answer.all("set-cookie")[:2] == ["app=1", "app2=2"]
        assert client.answer.all("set-cookie")[2].startswith("hf_backend=")


def test_who_returns_gets_the_same_backend_however_often(start, backend):
    proxy, _ = start_with(start, backend, count=5)
    home, cookie = visit(proxy)
    for _ in range(8):
        again, cookie = visit(proxy, "a=b", f"x=y; {cookie}; z=1")
        assert again == home
    assert sticky(proxy, "honoured") == 8
    assert (sticky(proxy, "yielded"), sticky(proxy, "invalid")) == (0, 0)


def test_a_cookie_yields_to_states_and_limits_and_the_next_one_names_the_new_backend(start, backend):
    proxy, _ = start_with(start, backend, count=2)
    home, cookie = visit(proxy)
    reroutes.set_state(proxy, home, "draining")
    away, new = visit(proxy, cookie)
    assert away != home
    assert sticky(proxy, "yielded") == 1
    reroutes.set_state(proxy, home, "active")
    assert visit(proxy, new)[0] == away
    assert visit(proxy, cookie)[0] == home, "an old cookie is as good as before once its backend is back"


def test_a_cookie_of_a_removed_backend_yields(start, backend):
    proxy, servers = start_with(start, backend, count=2)
    home, cookie = visit(proxy)
    left = next(address for address in servers if address != home)
    proxy.reload(config(left))
    assert visit(proxy, cookie)[0] == left
    assert sticky(proxy, "yielded") == 1


def test_a_forged_cookie_is_ignored(start, backend):
    proxy, _ = start_with(start, backend, count=2)
    _, cookie = visit(proxy)
    name, value = cookie.split("=")
    forged = [value[:20] + ("A" if value[20] != "A" else "B") + value[21:], value[:-1], value + "A", "", "x" * 4000]
    for n, each in enumerate(forged):
        visit(proxy, f"{name}={each}")
        assert sticky(proxy, "invalid") == n + 1
    assert sticky(proxy, "honoured") == 0
    # A good one among bad ones counts.
    visit(proxy, f"{name}={forged[0]}", f"{name}={forged[1]}; {cookie}")
    assert sticky(proxy, "honoured") == 1


@pytest.mark.parametrize("shared", [True, False])
def test_other_proxies_and_restarts_know_the_cookie_with_a_secret_file_only(start, backend, tmp_path, shared):
    (tmp_path / "sticky.key").write_text("0123456789abcdef0123456789abcdef\n")
    rules = {"secret_file": str(tmp_path / "sticky.key")} if shared else {}
    proxy, servers = start_with(start, backend, count=4, sticky=rules)
    home, cookie = visit(proxy)
    other = start(config(*reversed(list(servers)), sticky=rules))
    found, _ = visit(other, cookie)
    assert sticky(other, "honoured" if shared else "invalid") == 1
    assert not shared or found == home
    # A reload of the same process changes nothing.
    proxy.reload()
    assert visit(proxy, cookie)[0] == home


# Story: a session had been rerouted, and its client reconnected to the backend that had died and come back, which
# knew nothing of it.
def test_after_a_reroute_the_next_handshake_goes_where_the_session_was_and_gets_a_cookie_that_says_so(start, backend):
    proxy, servers = start_with(start, backend, count=4)
    client = wire.open_session(proxy.public)
    lost, cookie = home_of(proxy), cookie_of(client)
    servers[lost].stop()
    harness.eventually(lambda: home_of(proxy) != lost and reroutes.only_session(proxy)["state"] == "open",
                       what="the session elsewhere")
    home = home_of(proxy)
    client.send(wire.frame(wire.TEXT, b"hello"))
    assert client.data_frame()[2] == b"hello"
    with fake.Backend(fake.echo, port=int(lost.rsplit(":", 1)[1])):
        leave(proxy, client)
        again, new = visit(proxy, cookie)
        assert again == home
        assert new != cookie
        assert visit(proxy, new)[0] == home


def test_a_cookie_goes_before_a_hash_policy(start, backend):
    made = [backend(fake.echo) for _ in range(4)]
    proxy = start(harness.config_for(*[s.address for s in made], upstream={"policy": "hash:path", "sticky": {}}))
    home, cookie = visit(proxy)
    for n in range(5):
        with wire.open_session(proxy.public, path=f"/{n}", extra=[("Cookie", cookie)]):
            assert home_of(proxy) == home
        harness.eventually(lambda: proxy.sessions() == 0, what="no session")
