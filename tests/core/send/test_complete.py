"""Where the response stands: once it is complete, nothing is cancelled (contract §3)."""

from typing import Any

import anyio
import pytest

from asgi_disconnect import current_disconnect

from ...backends import only_asyncio
from ..scripted import DISCONNECT, LAST, MORE, REQUEST, START, Message, Server, ticks

pytestmark = pytest.mark.anyio

TRAILERS_DUE: Message = {**START, "trailers": True}
TRAILERS: Message = {"type": "http.response.trailers", "headers": []}
PATH: Message = {"type": "http.response.pathsend", "path": "/x"}
ZERO: Message = {"type": "http.response.zerocopysend", "file": 1}


async def test_every_message_reaches_the_server_as_the_object_that_it_was() -> None:
    sent: list[Message] = [
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.early_hint", "links": []},
        START,
        {"type": "http.response.push", "path": "/", "headers": []},
        {"type": "http.of_tomorrow"},
        {"untyped": True},
        MORE,
        LAST,
        LAST,
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)

    server = Server(REQUEST)
    await server.run(app)
    assert [id(message) for message in server.sent] == [id(message) for message in sent]


@pytest.mark.parametrize(
    "response",
    [
        [START, LAST],
        [START, MORE, LAST],
        [START, {"type": "http.response.body"}],
        [TRAILERS_DUE, LAST, TRAILERS],
        [TRAILERS_DUE, LAST, {**TRAILERS, "more_trailers": True}, TRAILERS],
        [START, PATH],
        [TRAILERS_DUE, PATH, TRAILERS],
        [START, {**ZERO, "more_body": True}, MORE, ZERO],
    ],
    ids=lambda response: " ".join(message["type"][14:] for message in response),
)
@pytest.mark.parametrize("server_says_it_in", ["the last send", "the tick after"])
async def test_after_the_response_is_complete_nothing_is_cancelled(
    response: list[Message], server_says_it_in: str
) -> None:
    """Background work runs to its end, and before the last message a departure does cancel."""
    for leave_at in range(len(response) + 1):
        done = []

        class Leaving(Server):
            async def send(self, message: Any) -> None:
                await super().send(message)
                if len(self.sent) == leave_at:  # noqa: B023
                    self.leave()
                    if server_says_it_in == "the last send":
                        await ticks(5)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            for message in response:
                await send(message)
                await ticks(20)
            await ticks(20)
            done.append("background")  # noqa: B023

        server = Leaving(REQUEST)
        if leave_at == 0:
            server.leave()
        await server.run(app)
        complete = leave_at == len(response)
        assert done == (["background"] if complete else []), leave_at


@pytest.mark.parametrize("length", range(1, 5))
@pytest.mark.parametrize("leaves_at", range(4, 20))
async def test_a_last_send_that_takes_its_time_is_not_the_end_of_background_work(
    length: int, leaves_at: int
) -> None:
    """The client leaves just before it, or while it lasts."""
    server = Server(REQUEST)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(8)
        await send(START)
        await send(LAST)
        await ticks(100)
        done.append("background")

    async with anyio.create_task_group() as tasks:

        async def slow_send(message: Any) -> None:
            server.sent.append(message)
            drained = anyio.Event()

            async def drain() -> None:
                await ticks(length)
                drained.set()

            tasks.start_soon(drain)
            await drained.wait()

        server.send = slow_send  # type: ignore[method-assign]

        async def leave() -> None:
            await ticks(leaves_at)
            server.leave()

        tasks.start_soon(leave)
        await server.run(app, grace=1000)
    completed = server.types == ["start", "body"]  # handed to the server, be it not drained
    assert done == (["background"] if completed else [])


async def test_a_last_send_that_never_returns_is_given_up_after_grace() -> None:
    """As hypercorn's on HTTP/2, to a client that has left."""
    server = Server(REQUEST)
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        server.leave()
        while not current_disconnect().is_set():
            await ticks(1)
        try:
            await send(LAST)
        finally:
            ended.append(True)

    async def send(message: Any) -> None:
        if message is LAST:
            await anyio.sleep_forever()

    server.send = send  # type: ignore[method-assign]
    await server.run(app, grace=0.01)
    assert ended == [True]


@only_asyncio
@pytest.mark.parametrize("length", range(1, 7))
async def test_a_last_send_that_lasts_some_ticks_as_grace_ends_is_no_reason_to_cancel(
    length: int,
) -> None:
    """The app has been told, and has completed its response in its time."""
    server = Server(REQUEST)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await send(START)
        await send(LAST)
        await ticks(100)
        done.append("background")

    async def slow_send(message: Any) -> None:
        await ticks(length)

    server.send = slow_send  # type: ignore[method-assign]
    await server.run(app, grace=0)
    assert done == ["background"]
