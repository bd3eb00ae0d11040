"""`on_disconnect`: when hooks are called, and what they cannot harm (contract §7)."""

import logging
import threading
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport

from ..scripted import REQUEST, Server, ticks

pytestmark = pytest.mark.anyio


async def test_hooks_are_called_after_the_app_has_ended() -> None:
    server = Server(REQUEST)
    events: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await ticks(10)
            events.append("ended")

    def plain(report: DisconnectReport) -> None:
        events.append(("plain", threading.current_thread() is threading.main_thread()))

    async def awaited(report: DisconnectReport) -> None:
        await ticks(5)
        events.append("awaited")

    await server.run(app, on_disconnect=[plain, awaited])
    assert events == ["ended", ("plain", True), "awaited"]


async def sleeps(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep_forever()


async def test_an_error_of_a_hook_is_logged_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(REQUEST)
    server.leave()
    called = []

    def fails(report: DisconnectReport) -> None:
        raise ValueError("the hook's")

    async def fails_later(report: DisconnectReport) -> None:
        await ticks(1)
        raise ValueError("the hook's")

    hooks = [fails, fails_later, called.append]
    assert await server.run(sleeps, on_disconnect=hooks) is None
    assert len(called) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_a_hook_that_hangs_does_not_hold_the_exchange_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(REQUEST)
    server.leave()

    async def hangs(report: DisconnectReport) -> None:
        await anyio.sleep_forever()

    assert await server.run(sleeps, on_disconnect=hangs, cleanup_timeout=0.01) is None
    (record,) = caplog.records
    assert "took too long" in record.getMessage()


async def test_hooks_are_called_when_the_server_shuts_down_too() -> None:
    """The app is told, and then the server's own cancellation ends it."""
    server = Server(REQUEST)
    reports: list[DisconnectReport] = []
    told = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await receive()
        told.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await server.run(app, on_disconnect=reports.append)

        tasks.start_soon(serve)
        await told.wait()
        tasks.cancel_scope.cancel()
    assert [report.outcome for report in reports] == ["told"]
    # The cancellation was not ours.
    assert isinstance(reports[0].exception, anyio.get_cancelled_exc_class())
