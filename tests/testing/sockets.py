"""WebSocket handlers as users have them, for the kit to be tried on."""

from typing import Any

import anyio


async def accept(receive: Any, send: Any, **fields: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", **fields})


async def push(send: Any, data: str | bytes) -> None:
    key = "text" if isinstance(data, str) else "bytes"
    await send({"type": "websocket.send", key: data})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers each message, until the client leaves."""
    await accept(receive, send)
    while (message := await receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        await push(send, message["bytes"] if text is None else text)


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """Waits for something to push."""
    await accept(receive, send)
    await anyio.sleep_forever()


async def pushing(scope: Any, receive: Any, send: Any) -> None:
    """Pushes without an end."""
    await accept(receive, send)
    while True:
        await push(send, "tick")
        await anyio.sleep(0.001)


async def greets(scope: Any, receive: Any, send: Any) -> None:
    """Says a word, and closes."""
    await accept(receive, send)
    await push(send, "hello")
    await send({"type": "websocket.close", "code": 4000})


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def denies(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 402, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"pay first"})
