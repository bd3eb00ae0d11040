"""Which exchanges are guarded, and what is passed on untouched (contract §1)."""

import asyncio
import logging
from typing import Any

import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._guards import choice as guards

from ..scripted import REQUEST, Server, http_scope
from .apps import answer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("scope", [{"type": "websocket"}, {"type": "lifespan"}, {"type": "x"}, {}])
async def test_what_is_not_http_passes_with_the_very_same_objects(scope: Any) -> None:
    seen = []

    async def app(*arguments: Any) -> str:
        seen.extend(arguments)
        return "returned"

    receive, send = object(), object()
    before = dict(scope)
    returned = await DisconnectMiddleware(app)(scope, receive, send)  # type: ignore[arg-type]
    assert returned == "returned"
    assert seen[0] is scope
    assert seen[1] is receive
    assert seen[2] is send
    assert scope == before


async def test_inside_another_instance_an_exchange_is_passed_straight_on() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    async def between(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))
        await DisconnectMiddleware(app)(scope, receive, send)

    await Server().run(between)
    assert [id(x) for x in seen[0]] == [id(x) for x in seen[1]]


async def test_only_chooses() -> None:
    guarded = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        guarded.append("asgi_disconnect" in scope)

    for path in ("/slow", "/quick"):
        await Server().run(app, http_scope(path=path), only=lambda scope: scope["path"] == "/slow")
    assert guarded == [True, False]


async def test_an_only_that_raises_is_logged_and_guards(caplog: pytest.LogCaptureFixture) -> None:
    def only(scope: Any) -> bool:
        raise KeyError("no such thing")

    server = Server(REQUEST)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> Any:
        seen.append("asgi_disconnect" in scope)
        return await answer(scope, receive, send)

    await server.run(app, http_scope(method="POST", path="/there"), only=only)
    assert seen == [True]
    assert server.types == ["start", "body"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_disconnect", logging.ERROR)
    assert "POST /there" in record.getMessage()
    assert record.exc_info


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_runs_without_a_task_is_passed_through_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on granian with --task-impl rust: nothing there can be cancelled."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        seen.append("asgi_disconnect" in scope)
        return "returned"

    def drive(coroutine: Any) -> Any:
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        return stopped.value.value

    def without_a_task() -> None:
        for _ in range(2):
            assert drive(DisconnectMiddleware(app)(http_scope(), None, None)) == "returned"  # type: ignore[arg-type]
        done.set()

    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(without_a_task)
    await done.wait()
    assert seen == [False, False]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "--task-impl asyncio" in record.getMessage()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_was_never_initialised_is_passed_through_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As granian's are with --task-impl rust."""

    class Uninitialised:
        def get_loop(self) -> None:
            raise RuntimeError("Task object is not initialized.")

    server = Server(REQUEST)
    request: Any = DisconnectMiddleware(answer)(http_scope(), server.receive, server.send)
    warn = guards._warn_of_tasks_that_cannot_be_cancelled
    warn.cache_clear()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "current_task", Uninitialised)
            with pytest.raises(StopIteration) as stopped:
                request.send(None)
    finally:
        warn.cache_clear()
    assert stopped.value.value == "returned"
    assert server.types == ["start", "body"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
