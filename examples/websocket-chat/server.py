"""A room of a chat, over TLS: `python server.py ROOM ADDRESS:PORT CERTIFICATE KEY`.

What one says, all who are in the room hear. Who comes is greeted with the room's name.
"""

import asyncio
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import broadcast, serve

room, address, certificate, key = sys.argv[1:]
people = set()


async def talk(socket):
    query = parse_qs(urlsplit(socket.request.path).query)
    name = query.get("name", ["somebody"])[0]
    people.add(socket)
    await socket.send(f"welcome to the {room} room, {name}")
    try:
        async for message in socket:
            broadcast(people, f"{name}: {message}")
    finally:
        people.discard(socket)


async def main():
    host, port = address.rsplit(":", 1)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with serve(talk, host, int(port), ssl=tls) as server:
        print("ready", flush=True)
        await server.serve_forever()


asyncio.run(main())
