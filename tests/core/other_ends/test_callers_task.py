"""The app runs in the caller's task and context (contract §5)."""

import contextvars
from typing import Any

import anyio
import pytest

from ..scripted import REQUEST, Server, ticks

pytestmark = pytest.mark.anyio

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def test_the_app_runs_in_the_callers_task_and_context() -> None:
    caller = anyio.get_current_task()
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(anyio.get_current_task() == caller)
        VARIABLE.set("by the app")

    await Server().run(app)
    assert seen == [True]
    assert VARIABLE.get() == "by the app"


async def test_what_the_server_keeps_in_its_context_reaches_its_receive() -> None:
    """The watcher's calls run in a copy of the request's context."""
    seen = []

    class Looking(Server):
        async def receive(self) -> Any:
            seen.append(VARIABLE.get())
            return await super().receive()

    VARIABLE.set("by the server")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(20)

    await Looking(REQUEST).run(app)
    assert set(seen) == {"by the server"}
