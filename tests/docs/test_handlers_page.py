"""What "Handlers that can be cancelled" shows does what it says."""

import asyncio
import contextvars
import threading
import time
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi

from asgi_disconnect import DisconnectMiddleware, current_disconnect

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


async def test_cleanup_is_not_left_to_except_exception(run_page: Run) -> None:
    names, removed = run_page(PAGE), []

    async def remove() -> None:
        await anyio.sleep(0.01)
        removed.append("removed")

    await visit(app_of(lambda: names["store"](anyio.sleep_forever, remove)))
    assert removed == ["removed"]


class Shared:
    """Work that several clients wait for."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.may_end = anyio.Event()
        self.ended = anyio.Event()
        self.times = 0
        self.clients: list[Any] = []

    async def work(self, *_: Any) -> str:
        self.times += 1
        self.clients.append(current_disconnect(None))
        self.begun.set()
        try:
            await self.may_end.wait()
        finally:
            self.ended.set()
        return "done"


async def one_leaves(shared: Shared, wait: Any) -> list[Any]:
    """What two clients get who wait for the same; the one who began it leaves."""
    got: list[Any] = []
    has_left = anyio.Event()

    async def handler() -> None:
        try:
            got.append(await wait())
        except BaseException as error:
            got.append(type(error))
            has_left.set()
            raise

    app = app_of(handler)

    async def the_other_waits() -> None:
        await shared.begun.wait()
        tasks.start_soon(other)
        await anyio.sleep(0.02)

    async def other() -> None:
        async def until_the_first_has_left() -> None:
            await has_left.wait()
            shared.may_end.set()
            await shared.ended.wait()
            await anyio.sleep(0.02)  # in which it returns

        await visit(app, leave_when=until_the_first_has_left)

    async with anyio.create_task_group() as tasks:
        await visit(app, leave_when=the_other_waits)
    return got


@pytest.mark.parametrize("shown", ["quote", "get", "summary"])
async def test_who_leaves_does_not_take_from_others_what_they_share(
    run_page: Run, shown: str
) -> None:
    names, shared = run_page(PAGE), Shared()
    model = names["Model"](shared.work)
    wait = {
        "quote": lambda: names["quote"]("ABC", shared.work),
        "get": model.get,
        "summary": lambda: names["summary"]("ABC", shared.work),
    }[shown]
    assert await one_leaves(shared, wait) == [asyncio.CancelledError, "done"]
    assert shared.times == 1
    await checkpoint()
    assert not names["flights"]
    assert not names["shared"]


async def test_without_the_shield_it_does() -> None:
    """The page would be wrong to warn."""
    shared, tasks = Shared(), []

    async def wait() -> Any:
        if not tasks:
            tasks.append(asyncio.create_task(shared.work()))
        return await tasks[0]

    assert await one_leaves(shared, wait) == [asyncio.CancelledError] * 2


async def test_the_last_who_leaves_stops_what_is_shared(run_page: Run) -> None:
    names, shared = run_page(PAGE), Shared()
    app = app_of(lambda: names["summary"]("ABC", shared.work))
    await visit(app, leave_when=shared.begun.wait)
    with anyio.fail_after(5):
        await shared.ended.wait()
    assert not names["shared"]


async def test_what_is_shared_can_be_about_no_client() -> None:
    shared = Shared()

    async def handler() -> None:
        await asyncio.shield(asyncio.create_task(shared.work()))

    async def about_none() -> None:
        context = contextvars.Context()
        await asyncio.shield(asyncio.create_task(shared.work(), context=context))

    await visit(app_of(handler), leave_when=shared.begun.wait)
    shared.begun = anyio.Event()
    await visit(app_of(about_none), leave_when=shared.begun.wait)
    assert [client is None for client in shared.clients] == [False, True]
    shared.may_end.set()


class Image:
    """Takes a while to resize, and notes whether the lock around it was held to the end."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.begun = anyio.Event()
        self.ended = anyio.Event()
        self.held: list[bool] = []
        self._loop = asyncio.get_running_loop()
        self._may_end = threading.Event()

    def resize(self) -> None:
        self._loop.call_soon_threadsafe(self.begun.set)
        self._may_end.wait(5)
        self.held.append(self.lock.locked())
        self._loop.call_soon_threadsafe(self.ended.set)

    async def begins(self) -> None:
        """Return when it is at it; let it end a little later."""
        await self.begun.wait()
        self._loop.call_later(0.05, self._may_end.set)


async def left_behind(image: Image) -> None:
    async with image.lock:
        await asyncio.to_thread(image.resize)


async def left_behind_in_an_executor(image: Image) -> None:
    async with image.lock:
        await asyncio.get_running_loop().run_in_executor(None, image.resize)


async def left_behind_by_asgiref(image: Image) -> None:
    async with image.lock:
        await sync_to_async(image.resize, thread_sensitive=False)()


@pytest.mark.parametrize("shown", ["resize", "resize_by_library"])
async def test_a_lock_around_a_thread_is_held_until_it_has_ended(run_page: Run, shown: str) -> None:
    names, image = run_page(PAGE), Image()
    await visit(app_of(lambda: names[shown](image.lock, image)), leave_when=image.begins)
    assert image.held == [True]


@pytest.mark.parametrize(
    "handler", [left_behind, left_behind_in_an_executor, left_behind_by_asgiref]
)
async def test_it_is_not_where_the_thread_is_left_behind(handler: Any) -> None:
    """The page would be wrong to warn."""
    image = Image()
    await visit(app_of(lambda: handler(image)), leave_when=image.begins)
    assert not image.held
    with anyio.fail_after(5):
        await image.ended.wait()
    assert image.held == [False]


async def test_a2wsgi_loses_no_thread(run_page: Run) -> None:
    middleware = pytest.importorskip("a2wsgi").WSGIMiddleware
    run_page(PAGE)  # with the same, but for the number of threads
    loop, begun = asyncio.get_running_loop(), anyio.Event()

    def wsgi_app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("content-type", "text/plain")])
        for _ in range(30):  # more than it queues
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.001)
            yield b"line"

    app = DisconnectMiddleware(middleware(wsgi_app, workers=1), watch_after=0, cancel=False)
    for _ in range(3):
        begun = anyio.Event()
        await visit(app, leave_when=begun.wait)
    sent = await visit(app, leave_when=None)
    assert b"".join(message.get("body", b"") for message in sent) == b"line" * 30


@pytest.mark.filterwarnings("ignore:.*starlette.middleware.wsgi:DeprecationWarning")
@pytest.mark.parametrize("adapter", ["asgiref", "starlette"])
async def test_other_adapters_need_nothing(adapter: str) -> None:
    if adapter == "asgiref":
        adapt = WsgiToAsgi
    else:
        adapt = pytest.importorskip("starlette.middleware.wsgi").WSGIMiddleware
    loop, begun = asyncio.get_running_loop(), anyio.Event()

    def wsgi_app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("content-type", "text/plain")])
        for _ in range(3):
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.02)
            yield b"line"

    app = DisconnectMiddleware(adapt(wsgi_app), watch_after=0)
    for _ in range(3):
        begun = anyio.Event()
        await visit(app, leave_when=begun.wait)
    sent = await visit(app, leave_when=None)
    assert b"".join(message.get("body", b"") for message in sent) == b"line" * 3


class Keys:
    """Keys and answers, kept apart from the work; a tick for everything."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def add(self, key: str) -> bool:
        await anyio.sleep(0.01)
        return self.kept.setdefault(key, None) is None

    async def remove(self, key: str) -> None:
        await anyio.sleep(0.01)
        del self.kept[key]

    async def store(self, key: str, answer: str) -> None:
        await anyio.sleep(0.01)
        self.kept[key] = answer

    async def answer(self, key: str) -> Any:
        return self.kept[key]


async def test_a_cancelled_try_leaves_its_key_to_the_next(run_page: Run) -> None:
    names, keys, work, got = run_page(PAGE), Keys(), Shared(), []

    async def handler() -> None:
        got.append(await names["once"](keys, "key", work.work))

    await visit(app_of(handler), leave_when=work.begun.wait)
    assert keys.kept == {}
    work.may_end.set()
    for _ in range(2):
        await visit(app_of(handler), leave_when=None)
    assert got == ["done", "done"]
    assert work.times == 2


async def test_a_try_that_is_left_as_it_adds_its_key_takes_it_back(run_page: Run) -> None:
    names, work = run_page(PAGE), Shared()

    class Adding(Keys):
        def __init__(self) -> None:
            super().__init__()
            self.added = anyio.Event()

        async def add(self, key: str) -> bool:
            first = await super().add(key)
            self.added.set()
            await anyio.sleep(0.02)  # the answer is on its way
            return first

    keys = Adding()
    app = app_of(lambda: names["once"](keys, "key", work.work))
    await visit(app, leave_when=keys.added.wait)
    assert keys.kept == {}


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
