"""A body whose next piece does not come in time is refused (contract §2)."""

import itertools
import time
from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, LAST, START, Server
from .refusals import END, FOUR, WATCHING, Working, answers, status_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("given", [[], [FOUR], [FOUR, FOUR]])
@pytest.mark.parametrize("buffer", ["ahead", "whole"])
async def test_a_body_whose_next_piece_does_not_come_is_refused(
    given: list[Any], buffer: str
) -> None:
    server, app = Server(*given), Working()
    await server.run(app, body_timeout=0.02, buffer=buffer)
    assert status_of(server) == 408
    assert app.events == (["called", "cancelled"] if buffer == "ahead" else [])


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_an_app_that_waits_for_the_next_piece_is_told(watch_after: float) -> None:
    server, got = Server(FOUR), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())
        got.append(await receive())

    await server.run(app, body_timeout=0.02, watch_after=watch_after)
    assert got == [FOUR, DISCONNECT]
    assert status_of(server) == 408


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_body_that_is_complete_has_all_the_time(watch_after: float) -> None:
    server = Server(FOUR, END)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if watch_after:  # else it is read ahead
            assert [await receive(), await receive()] == [FOUR, END]
        with anyio.move_on_after(0.05):
            while True:
                await receive()
        await send(START)
        await send(LAST)

    await server.run(app, body_timeout=0.02, watch_after=watch_after)
    assert server.sent == [START, LAST]


async def long_body(server: Server, body_timeout: float) -> float:
    """Many pieces, which together take longer than each may; the longest time between two."""
    times = [time.monotonic()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def client() -> None:
                for _ in range(15):
                    await anyio.sleep(0.1)
                    times.append(time.monotonic())
                    server.give(FOUR)
                server.give(END)

            tasks.start_soon(client)
            await answers(scope, receive, send)

    await server.run(app, body_timeout=body_timeout)
    times.append(time.monotonic())
    return max(later - earlier for earlier, later in itertools.pairwise(times))


async def test_each_piece_has_the_time_anew() -> None:
    for _ in range(3):
        server = Server()
        if await long_body(server, 1) < 1:
            break  # else the machine has held a piece up for so long
    assert server.sent == [START, LAST]
