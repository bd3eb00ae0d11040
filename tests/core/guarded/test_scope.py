"""Which exchanges are guarded, and what happens to the scope (contract §1)."""

import asyncio
import copy
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest

from asgi_disconnect import Disconnect, DisconnectMiddleware, current_disconnect
from asgi_disconnect._guards import choice as guards

from ..scripted import LAST, REQUEST, START, Server, http_scope, ticks

pytestmark = pytest.mark.anyio


async def answer(scope: Any, receive: Any, send: Any) -> str:
    assert await receive() == REQUEST
    await send(START)
    await send(LAST)
    return "returned"


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


async def test_the_scope_is_copied_before_anything_is_added() -> None:
    scope = http_scope(state={"shared": 1}, extensions={})
    before = dict(scope)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await Server().run(app, scope)
    assert scope == before
    assert seen[0] is not scope
    assert seen[0]["headers"] is scope["headers"]
    assert seen[0]["state"] is scope["state"]
    assert set(seen[0]) - set(scope) == {"asgi_disconnect"}


@pytest.mark.parametrize("watch_after", [0, 1000])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
async def test_a_copy_of_the_scope_holds_the_very_same_disconnect(
    duplicate: Callable[[Any], Any], watch_after: float
) -> None:
    """As middlewares copy it: hypercorn's ProxyFix deeply."""
    server = Server(REQUEST)
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(duplicate(scope))
        assert kept[0] == scope
        assert kept[0] is not scope
        assert kept[0]["asgi_disconnect"] is current_disconnect()
        await ticks(10)  # the middleware watches by now, and has more that could be copied
        kept.append(duplicate(kept[0]))
        server.leave()
        await kept[1]["asgi_disconnect"].wait()

    await server.run(app, http_scope(headers=iter([(b"a", b"1")])), watch_after=watch_after)
    first, second = kept
    assert isinstance(second["asgi_disconnect"], Disconnect)
    assert duplicate(second)["asgi_disconnect"] is first["asgi_disconnect"]
    assert duplicate(first["asgi_disconnect"]) is first["asgi_disconnect"]
    assert first["asgi_disconnect"].is_set()


@pytest.mark.parametrize(
    "headers",
    [
        lambda: iter([(b"a", b"1"), (b"b", b"2")]),
        lambda: (iter(pair) for pair in [(b"a", b"1"), (b"b", b"2")]),
        lambda: [iter([b"a", b"1"]), iter([b"b", b"2"])],
    ],
)
async def test_headers_good_for_one_pass_can_be_read_by_the_app(headers: Any) -> None:
    seen: list[Any] = []

    def only(scope: Any) -> bool:
        seen.append([tuple(pair) for pair in scope["headers"]])
        return True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(5)  # by now the middleware has looked for "expect"
        seen.append([tuple(pair) for pair in scope["headers"]])
        seen.append([tuple(pair) for pair in scope["headers"]])

    await Server().run(app, http_scope(headers=headers()), only=only)
    assert seen == [[(b"a", b"1"), (b"b", b"2")]] * 3


async def test_what_a_scope_may_leave_out_is_not_missed() -> None:
    server = Server(REQUEST)
    assert await server.run(answer, {"type": "http"}) == "returned"
    assert server.types == ["start", "body"]


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


class Instance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> str:
        return await answer(scope, receive, send)


class Endpoint:
    """As Starlette's are: called with all three, and then awaited."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.arguments = scope, receive, send

    def __await__(self) -> Any:
        return answer(*self.arguments).__await__()


class Loose(Endpoint):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments)


class WithoutSignature(Instance):
    """As callables that are written in C may be."""

    __signature__ = 5


class Double:
    def __init__(self, scope: Any) -> None:
        assert scope["type"] == "http"

    async def __call__(self, receive: Any, send: Any) -> str:
        return await answer({}, receive, send)


class LooseDouble(Double):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)


def plain(scope: Any, receive: Any, send: Any) -> Any:
    return answer(scope, receive, send)


def double(scope: Any) -> Any:
    return functools.partial(answer, scope)


class Marked(Instance):
    """As asgiref marks what it has adapted, whatever its signature says."""

    _asgi_single_callable = True
    __signature__ = inspect.signature(Double)


async def extra(first: Any, scope: Any, receive: Any, send: Any) -> str:
    return await answer(scope, receive, send)


@pytest.mark.parametrize(
    "app",
    [
        answer,
        plain,
        Instance(),
        Instance().__call__,
        Marked(),
        WithoutSignature(),
        Endpoint,
        Loose,
        functools.partial(answer),
        functools.partial(Instance()),
        functools.partial(extra, 1),
        lambda *arguments: answer(*arguments),
        DisconnectMiddleware(answer),
        Double,
        LooseDouble,
        double,
        functools.partial(double),
    ],
)
async def test_any_asgi_callable_is_wrapped(app: Any) -> None:
    server = Server(REQUEST)
    assert await server.run(app) == "returned"
    assert server.types == ["start", "body"]


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
