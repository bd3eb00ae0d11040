"""The steps that "Rolling it out" shows do what it says, and its troubles are what it says."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect

from .conftest import Paste
from .pages import ROOT
from .visiting import at_work, visit

pytestmark = pytest.mark.anyio

PAGE = "docs/guides/rollout.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the frameworks' own


class Step:
    """One block of the page, around an app that works until it may end, and notes that it has."""

    def __init__(self, paste: Paste, code: str) -> None:
        (self.names,) = (names for block, names in paste(PAGE) if code in block.code)
        self.finished: list[str] = []
        self._may_end = anyio.Event()
        self._replace_app(self.names["app"])

    def _replace_app(self, middleware: Any) -> None:
        while isinstance(middleware.app, DisconnectMiddleware):
            middleware = middleware.app
        middleware.app = self.works

    async def works(self, scope: Any, receive: Any, send: Any) -> None:
        await self._may_end.wait()
        self.finished.append(scope["path"])

    async def is_finished(self, path: str) -> bool:
        """Whether a request to it is finished, though its client leaves."""
        self.finished.clear()
        self._may_end, leaves = anyio.Event(), anyio.Event()

        async def leave() -> None:
            await at_work()
            leaves.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(visit, self.names["app"], path, leave_when=leave))
            await leaves.wait()
            await anyio.wait_all_tasks_blocked()
            self._may_end.set()
        return bool(self.finished)


async def test_the_first_step_cancels_nothing(paste: Paste) -> None:
    pytest.importorskip("prometheus_client")
    step = Step(paste, "cancel=False, on_disconnect=PrometheusHook()")
    assert await step.is_finished("/search")


async def test_the_second_step_cancels_one_route_and_counts_all(paste: Paste) -> None:
    pytest.importorskip("prometheus_client")
    step = Step(paste, "def first_routes")
    assert not await step.is_finished("/search/1")
    assert await step.is_finished("/orders")
    (abandoned,) = step.names["hook"]._abandoned.collect()
    counts = {
        sample.labels["outcome"]: sample.value
        for sample in abandoned.samples
        if sample.name.endswith("_total")
    }
    assert counts == {"cancelled": 1, "ignored": 1}


async def test_the_third_step_cancels_all_but_what_is_left_out(paste: Paste) -> None:
    pytest.importorskip("prometheus_client")
    step = Step(paste, "def may_be_cancelled")
    assert not await step.is_finished("/search")
    assert await step.is_finished("/payments")


@pytest.mark.parametrize(("told", "cancels"), [(None, True), ("yes", True), ("no", False)])
async def test_an_environment_variable_takes_it_back(
    paste: Paste, monkeypatch: pytest.MonkeyPatch, told: str | None, cancels: bool
) -> None:
    if told is None:
        monkeypatch.delenv("CANCEL_ABANDONED", raising=False)
    else:
        monkeypatch.setenv("CANCEL_ABANDONED", told)
    step = Step(paste, "CANCEL_ABANDONED")
    assert await step.is_finished("/search") is not cancels


async def test_the_queries_that_it_shows_are_of_metrics_that_there_are(paste: Paste) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    from asgi_disconnect.instrumentation.prometheus import PrometheusHook

    registry = prometheus.CollectorRegistry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    await visit(DisconnectMiddleware(app, on_disconnect=PrometheusHook(registry)))
    told = prometheus.generate_latest(registry).decode()
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    names = set(re.findall(r"asgi_disconnect_\w+", page))
    assert len(names) >= 5
    for name in names:
        assert re.search(rf"^(# TYPE )?{name}\b", told, re.MULTILINE), name


async def test_no_response_returned_comes_from_a_middleware_that_stands_outside() -> None:
    pytest.importorskip("starlette")
    from starlette.middleware.base import BaseHTTPMiddleware

    async def passes(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    inside = DisconnectMiddleware(BaseHTTPMiddleware(app, dispatch=passes))
    await visit(inside)
    outside = BaseHTTPMiddleware(DisconnectMiddleware(app), dispatch=passes)
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="No response returned")):
        await visit(outside)


def in_executor(function: Callable[[], None]) -> Any:
    return asyncio.get_running_loop().run_in_executor(None, function)


async def in_thread(function: Callable[[], None]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    await asyncio.to_thread(thread.join)


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (in_executor, False),
        (in_thread, False),
        (asyncio.to_thread, True),
        (anyio.to_thread.run_sync, True),
    ],
)
async def test_the_request_is_known_in_threads_that_take_its_context_along(
    paste: Paste, call: Any, known: bool
) -> None:
    (has_left,) = (names["has_left"] for _, names in paste(PAGE) if "has_left" in names)
    found: list[Any] = []

    def look() -> None:
        found.append(current_disconnect(None))
        assert not has_left()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await call(look)

    await visit(DisconnectMiddleware(app), leave_when=None)
    assert (found[0] is not None) is known


def test_sentry_takes_errors_for_events_and_no_warnings() -> None:
    integration = pytest.importorskip("sentry_sdk.integrations.logging")
    assert integration.DEFAULT_EVENT_LEVEL == logging.ERROR
