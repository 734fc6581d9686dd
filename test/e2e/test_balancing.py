"""Policies, backups, zones and slow start with real backends: where sessions go, and where they go afterwards."""
import collections
import json
import socket

import pytest

import backend as fake
import harness
import reroutes
import wire


def servers(backend, count):
    made = [backend(fake.echo) for _ in range(count)]
    return made, [server.address for server in made]


def spread(proxy):
    """address -> sessions that it has."""
    return {address: entry["sessions"] for address, entry in proxy.backends().items()}


def fill(proxy, count, **options):
    return [wire.open_session(proxy.public, **options) for _ in range(count)]


def where(proxy, client_count=1, **options):
    """The backends that so many sessions get, one after the other; each has ended before the next begins."""
    found = []
    for _ in range(client_count):
        before = {address: entry["picks_total"] for address, entry in proxy.backends().items()}
        with wire.open_session(proxy.public, **options):
            after = proxy.backends()
        found.append(next(address for address, entry in after.items() if entry["picks_total"] > before[address]))
    return found


def refuse(server):
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


@pytest.mark.parametrize("policy,tolerance", [("least_connections", 0), ("round_robin", 0), ("two_choices", 12),
                                              ("random", 25), ("hash:ip", None), ("hash:query:room", 16)])
def test_every_policy_spreads_sessions_over_three_backends_as_it_says(start, backend, policy, tolerance):
    _, addresses = servers(backend, 3)
    proxy = start(harness.config_for(*addresses, upstream={"policy": policy}))
    clients = [wire.open_session(proxy.public, path=f"/?room={n}") for n in range(90)]
    found = spread(proxy)
    assert sum(found.values()) == 90
    if tolerance is None:
        # One client address, so one backend, but for what hash_balance_factor sends on: 1.25 times 30.
        assert max(found.values()) == 38
    else:
        assert all(abs(sessions - 30) <= tolerance for sessions in found.values()), found
    assert next(u for u in proxy.status()["upstreams"])["policy"] == policy
    assert all(client.send(wire.frame(wire.TEXT, b"hi")) is None and client.data_frame()[2] == b"hi"
               for client in clients[:5])


def test_a_room_is_always_the_same_backends_and_its_sessions_follow_it_to_the_next_one(start, backend):
    made, addresses = servers(backend, 4)
    config = harness.config_for(*addresses, upstream={"policy": "hash:header:X-Room", "hash_balance_factor": "off"})
    proxy = start(config)
    rooms = {f"room{n}": None for n in range(12)}
    for room in rooms:
        homes = set(where(proxy, 3, extra=[("X-Room", room)]))
        assert len(homes) == 1
        rooms[room] = homes.pop()
    assert len(set(rooms.values())) > 1
    # A second proxy that has them in another order agrees.
    other = start({**config, "upstreams": [{**config["upstreams"][0],
                                            "backends": [{"address": a} for a in reversed(addresses)]}]})
    for room, home in list(rooms.items())[:4]:
        assert where(other, extra=[("X-Room", room)]) == [home]

    lost = rooms["room0"]
    clients = {room: wire.open_session(proxy.public, extra=[("X-Room", room)]) for room in rooms}
    # Those of the visits before have ended, and these are listed a moment after their 101.
    harness.eventually(lambda: sum(spread(proxy).values()) == len(reroutes.session_list(proxy)) == len(clients),
                       what="these sessions and no other")
    before = {entry["id"]: entry["backend"] for entry in reroutes.session_list(proxy)}
    victims = [room for room, home in rooms.items() if home == lost]
    made[addresses.index(lost)].stop()
    harness.eventually(lambda: proxy.backends()[lost]["sessions"] == 0, what="no session on the lost backend")
    harness.eventually(lambda: all(e["state"] == "open" and e["backend"] != lost for e in reroutes.session_list(proxy)),
                       what="all sessions on other backends")
    after = {entry["id"]: entry["backend"] for entry in reroutes.session_list(proxy)}
    assert all(after[session] == home for session, home in before.items() if home != lost)
    # New sessions of a lost room go where its old ones went.
    reroutes.set_state(proxy, lost, "disabled")
    now = collections.Counter(spread(proxy))
    heirs = {where(proxy, extra=[("X-Room", room)])[0] for room in victims}
    assert heirs == {home for session, home in after.items() if before[session] == lost}
    assert now[lost] == 0 and len(clients) == 12


def test_a_backup_takes_over_when_the_last_primary_dies_and_new_sessions_return_with_it(start, backend):
    made, addresses = servers(backend, 3)
    upstream = {"backends": [{"address": a, "backup": a == addresses[2]} for a in addresses],
                "outlier": {"consecutive_failures": 0},  # its refused connections are not what this is about
                "probe": {"type": "tcp", "interval": "50ms", "timeout": "1s", "fall": 1, "rise": 1}}
    proxy = start(harness.config_for(route={}, upstream=upstream))
    clients = fill(proxy, 10)
    assert spread(proxy) == {addresses[0]: 5, addresses[1]: 5, addresses[2]: 0}
    assert [entry["backup"] for entry in proxy.backends().values()] == [False, False, True]
    made[0].stop()
    reroutes.wait_sessions(proxy, addresses[1], 10)
    made[1].stop()
    reroutes.wait_sessions(proxy, addresses[2], 10)
    assert where(proxy) == [addresses[2]]
    for client in clients:
        client.send(wire.frame(wire.TEXT, b"still here"))
        assert client.data_frame()[2] == b"still here"
    again = fake.Backend(fake.echo, port=int(addresses[0].rsplit(":", 1)[1]))
    with again:
        harness.eventually(lambda: proxy.backends()[addresses[0]]["health"] == "healthy", what="a primary back")
        assert where(proxy, 2) == [addresses[0]] * 2
        assert spread(proxy)[addresses[2]] == 10, "sessions left the backup though nobody asked"
        assert proxy.get("/upstreams/main/rebalance", method="POST")[0] == 200
        reroutes.wait_sessions(proxy, addresses[0], 10)
        reroutes.wait_sessions(proxy, addresses[2], 0)


def test_full_primaries_are_no_reason_to_use_a_backup(start, backend):
    _, addresses = servers(backend, 2)
    proxy = start(harness.config_for(upstream={"backends": [{"address": addresses[0], "max_sessions": 1},
                                                            {"address": addresses[1], "backup": True}]}))
    with wire.open_session(proxy.public):
        with wire.connect(proxy.public) as second:
            second.send(wire.request())
            head = second.head()
            assert head.status == 503 and head.one("retry-after")
        reroutes.set_state(proxy, addresses[0], "draining")
        with wire.open_session(proxy.public):
            assert spread(proxy)[addresses[1]] >= 1


def test_a_move_that_only_evens_out_leads_to_no_backup(start, backend):
    _, addresses = servers(backend, 2)
    proxy = start(harness.config_for(route={}, upstream={"backends": [{"address": addresses[0]},
                                                                      {"address": addresses[1], "backup": True}]}))
    with wire.open_session(proxy.public):
        session = reroutes.only_session(proxy)
        proxy.get(f"/sessions/{session['id']}/move", method="POST")
        harness.eventually(lambda: reroutes.reroutes(proxy, cause="requested", result="stayed") == 1, what="it stayed")
        assert spread(proxy) == {addresses[0]: 1, addresses[1]: 0}


def test_the_own_zone_gets_all_until_too_little_of_it_is_left(start, backend):
    _, addresses = servers(backend, 4)
    zones = ["a", "a", "b", "b"]
    upstream = {"backends": [{"address": a, "zone": z} for a, z in zip(addresses, zones)], "zone_min_percent": 60}
    proxy = start(harness.config_for(zone="a", upstream=upstream))
    clients = fill(proxy, 20)
    assert list(spread(proxy).values()) == [10, 10, 0, 0]
    assert proxy.status()["zone"] == "a"
    assert [entry["zone"] for entry in proxy.backends().values()] == zones
    reroutes.set_state(proxy, addresses[0], "draining")
    for client in clients:
        client.close()
    harness.eventually(lambda: sum(spread(proxy).values()) == 0, what="no sessions")
    # Half of the zone where six tenths are wanted: it keeps 50 / 60 of the sessions.
    clients = fill(proxy, 120)
    found = list(spread(proxy).values())
    assert found[0] == 0
    assert 84 <= found[1] <= 114, found  # 100, standard deviation 4
    assert found[2] > 0 and found[3] > 0
    reroutes.set_state(proxy, addresses[1], "draining")
    assert set(where(proxy, 6)) <= {addresses[2], addresses[3]}


def test_a_backend_that_comes_back_or_is_added_is_eased_in(start, backend):
    _, addresses = servers(backend, 3)
    config = harness.config_for(*addresses[:2], upstream={"slow_start": "1h"})
    proxy = start(config)
    assert [entry["effective_weight"] for entry in proxy.backends().values()] == [1, 1], "eased in at the start"
    clients = fill(proxy, 40)
    config["upstreams"][0]["backends"].append({"address": addresses[2]})
    proxy.reload(config)
    assert proxy.backends()[addresses[2]]["effective_weight"] == pytest.approx(0.1)
    assert proxy.metric("holdfast_backend_weight", backend=addresses[2]) == pytest.approx(0.1)
    clients += fill(proxy, 63)
    # A tenth of one of three: 0.1 / 2.1 of the picks. Without the slow start it would have had the first 20.
    assert spread(proxy)[addresses[2]] == 3
    reroutes.set_state(proxy, addresses[0], "draining")
    reroutes.set_state(proxy, addresses[0], "active")
    assert proxy.backends()[addresses[0]]["effective_weight"] == pytest.approx(0.1)
    assert proxy.backends()[addresses[1]]["effective_weight"] == 1


def test_a_policy_may_be_changed_by_a_reload(start, backend):
    _, addresses = servers(backend, 3)
    config = harness.config_for(*addresses)
    proxy = start(config)
    config["upstreams"][0].update(policy="hash:path", hash_balance_factor="off")
    proxy.reload(config)
    harness.eventually(lambda: "upstream main changed: policy, hash_balance_factor" in proxy.log(),
                       what="the changes in the log")
    assert len(set(where(proxy, 6, path="/x"))) == 1


def test_check_warns_of_doubtful_combinations(tmp_path):
    file = tmp_path / "holdfast.json"
    config = harness.config_for("127.0.0.1:1", upstream={"policy": "hash:ip", "sticky": {}, "queue": {"length": 3}})
    file.write_text(json.dumps(config))
    done = harness.run("check", "-c", file)
    assert done.returncode == 0
    assert 'warning: upstreams[0].sticky: comes before the policy "hash:ip"' in done.stdout + done.stderr
    assert "warning: upstreams[0].queue: is never used" in done.stdout + done.stderr
