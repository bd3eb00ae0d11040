"""Handlers as users have them, for the kit to be tried on."""

from typing import Any

import anyio


async def read(receive: Any) -> bytes | None:
    """The request's body; None if the client left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def start(send: Any, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-a", b"b")]})


async def respond(send: Any, body: bytes = b"done", *, more_body: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more_body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once."""
    body = await read(receive)
    if body is not None:
        await start(send)
        await respond(send, body)


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """Works for ever, and neither listens nor responds."""
    await read(receive)
    await anyio.sleep_forever()


async def listening(scope: Any, receive: Any, send: Any) -> None:
    """Waits for the client to leave, and ends."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def streaming(scope: Any, receive: Any, send: Any) -> None:
    """Sends without an end."""
    await start(send)
    while True:
        await respond(send, b"piece", more_body=True)
        await anyio.lowlevel.checkpoint()


async def one_piece(scope: Any, receive: Any, send: Any) -> None:
    """Sends a piece, and works for ever."""
    await start(send)
    await respond(send, b"piece", more_body=True)
    await anyio.sleep_forever()


async def unread(scope: Any, receive: Any, send: Any) -> None:
    """Works for ever, without having read."""
    await anyio.sleep_forever()


async def pouring(scope: Any, receive: Any, send: Any) -> None:
    """Sends five megabytes."""
    await start(send)
    for _ in range(80):
        await respond(send, bytes(65536), more_body=True)
    await respond(send, b"")
