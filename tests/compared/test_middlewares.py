"""What "Compared" says of the middlewares that do the same, and of the one written by hand.

Versions: fastapi-disconnect 0.4.0, aiofence 0.5.0 (pyproject.toml).  A test that fails with a newer
one is good news for its users: the page is to be changed then.
"""

import gc
import tracemalloc
import warnings
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ..backends import only_asyncio
from ..frameworks.connection import Connection, exchange, serving
from ..frameworks.journal import Journal
from .ways import (
    aiofence,
    aiofence_fenced,
    aiofence_fenced_natively,
    by_hand,
    every_way,
    fastapi_disconnect,
    ours,
)

pytestmark = pytest.mark.anyio

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"done"}


class Worker:
    """An app that works until it is stopped or let go on, and needs three awaits to clean up."""

    def __init__(self) -> None:
        self.journal = Journal()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.journal.note("working")
        try:
            await self.journal.leave_to("finish")
            self.journal.note("finished")
        finally:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            self.journal.note("cleaned up")

    async def abandoned(self, app: Any) -> list[str]:
        """Leave while it works, let it go on once nothing happens any more; what became of it."""
        async with serving(app, Connection()) as connection:
            await self.journal.noted("working")
            connection.leave()
            for _ in range(10):  # what is called soon may call others soon
                await anyio.wait_all_tasks_blocked()
            self.journal.allow("finish")
            await connection.is_over()
        return self.journal.notes


@only_asyncio
@every_way(
    {
        ours: True,
        fastapi_disconnect: True,
        aiofence: False,
        aiofence_fenced: True,
        aiofence_fenced_natively: True,
        by_hand: True,
    }
)
async def test_a_handler_is_stopped(way: Any, expected: bool) -> None:
    worker = Worker()
    assert ("finished" not in await worker.abandoned(way(worker))) is expected


@only_asyncio
@every_way(
    {
        ours: True,
        fastapi_disconnect: False,
        aiofence_fenced: False,
        aiofence_fenced_natively: True,
        by_hand: False,
    }
)
async def test_its_cleanup_finishes_without_a_shield(way: Any, expected: bool) -> None:
    worker = Worker()
    assert ("cleaned up" in await worker.abandoned(way(worker))) is expected


@only_asyncio
async def test_cleanup_around_a_fence_finishes() -> None:
    """What aiofence is made for: only what is inside the fence is cancelled."""
    fencing = pytest.importorskip(
        "aiofence", reason="not installed: needs Python 3.12"
    ).get_current_fencing
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with fencing().move_on_cancel():
            journal.note("working")
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        journal.note("cleaned up")

    async with serving(aiofence(app), Connection()) as connection:
        await journal.noted("working")
        connection.leave()
        await connection.is_over()
    assert journal.notes == ["working", "cleaned up"]


@only_asyncio
@every_way(
    {
        ours: "told",
        fastapi_disconnect: "cancelled",
        aiofence: "told",
    }
)
async def test_an_app_that_listens_is_told(way: Any, expected: str) -> None:
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        journal.note("listening")
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except anyio.get_cancelled_exc_class():
            journal.note("cancelled")
            raise
        journal.note("told")

    connection = Connection()
    async with serving(way(app), connection):
        await journal.noted("listening")
        await connection.is_listened_to()
        connection.leave()
        await connection.is_over()
    assert journal.notes == ["listening", expected]


@only_asyncio
@every_way(
    {
        ours: b"hello, world",
        fastapi_disconnect: b"hello, world",
        aiofence: b"hello, world",
        by_hand: b"",
    }
)
async def test_a_body_that_is_read_late_is_all_there(way: Any, expected: bytes) -> None:
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        journal.note("working")
        await journal.leave_to("read")
        body = b""
        with anyio.move_on_after(0.1):  # by hand there is nothing left to come
            while (message := await receive())["type"] == "http.request":
                body += message["body"]
                if not message.get("more_body"):
                    break
        await send(START)
        await send({**BODY, "body": body})

    connection = Connection("POST", body=[b"hello, ", b"world"])
    async with serving(way(app), connection):
        await journal.noted("working")
        await connection.is_listened_to()
        journal.allow("read")
        await connection.is_over()
    assert connection.body == expected


PIECES, SIZE = 128, 65536
"""Of an upload that nobody reads: 8 MiB in all."""


@only_asyncio
@every_way({ours: True, fastapi_disconnect: False, aiofence: False})
async def test_an_upload_that_nobody_reads_takes_bounded_memory(way: Any, expected: bool) -> None:
    taken = anyio.Event()
    left = PIECES

    async def receive() -> dict[str, Any]:
        nonlocal left
        if not left:
            taken.set()
            await anyio.sleep_forever()
        left -= 1
        return {"type": "http.request", "body": bytes(SIZE), "more_body": True}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(way(app), Connection().scope, receive, send)
            with anyio.fail_after(10):
                await taken.wait()
            held = tracemalloc.get_traced_memory()[0] - before
            tasks.cancel_scope.cancel()
    finally:
        tracemalloc.stop()
    assert (held < PIECES * SIZE / 2) is expected, held


@only_asyncio
async def test_fastapi_disconnect_does_not_see_a_client_leave_behind_a_full_queue() -> None:
    """Which is how it bounds its memory; ours goes on reading, to the disk."""
    module = pytest.importorskip("fastapi_disconnect", reason="not installed: needs Python 3.12")
    worker = Worker()
    app = module.CancelOnDisconnectMiddleware(worker, queue_size=1)
    async with serving(app, Connection("POST", body=[b"piece"] * 3, manner="once")) as connection:
        await worker.journal.noted("working")
        connection.leave()
        for _ in range(10):
            await anyio.wait_all_tasks_blocked()
        assert worker.journal.notes == ["working"]


@only_asyncio
@every_way({ours: True, fastapi_disconnect: True, aiofence_fenced: True, by_hand: False})
async def test_work_after_the_response_finishes(way: Any, expected: bool) -> None:
    """The server says "disconnect" when the response is complete, to everybody."""
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(BODY)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        journal.note("finished")

    await exchange(way(app), Connection())
    assert bool(journal.notes) is expected


@only_asyncio
@every_way(
    {
        ours: ValueError,
        fastapi_disconnect: ValueError,
        aiofence: ValueError,
        by_hand: ExceptionGroup,
    }
)
async def test_an_error_leaves_as_it_is(way: Any, expected: type[Exception]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    async with serving(way(app), Connection()) as connection:
        await connection.is_over()
    assert type(connection.error) is expected


@pytest.mark.parametrize("anyio_backend", ["trio"])
@every_way({ours: None, by_hand: None, fastapi_disconnect: RuntimeError, aiofence: RuntimeError})
async def test_on_trio(way: Any, expected: type[Exception] | None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(BODY)

    async with serving(way(app), Connection()) as connection:
        await connection.is_over()
    raised, connection.error = connection.error, None
    assert type(raised) is (type(None) if expected is None else expected)
    with warnings.catch_warnings(action="ignore"):  # of the coroutines that trio cannot run
        del raised
        gc.collect()


def test_what_the_others_have_and_ours_has_not() -> None:
    theirs = pytest.importorskip("fastapi_disconnect", reason="not installed: needs Python 3.12")
    fences = pytest.importorskip("aiofence", reason="not installed: needs Python 3.12")
    assert theirs.cancel_on_disconnect  # for one endpoint
    assert theirs.Disconnected  # a dependency
    assert fences.get_current_fencing().unless
    assert fences.get_current_fencing().timeout
