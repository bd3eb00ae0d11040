"""What "Handlers that can be cancelled" shows does what it says."""

import asyncio
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .conftest import Run
from .visiting import visit

pytestmark = pytest.mark.anyio

PAGE = "docs/guides/handlers.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # what it says of trio is tested in tests/core


class Pool:
    """Of one connection, which takes a tick for everything, and for ever for a query."""

    def __init__(self, *, answers: bool = False) -> None:
        self.answers = answers
        self.at_work = anyio.Event()
        self.free = 1

    async def acquire(self) -> "Pool":
        self.free -= 1
        return self

    async def execute(self, query: str) -> None:
        if not self.answers:
            self.at_work.set()
            await anyio.sleep_forever()

    async def reset(self) -> None:
        if self.answers:
            self.at_work.set()
        await anyio.sleep(0.05)

    async def release(self, connection: "Pool") -> None:
        await anyio.sleep(0.01)
        self.free += 1


def app_of(handler: Any, **options: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handler()

    return DisconnectMiddleware(app, watch_after=0, **options)


@pytest.mark.parametrize("handler", ["report", "careful_report"])
async def test_a_cancelled_report_gives_its_connection_back(run_page: Run, handler: str) -> None:
    names, pool = run_page(PAGE), Pool()
    await visit(app_of(lambda: names[handler](pool)), leave_when=pool.at_work.wait)
    assert pool.free == 1


@pytest.mark.parametrize(("handler", "free"), [("report", 0), ("careful_report", 1)])
async def test_a_report_that_is_cleaning_up_already_needs_the_shield(
    run_page: Run, handler: str, free: int
) -> None:
    names, pool = run_page(PAGE), Pool(answers=True)
    await visit(app_of(lambda: names[handler](pool)), leave_when=pool.at_work.wait)
    assert pool.free == free


async def test_a_critical_block_is_finished(run_page: Run) -> None:
    names, begun, done = run_page(PAGE), anyio.Event(), []

    async def charge() -> None:
        begun.set()
        await anyio.sleep(0.02)
        done.append("charged")

    async def ship() -> None:
        await anyio.sleep(0.02)
        done.append("shipped")

    await visit(app_of(lambda: names["order"](charge, ship)), leave_when=begun.wait)
    assert done == ["charged", "shipped"]


async def test_what_catches_everything_raises_it_again(run_page: Run) -> None:
    names, logged = run_page(PAGE), []
    await visit(app_of(lambda: names["with_log"](anyio.sleep_forever, logged.append)))
    assert len(logged) == 1


@pytest.mark.fast_guard
async def test_cleanup_behind_a_base_http_middleware_is_finished(run_page: Run) -> None:
    names, released = run_page(PAGE), []

    async def release() -> None:
        await anyio.sleep(0.01)
        released.append("released")

    handler = names["behind_a_base_http_middleware"]
    await visit(_behind_a_base_http_middleware(lambda: handler(anyio.sleep_forever, release)))
    assert released == ["released"]


@pytest.mark.parametrize("shielded", [True, False])
async def test_cleanup_in_a_group_of_a_task_of_its_own_shields_itself(
    run_page: Run, shielded: bool
) -> None:
    names, released = run_page(PAGE), []

    async def release() -> None:
        await anyio.sleep(0.01)
        released.append("released")

    page = "in_a_group_of_a_task_of_its_own" if shielded else "behind_a_base_http_middleware"

    async def handler() -> None:
        async def grouped() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(names[page], anyio.sleep_forever, release)

        await asyncio.create_task(grouped())

    await visit(app_of(handler))
    assert bool(released) == shielded


async def test_a_callback_stops_the_job(run_page: Run) -> None:
    names = run_page(PAGE)

    class Job:
        cancelled = False

        def __init__(self) -> None:
            self.begun = anyio.Event()

        async def cancel(self) -> None:
            self.cancelled = True

        async def done(self) -> None:
            self.begun.set()
            await anyio.sleep_forever()

    job = Job()
    await visit(app_of(lambda: names["transcode"](job)), leave_when=job.begun.wait)
    assert job.cancelled


async def test_a_thread_that_asks_stops(run_page: Run) -> None:
    names, begun, parts = run_page(PAGE), anyio.Event(), []

    def compute() -> None:
        def part() -> None:
            parts.append(1)
            anyio.from_thread.run_sync(begun.set)
            anyio.from_thread.run(anyio.sleep, 0.01)

        names["compute"]([part] * 400)

    await visit(app_of(lambda: anyio.to_thread.run_sync(compute)), leave_when=begun.wait)
    assert 0 < len(parts) < 400


def _behind_a_base_http_middleware(handler: Any) -> Any:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.routing import Route

    class Passes(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    async def endpoint(request: Any) -> None:
        await handler()

    return Starlette(
        routes=[Route("/", endpoint)],
        middleware=[Middleware(DisconnectMiddleware), Middleware(Passes)],
    )
