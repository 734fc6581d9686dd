"""A feed with python3-websockets' broadcast(). Arguments (JSON): source, plain, tls (ports), chain, key, deflate."""
import asyncio
import json
import resource
import ssl
import sys

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

options = json.loads(sys.argv[1])
clients = set()


async def client(connection, _path=None):
    clients.add(connection)
    try:
        await connection.wait_closed()
    finally:
        clients.discard(connection)


async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options["chain"], options["key"])
    extensions = [ServerPerMessageDeflateFactory(True, True)] if options["deflate"] else None
    common = {"compression": None, "extensions": extensions, "ping_interval": None, "backlog": 4096}
    await websockets.serve(client, "127.0.0.1", options["plain"], **common)
    await websockets.serve(client, "127.0.0.1", options["tls"], ssl=tls, **common)
    async with websockets.connect(f"ws://127.0.0.1:{options['source']}/", compression=None, ping_interval=None) as source:
        async for message in source:
            websockets.broadcast(clients, message)


try:
    asyncio.run(main())
except (KeyboardInterrupt, websockets.ConnectionClosed):
    pass
