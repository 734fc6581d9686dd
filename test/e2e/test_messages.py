"""Messages of every size and shape reach the other end unchanged, between ends we did not write."""
import asyncio
import shutil

import pytest
import websockets

import harness
import peers

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
HUGE = 16 << 20


def echo_steps(sizes):
    return [{"echo": kind, "size": size} for size in sizes for kind in ("text", "binary")]


def test_npm_client_and_server_exchange_text_and_binary_of_all_sizes(start, node_echo):
    server = node_echo()
    proxy = start(harness.config_for(server.address))
    steps = [*echo_steps(SIZES), {"echo": "binary", "size": HUGE}, {"echo": "text", "size": HUGE // 4}, {"close": 1000}]
    result = peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "steps": steps})
    assert result["closed"]["code"] == 1000


def test_python_client_and_server_exchange_text_and_binary_of_all_sizes(start, echo):
    proxy = start(harness.config_for(echo().address))

    async def session():
        async with peers.connect(f"ws://{proxy.public}/") as client:
            for size in [*SIZES, HUGE]:
                for message in ("x" * size, b"\x00\xff" * (size // 2) + b"!" * (size % 2)):
                    await client.send(message)
                    assert await client.recv() == message
    asyncio.run(session())


def test_fragmented_messages_arrive_whole(start, node_echo):
    proxy = start(harness.config_for(node_echo().address))
    steps = [{"fragments": [1, 1]}, {"fragments": [0, 10, 0, 5]}, {"fragments": [200, 70000, 3]},
             {"fragments": [7] * 300}, {"close": 1000}]
    assert peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "steps": steps})["closed"]["code"] == 1000


def test_pings_of_the_client_are_answered_with_their_payload(start, node_echo):
    proxy = start(harness.config_for(node_echo().address))
    steps = [{"ping": ""}, {"ping": "hello"}, {"echo": "text", "size": 10}, {"ping": "p" * 125}, {"close": 1000}]
    result = peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "steps": steps})
    assert result["closed"]["code"] == 1000


def test_a_subprotocol_is_chosen_by_the_backend(start, node_echo):
    proxy = start(harness.config_for(node_echo(subprotocols=["beta"]).address))
    options = {"url": f"ws://{proxy.public}/", "subprotocols": ["alpha", "beta"], "steps": [{"close": 1000}]}
    assert peers.run_node("client.js", options)["protocol"] == "beta"


def test_permessage_deflate_is_negotiated_end_to_end(start, node_echo):
    proxy = start(harness.config_for(node_echo(deflate=True).address))
    steps = [*echo_steps([0, 1, 5000, 1 << 20]), {"fragments": [3000, 3000]}, {"close": 1000}]
    result = peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "deflate": True, "steps": steps})
    assert "permessage-deflate" in result["extensions"]


def test_python_ends_compress_through_the_proxy(start, echo):
    proxy = start(harness.config_for(echo(compression="deflate").address))

    async def session():
        async with peers.connect(f"ws://{proxy.public}/", compression="deflate") as client:
            for size in (0, 100, 1 << 20):
                await client.send("compressible " * (size // 13))
                assert await client.recv() == "compressible " * (size // 13)
    asyncio.run(session())


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_a_close_code_of_the_client_reaches_the_backend_and_comes_back(start, echo, code):
    server = echo()
    proxy = start(harness.config_for(server.address))

    async def session():
        async with peers.connect(f"ws://{proxy.public}/") as client:
            await client.send("hello")
            await client.recv()
            await client.close(code, "thanks")
            return client.close_code
    assert asyncio.run(session()) == code
    harness.eventually(lambda: server.closes == [code], what="the backend's view of the close code")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_a_close_code_of_the_backend_reaches_the_client_with_its_reason(start, node_echo, code):
    # 1001 is one of reroute.close_codes by default; here the application means it.
    proxy = start(harness.config_for(node_echo().address, route={"reroute": {"close_codes": [1012]}}))
    options = {"url": f"ws://{proxy.public}/", "steps": [{"say": f"close {code} enough"}]}
    assert peers.run_node("client.js", options)["closed"] == {"code": code, "reason": "enough"}


def test_an_empty_close_stays_empty(start, node_echo):
    proxy = start(harness.config_for(node_echo().address))
    result = peers.run_node("client.js", {"url": f"ws://{proxy.public}/", "steps": [{"close": None}]})
    assert result["closed"]["code"] == 1005


def test_a_message_before_the_close_is_delivered(start, echo):
    proxy = start(harness.config_for(echo().address))

    async def session():
        async with peers.connect(f"ws://{proxy.public}/") as client:
            await client.send("burst 200 10000")
            await client.send("close 4000 done")
            sizes = [len(await client.recv()) for _ in range(200)]
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            return sizes, client.close_code
    assert asyncio.run(session()) == ([10000] * 200, 4000)


def test_chromium_talks_wss_with_subprotocol_and_compression(start, node_echo, authority, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("chromium is not installed")
    peers.need_npm()
    chain, key = authority.issue("browser.test")
    listener = {"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}}
    server = node_echo(deflate=True, subprotocols=["chat.v2"])
    proxy = start(harness.config_for(server.address, listener=listener))
    result = peers.run_node("chromium.js", {
        "url": f"wss://{proxy.public}/", "subprotocol": "chat.v2", "sizes": [0, 1, 126, 70000, 1 << 20],
        "browser": browser, "profile": str(tmp_path / "profile")}, seconds=90)
    assert result["protocol"] == "chat.v2"
    assert "permessage-deflate" in result["extensions"]
    assert result["echoed"] == 10
    assert result["closed"] == {"code": 3456, "reason": "thanks", "clean": True}
