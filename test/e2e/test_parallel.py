"""Many sessions at once, and how they are spread over the backends."""
import asyncio
import collections

import pytest

import harness
import peers
import wire

PARALLEL = 1000


async def open_many(uri, count, at_once=50, **options):
    gate = asyncio.Semaphore(at_once)

    async def one():
        async with gate:
            return await peers.connect(uri, **options)
    return await asyncio.gather(*(one() for _ in range(count)))


async def close_many(clients):
    await asyncio.gather(*(client.close() for client in clients))


def test_a_thousand_parallel_sessions_get_their_own_answers(start, echo):
    servers = [echo(), echo()]
    proxy = start(harness.config_for(*(server.address for server in servers)))

    async def everybody():
        clients = await open_many(f"ws://{proxy.public}/", PARALLEL)

        async def talk(number, client):
            for turn in range(5):
                text = f"client {number} turn {turn}"
                await client.send(text)
                assert await client.recv() == text
        await asyncio.gather(*(talk(number, client) for number, client in enumerate(clients)))
        assert proxy.sessions() == PARALLEL
        await close_many(clients)
    asyncio.run(everybody())
    harness.eventually(lambda: proxy.sessions() == 0, what="no sessions left")
    assert len(proxy.access_lines(PARALLEL)) == PARALLEL


def test_least_connections_spreads_evenly(start, echo):
    servers = [echo() for _ in range(4)]
    proxy = start(harness.config_for(*(server.address for server in servers)))

    async def everybody():
        clients = await open_many(f"ws://{proxy.public}/", 200, at_once=20)
        counts = [backend["sessions"] for backend in proxy.backends().values()]
        await close_many(clients)
        return counts
    assert asyncio.run(everybody()) == [50] * 4


def test_least_connections_follows_weights(start, echo):
    servers = [echo(), echo()]
    config = harness.config_for(*(server.address for server in servers))
    config["upstreams"][0]["backends"][0]["weight"] = 3
    proxy = start(config)

    async def everybody():
        clients = await open_many(f"ws://{proxy.public}/", 80, at_once=4)
        counts = [proxy.backends()[server.address]["sessions"] for server in servers]
        await close_many(clients)
        return counts
    heavy, light = asyncio.run(everybody())
    assert heavy + light == 80
    assert abs(heavy - 60) <= 2


def test_a_backend_that_lost_its_sessions_gets_the_next_ones(start, echo):
    servers = [echo(), echo()]
    proxy = start(harness.config_for(*(server.address for server in servers)))

    async def everybody():
        clients = await open_many(f"ws://{proxy.public}/", 20)
        local = {connection.remote_address for connection in servers[0].live}
        assert len(local) == 10
        for connection in list(servers[0].live):
            asyncio.run_coroutine_threadsafe(connection.close(), servers[0].loop)
        harness.eventually(lambda: proxy.backends()[servers[0].address]["sessions"] == 0)
        more = await open_many(f"ws://{proxy.public}/", 10, at_once=1)
        counts = [proxy.backends()[server.address]["sessions"] for server in servers]
        await close_many(clients + more)
        return counts
    assert asyncio.run(everybody()) == [10, 10]


@pytest.mark.parametrize("policy", ["round_robin", "least_connections"])
def test_a_full_backend_is_passed_over(start, echo, policy):
    servers = [echo(), echo()]
    config = harness.config_for(*(server.address for server in servers), upstream={"policy": policy})
    config["upstreams"][0]["backends"][0]["max_sessions"] = 1
    proxy = start(config)

    async def everybody():
        clients = await open_many(f"ws://{proxy.public}/", 10, at_once=1)
        counts = [proxy.backends()[server.address]["sessions"] for server in servers]
        await close_many(clients)
        return counts
    assert asyncio.run(everybody()) == [1, 9]


def test_round_robin_takes_turns(start, backend):
    import backend as fake
    servers = [backend(fake.echo) for _ in range(3)]
    proxy = start(harness.config_for(*(server.address for server in servers), upstream={"policy": "round_robin"},
                                     workers=1))
    for _ in range(9):
        wire.open_session(proxy.public).close()
    assert collections.Counter(len(server.wait_heads(3)) for server in servers) == {3: 3}


def test_max_sessions_of_the_listener_answers_503(start, echo):
    proxy = start(harness.config_for(echo().address, listener={"max_sessions": 2}))
    with wire.open_session(proxy.public), wire.open_session(proxy.public):
        with wire.connect(proxy.public) as third:
            third.send(wire.request())
            assert third.head().status == 503

    def is_served():  # what has ended keeps its place until its connections are gone, too
        with wire.connect(proxy.public) as client:
            client.send(wire.request())
            return client.head().status == 101
    harness.eventually(is_served, what="a place")
