"""A WebSocket server and a client that goes through it all, by PyPI's `websockets`.

    websocket.py server CHAIN KEY        prints its port, then the code of each close
    websocket.py client ADDRESS:PORT CA  prints `ok`, or ends with what is not as it must be
"""

import asyncio
import http
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

MIB = 1 << 20


async def answer(socket):
    try:
        async for message in socket:
            if message == "close":
                await socket.close(4001, "as asked")
            elif message == "ping":
                await (await socket.ping(b"from the server"))
                await socket.send("ponged")
            elif message == "fragments":
                await socket.send(["one ", "two ", "three"])
            else:
                await socket.send(message)
    except ConnectionClosed:
        pass
    await socket.wait_closed()
    print("closed", socket.close_code, flush=True)


def refuse(connection, request):
    if request.path == "/refused":
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n")


async def server(chain, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    # Who offers HTTP/2 gets it, and no WebSocket.
    context.set_alpn_protocols(["h2", "http/1.1"])
    options = {"subprotocols": ["chat.v2", "chat.v1"], "max_size": 4 * MIB, "process_request": refuse}
    async with serve(answer, "127.0.0.1", 0, ssl=context, **options) as running:
        print(running.sockets[0].getsockname()[1], flush=True)
        await running.serve_forever()


async def client(address, ca):
    host, port = address.rsplit(":", 1)
    context = ssl.create_default_context(cafile=ca)

    def to(path, **options):
        options = {"max_size": 4 * MIB, **options}
        return connect(f"wss://shop.example{path}", ssl=context, host=host, port=int(port), **options)

    async def echoed(socket, message):
        await socket.send(message)
        back = await socket.recv()
        assert back == message, (type(back), len(back))

    for compression in ["deflate", None]:
        async with to("/chat", subprotocols=["chat.v1"], compression=compression) as socket:
            assert socket.subprotocol == "chat.v1", socket.subprotocol
            assert bool(socket.protocol.extensions) == bool(compression), socket.protocol.extensions
            await echoed(socket, "héllo")
            await echoed(socket, b"\x00\xff")
            await echoed(socket, "")
            await echoed(socket, "x" * MIB)
            await echoed(socket, bytes(range(256)) * (MIB // 256))
            await socket.send(["in ", "three ", "parts"])
            assert await socket.recv() == "in three parts"
            await socket.send("fragments")
            assert [part async for part in socket.recv_streaming() if part] == ["one ", "two ", "three"]
            await (await socket.ping(b"from the client"))
            await socket.send("ping")
            assert await socket.recv() == "ponged"
            await socket.close(4002, "enough")
            assert socket.close_code == 4002, socket.close_code
    async with to("/chat", subprotocols=["chat.v2", "chat.v1"]) as socket:
        await socket.send("close")
        try:
            await socket.recv()
            raise AssertionError("the server was to close")
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as asked"), closed
    try:
        async with to("/refused"):
            raise AssertionError("the server was to refuse")
    except InvalidStatus as refused:
        assert refused.response.status_code == 401, refused
    print("ok")


MODES = {"server": server, "client": client}
asyncio.run(MODES[sys.argv[1]](*sys.argv[2:]))
