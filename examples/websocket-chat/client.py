"""Chats through the gateway: `python client.py ADDRESS:PORT NAME`.

Says each line of its input, prints what it hears, and leaves when the input ends.
"""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

address, name = sys.argv[1:]


async def listen(socket):
    async for message in socket:
        print(message, flush=True)


async def main():
    host, port = address.rsplit(":", 1)
    tls = ssl.create_default_context(cafile="certs/ca.pem")
    url = f"wss://shop.example/chat?name={name}"
    # The gateway is at this address, whatever the name says.
    async with connect(url, host=host, port=int(port), ssl=tls, proxy=None) as socket:
        listening = asyncio.create_task(listen(socket))
        while line := await asyncio.to_thread(sys.stdin.readline):
            await socket.send(line.strip())
        await socket.close()
        await listening


try:
    asyncio.run(main())
except InvalidStatus as refused:
    print(f"refused: {refused.response.status_code}", flush=True)
