"""No framework: the same app in each of the shapes that an ASGI application may have."""

import functools
import json
from collections.abc import Generator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ..journal import Journal
from . import Wrap


def build(journal: Journal, wrap: Wrap | None, variant: str) -> Any:
    app = SHAPES[variant](journal)
    return app if wrap is None else wrap(app)


async def answer(journal: Journal, scope: Any, receive: Any, send: Any) -> None:
    """What every shape does."""
    if scope["type"] == "lifespan":
        await live(journal, scope, receive, send)
    elif scope["type"] == "websocket":
        await SOCKETS[scope["path"]](journal, receive, send)
    else:
        await ROUTES.get(scope["path"], missing)(journal, receive, send)


async def live(journal: Journal, scope: Any, receive: Any, send: Any) -> None:
    await receive()
    journal.note("startup")
    scope["state"]["pool"] = "full"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    journal.note("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def accept(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def echo_text(journal: Journal, receive: Any, send: Any) -> None:
    await accept(receive, send)
    message = await receive()
    await send({"type": "websocket.send", "text": message["text"]})
    await send({"type": "websocket.close"})


async def push(journal: Journal, receive: Any, send: Any) -> None:
    await accept(receive, send)
    try:
        journal.note("started")
        await send({"type": "websocket.send", "text": "tick"})
        await anyio.sleep_forever()
    finally:
        journal.note("finally")
        await checkpoint()
        journal.note("cleaned up")


async def listen(journal: Journal, receive: Any, send: Any) -> None:
    await accept(receive, send)
    await note_texts(journal, receive)


async def catch_up(journal: Journal, receive: Any, send: Any) -> None:
    await accept(receive, send)
    journal.note("started")
    await journal.leave_to("read")
    await note_texts(journal, receive)


async def note_texts(journal: Journal, receive: Any) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        journal.note(message["text"])
    journal.note("told")
    await journal.leave_to("finish")
    journal.note("finished")


SOCKETS = {"/socket": echo_text, "/pushes": push, "/listens": listen, "/catches-up": catch_up}


async def start(send: Any, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def respond(send: Any, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await start(send, status, *headers)
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def missing(journal: Journal, receive: Any, send: Any) -> None:
    await respond(send, b"not found", status=404)


async def quick(journal: Journal, receive: Any, send: Any) -> None:
    body = json.dumps({"quick": True}).encode()
    await respond(send, body, (b"content-type", b"application/json"), (b"x-quick", b"yes"))


async def slow(journal: Journal, receive: Any, send: Any) -> None:
    journal.note("started")
    try:
        await anyio.sleep_forever()
    finally:
        journal.note("finally")
        await checkpoint()
        journal.note("cleaned up")


async def count(journal: Journal, receive: Any, send: Any) -> None:
    await start(send, 200)
    for number in range(3):
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await checkpoint()
    await send({"type": "http.response.body"})


async def stream(journal: Journal, receive: Any, send: Any) -> None:
    await start(send, 200)
    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
    try:
        await anyio.sleep_forever()
    finally:
        journal.note("finally")


async def echo(journal: Journal, receive: Any, send: Any) -> None:
    await respond(send, await read_body(receive))


async def late(journal: Journal, receive: Any, send: Any) -> None:
    journal.note("started")
    await journal.leave_to("read")
    await respond(send, await read_body(receive))


async def background(journal: Journal, receive: Any, send: Any) -> None:
    journal.note("started")
    await journal.leave_to("respond")
    await respond(send, b"done")
    journal.note("background started")
    await journal.leave_to("finish")
    journal.note("background finished")


async def polls(journal: Journal, receive: Any, send: Any) -> None:
    journal.note("started")
    while True:
        message = {"type": "nothing yet"}
        with anyio.CancelScope() as scope:
            scope.cancel()
            message = await receive()
        if message["type"] == "http.disconnect":
            break
        await anyio.sleep(0.001)
    journal.note("noticed")


async def fails(journal: Journal, receive: Any, send: Any) -> None:
    raise journal.failure


ROUTES = {
    "/quick": quick,
    "/slow": slow,
    "/count": count,
    "/stream": stream,
    "/echo": echo,
    "/late": late,
    "/background": background,
    "/polls": polls,
    "/fails": fails,
}


# The shapes


def function(journal: Journal) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(journal, scope, receive, send)

    return app


class Instance:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(self.journal, scope, receive, send)


def partial(journal: Journal) -> Any:
    return functools.partial(answer, journal)


def partial_of_instance(journal: Journal) -> Any:
    class WithPrefix(Instance):
        async def __call__(self, prefix: str, scope: Any, receive: Any, send: Any) -> None:
            await answer(self.journal, scope, receive, send)

    return functools.partial(WithPrefix(journal), "/")


def awaitable_class(journal: Journal) -> Any:
    class Endpoint:
        def __init__(self, scope: Any, receive: Any, send: Any) -> None:
            self.arguments = scope, receive, send

        def __await__(self) -> Generator[Any, None, None]:
            return answer(journal, *self.arguments).__await__()

    return Endpoint


def double_function(journal: Journal) -> Any:
    def app(scope: Any) -> Any:
        return functools.partial(answer, journal, scope)

    return app


def double_class(journal: Journal) -> Any:
    class Consumer:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            await answer(journal, self.scope, receive, send)

    return Consumer


SHAPES = {
    "function": function,
    "instance": Instance,
    "partial": partial,
    "partial-of-instance": partial_of_instance,
    "awaitable-class": awaitable_class,
    "double-function": double_function,
    "double-class": double_class,
}
