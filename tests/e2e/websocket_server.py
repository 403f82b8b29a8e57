"""Serves a page, and a WebSocket at /socket that sends back each message.

    websocket_server.py PAGE_FILE [CHAIN_FILE KEY_FILE]

With a certificate it speaks TLS, and the ALPN protocol http/1.1. Prints "listening on
127.0.0.1:PORT", and for each WebSocket how it began and ended. The message "close CODE" has it
closed from this side. Needs python3-websockets.
"""

import asyncio
import contextlib
import http
import pathlib
import ssl
import sys

from websockets.exceptions import ConnectionClosedError
from websockets.legacy.server import serve

MAX_MESSAGE_BYTES = 4 << 20


def tls_context(chain_file, key_file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file, key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def echo(socket, _path):
    headers = socket.request_headers
    print("open alpn=%s for=%s" % (headers.get("X-Alpn"), headers.get("X-Forwarded-For")),
          flush=True)
    await socket.send("welcome")
    # Raised at the end unless the code is 1000 or 1001.
    with contextlib.suppress(ConnectionClosedError):
        async for message in socket:
            if isinstance(message, str) and message.startswith("close "):
                await socket.close(int(message[len("close "):]), "as you like")
            else:
                await socket.send(message)
    print("closed %d %s" % (socket.close_code, socket.close_reason), flush=True)


async def main(page_file, *certificate):
    page = pathlib.Path(page_file).read_bytes()

    async def answer(path, _headers):
        if path == "/socket":
            return None
        return http.HTTPStatus.OK, [("Content-Type", "text/html; charset=utf-8")], page

    tls = tls_context(*certificate) if certificate else None
    async with serve(echo, "127.0.0.1", 0, ssl=tls, process_request=answer,
                     max_size=MAX_MESSAGE_BYTES) as server:
        print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
