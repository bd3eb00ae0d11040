"""A hook's `on_end`: called when any guarded exchange has ended, and what it cannot harm."""

import logging
import time
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, DisconnectReport

from ..scripted import MORE, REQUEST, START, Server, http_scope

pytestmark = pytest.mark.anyio


class Hook:
    def __init__(self) -> None:
        self.ends: list[tuple[Any, bool]] = []
        self.seconds: list[float] = []
        self.reports: list[DisconnectReport] = []

    def __call__(self, report: DisconnectReport) -> None:
        self.reports.append(report)

    def on_end(self, scope: Any, seconds: float, complete: bool) -> None:
        self.ends.append((scope["path"], complete))
        self.seconds.append(seconds)


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body"})


async def sleeps(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep_forever()


async def test_a_complete_exchange_has_an_end_and_no_report() -> None:
    hook = Hook()
    await Server(REQUEST).run(answers, http_scope(path="/x"), on_disconnect=[print, hook])
    assert hook.ends == [("/x", True)]
    assert hook.reports == []


async def test_an_abandoned_exchange_has_both() -> None:
    hook = Hook()
    server = Server(REQUEST)
    server.leave()
    await server.run(sleeps, http_scope(path="/x"), on_disconnect=hook)
    assert hook.ends == [("/x", False)]
    (report,) = hook.reports
    assert 0 < hook.seconds[0] <= report.seconds_since_start < 5


async def test_an_exchange_that_is_answered_504_is_not_complete() -> None:
    hook = Hook()
    server = Server(REQUEST)
    await server.run(sleeps, http_scope(path="/x"), on_disconnect=hook, deadline=0.01)
    assert server.sent[0]["status"] == 504
    assert hook.ends == [("/x", False)]


async def test_a_response_for_a_client_that_has_left_is_not_complete() -> None:
    server, hook = Server(REQUEST), Hook()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await scope["asgi_disconnect"].wait()
        await answers(scope, receive, send)

    await server.run(app, http_scope(path="/x"), on_disconnect=hook, cancel=False)
    assert hook.ends == [("/x", False)]


@pytest.mark.parametrize("error", [ValueError("the app's"), KeyboardInterrupt()], ids=repr)
async def test_an_app_that_raises_has_an_end(error: BaseException) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(MORE)
        raise error

    hook = Hook()
    with pytest.raises(type(error)) as raised:
        await Server(REQUEST).run(app, http_scope(path="/x"), on_disconnect=hook)
    assert raised.value is error
    assert hook.ends == [("/x", False)]


async def test_background_tasks_are_no_part_of_its_seconds() -> None:
    answered = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answers(scope, receive, send)
        answered.append(time.monotonic())
        await anyio.sleep(0.2)

    hook = Hook()
    began = time.monotonic()
    await Server(REQUEST).run(app, on_disconnect=hook)
    assert hook.seconds[0] <= answered[0] - began


async def test_an_exchange_that_is_not_guarded_has_none() -> None:
    hook = Hook()
    await Server(REQUEST).run(answers, on_disconnect=hook, only=lambda scope: False)
    assert hook.ends == []


async def test_an_error_of_on_end_is_logged_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fails(Hook):
        def on_end(self, scope: Any, seconds: float, complete: bool) -> None:
            raise ValueError("the hook's")

    server, hook = Server(REQUEST), Hook()
    await server.run(answers, on_disconnect=[Fails(), hook])
    assert server.types == ["start", "body"]
    assert len(hook.ends) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "on_end" in record.getMessage()


async def test_it_is_looked_for_once() -> None:
    looked = []

    class Watched(Hook):
        def __getattribute__(self, name: str) -> Any:
            if name == "on_end":
                looked.append(name)
            return super().__getattribute__(name)

    app = DisconnectMiddleware(answers, on_disconnect=Watched())
    for _ in range(3):
        server = Server(REQUEST)
        await app(http_scope(), server.receive, server.send)
    assert looked == ["on_end"]


async def test_an_on_end_that_is_none_is_none() -> None:
    hook = Hook()
    hook.on_end = None  # type: ignore[method-assign, assignment]
    await Server(REQUEST).run(answers, on_disconnect=hook)
    assert hook.ends == []
