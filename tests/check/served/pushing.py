"""WebSockets that `check --websocket` is run on: they push, listen, swallow their cancellation."""

import asyncio
import contextlib

from asgi_disconnect import DisconnectMiddleware, current_disconnect


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    assert (await receive())["type"] == "websocket.connect"
    handlers = {
        "/push": push,
        "/wait": wait,
        "/listen": listen,
        "/swallow": swallow,
        "/clean": clean,
        "/asked": asked,
        "/brief": brief,
        "/close": close,
        "/told": uses_its_disconnect,
    }
    if scope["path"] == "/protocol":
        assert scope["subprotocols"] == ["ours", "others"]
        await send({"type": "websocket.accept", "subprotocol": "ours"})
        await push(receive, send)
    elif scope["path"] == "/denied":
        start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"who are you?"})
    elif scope["path"] == "/silent":
        await asyncio.sleep(3600)
    elif scope["path"] in handlers:
        await send({"type": "websocket.accept"})
        await handlers[scope["path"]](receive, send)
    else:
        await send({"type": "websocket.close"})


async def push(receive, send):
    """A bare server tells it at its next send, or never.

    It does not push when the check leaves, 0.5 s after it came: on some servers a push that meets
    the departure raises an error of the server's own, which ends the handler.
    """
    while True:
        await send({"type": "websocket.send", "text": "price"})
        await asyncio.sleep(0.15)


async def wait(receive, send):
    """Waits for something to push."""
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.05)


async def listen(receive, send):
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def swallow(receive, send):
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def clean(receive, send):
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(3600)


async def asked(receive, send):
    """Works on what it is sent: a text, and bytes."""
    assert (await receive())["text"] == "begin"
    assert (await receive())["bytes"] == b"\xff"
    await wait(receive, send)


async def brief(receive, send):
    await send({"type": "websocket.send", "text": "no"})
    await send({"type": "websocket.close", "code": 4004, "reason": "no such room"})


async def close(receive, send):
    """Ends by itself, and works on."""
    await asyncio.sleep(0.6)
    await send({"type": "websocket.close"})
    await asyncio.sleep(0.3)


async def uses_its_disconnect(receive, send):
    current_disconnect().is_set()
    await wait(receive, send)


guarded = DisconnectMiddleware(app, websocket=True, grace=0.2)
cut_off = DisconnectMiddleware(app, websocket=True, grace=0.2, cleanup_timeout=0.2)
leaves_websockets_alone = DisconnectMiddleware(app)


class Swallowing:
    """Keeps the disconnect to itself."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        messages = [await receive()]

        async def swallowed():
            if messages:
                return messages.pop()
            await asyncio.sleep(3600)

        await self.app(scope, swallowed, send)


swallowing = Swallowing(guarded)
