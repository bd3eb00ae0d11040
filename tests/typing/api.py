# pyright: reportUnnecessaryTypeIgnoreComment=true
"""Typical uses of the public API, and mistakes in using it: `nox -s types` has both looked at.

Nothing here runs.  mypy and pyright read it strictly, and an error that is expected is ignored in
its line.  So the session fails when a use is refused, and when a mistake passes: both report an
ignored error that is none.
"""

import asyncio
import contextlib
import logging
import math
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, assert_type

import pytest
from fastapi import FastAPI
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.datastructures import Headers as StarletteHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from asgi_disconnect import (
    ClientDisconnected,
    Disconnect,
    DisconnectMiddleware,
    DisconnectReport,
    current_disconnect,
    interrupting,
)
from asgi_disconnect.deadlines import client_deadline
from asgi_disconnect.instrumentation.access_log import AccessLogHook
from asgi_disconnect.instrumentation.errors import error_of
from asgi_disconnect.instrumentation.logging import LoggingHook
from asgi_disconnect.instrumentation.opentelemetry import OpenTelemetryHook
from asgi_disconnect.instrumentation.opentelemetry_sdk import AbandonedSpans
from asgi_disconnect.instrumentation.prometheus import PrometheusHook
from asgi_disconnect.instrumentation.sentry import SentryHook
from asgi_disconnect.testing import (
    BEHAVIOURS,
    WEBSOCKET_BEHAVIOURS,
    BlockingClient,
    BlockingWebSocketClient,
    Client,
    NeverHappened,
    Played,
    PlayedWebSocket,
    Result,
    WebSocketClient,
    WebSocketResult,
    exchange,
    websocket_exchange,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]


async def app(
    scope: Scope,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    await DisconnectMiddleware(app)(scope, receive, send)


# Around an app

guarded = DisconnectMiddleware(app)
assert_type(guarded, DisconnectMiddleware)
as_any_other: ASGIApp = guarded
DisconnectMiddleware(guarded)


def is_get(scope: Scope) -> bool:
    return bool(scope["method"] == "GET")


DisconnectMiddleware(
    app,
    cancel=False,
    grace=math.inf,
    only=is_get,
    watch_after=0,
    cleanup_timeout=2.5,
    max_memory=65536,
    max_body_size=10_000_000,
    body_timeout=30,
    buffer="whole",
    on_disconnect=None,
)
DisconnectMiddleware(app, watch_after=math.inf, cleanup_timeout=math.inf, max_memory=math.inf)
DisconnectMiddleware(app, grace=0, max_body_size=1e6, body_timeout=0.5)
DisconnectMiddleware(app, only=None, max_body_size=None, body_timeout=None, buffer="ahead")
DisconnectMiddleware(app, only=lambda scope: scope["path"].startswith("/reports"))

Starlette(middleware=[Middleware(DisconnectMiddleware), Middleware(DisconnectMiddleware, grace=5)])
Starlette().add_middleware(DisconnectMiddleware, only=is_get, cancel=True)
FastAPI().add_middleware(DisconnectMiddleware)
FastAPI().add_middleware(DisconnectMiddleware, grace=0.5, on_disconnect=LoggingHook())

DisconnectMiddleware()  # type: ignore[call-arg]
DisconnectMiddleware(app, False)  # type: ignore[call-arg]
DisconnectMiddleware(app, cancel="no")  # type: ignore[arg-type]
DisconnectMiddleware(app, grace="10")  # type: ignore[arg-type]
DisconnectMiddleware(app, grace=None)  # type: ignore[arg-type]
DisconnectMiddleware(app, only="GET")  # type: ignore[arg-type]
DisconnectMiddleware(app, only=lambda: True)  # type: ignore[arg-type,misc]
DisconnectMiddleware(app, watch_after=None)  # type: ignore[arg-type]
DisconnectMiddleware(app, cleanup_timeout="long")  # type: ignore[arg-type]
DisconnectMiddleware(app, max_memory=None)  # type: ignore[arg-type]
DisconnectMiddleware(app, max_body_size="1 MB")  # type: ignore[arg-type]
DisconnectMiddleware(app, body_timeout="30")  # type: ignore[arg-type]
DisconnectMiddleware(app, buffer="all")  # type: ignore[arg-type]
DisconnectMiddleware(app, timeout=10)  # type: ignore[call-arg]
Middleware(DisconnectMiddleware, grace="5")  # type: ignore[arg-type]
Starlette().add_middleware(DisconnectMiddleware, grace="5")  # type: ignore[arg-type]
FastAPI().add_middleware(DisconnectMiddleware, timeout=5)  # type: ignore[call-arg]

DisconnectMiddleware(app, deadline=None)
DisconnectMiddleware(app, deadline=30)
DisconnectMiddleware(app, deadline=0.5)
DisconnectMiddleware(app, deadline=client_deadline())
DisconnectMiddleware(app, deadline=lambda scope: None if scope["path"] == "/events" else 10)
Starlette(middleware=[Middleware(DisconnectMiddleware, deadline=30)])
FastAPI().add_middleware(DisconnectMiddleware, deadline=client_deadline(at_most=25))

DisconnectMiddleware(app, deadline="30")  # type: ignore[arg-type]
DisconnectMiddleware(app, deadline=lambda: 30)  # type: ignore[arg-type,misc]
DisconnectMiddleware(app, deadline=lambda scope: "30")  # type: ignore[arg-type,return-value]

assert_type(client_deadline()({}), float)
assert_type(client_deadline(at_most=math.inf)({}), float)

client_deadline(at_most="60")  # type: ignore[arg-type]
client_deadline(at_most=None)  # type: ignore[arg-type]


# Hooks


def sync_hook(report: DisconnectReport) -> None:
    assert_type(report.seconds_since_start, float)
    assert_type(report.seconds_to_end, float)
    assert_type(report.bytes_received, int)
    assert_type(report.bytes_sent, int)
    assert_type(report.status, int | None)
    assert_type(report.exception, BaseException | None)
    assert_type(error_of(report), BaseException | None)
    logging.info("%s %s: %s", report.scope["method"], report.scope["path"], report.cause)
    if report.phase == "receiving" or report.phase == "processing" or report.phase == "responding":
        logging.info(report.phase)
    if report.outcome == "overran" or report.cause == "send_error":
        logging.warning("%.1f s", report.seconds_to_end)


async def async_hook(report: DisconnectReport) -> None:
    await asyncio.sleep(0)


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, report: DisconnectReport) -> int:
        self.count += report.outcome != "told"
        return self.count


DisconnectMiddleware(app, on_disconnect=sync_hook)
DisconnectMiddleware(app, on_disconnect=async_hook)
DisconnectMiddleware(app, on_disconnect=Counter())
DisconnectMiddleware(app, on_disconnect=lambda report: logging.info(report.phase))
DisconnectMiddleware(app, on_disconnect=[sync_hook, async_hook, Counter(), LoggingHook()])
DisconnectMiddleware(app, on_disconnect=(hook for hook in (sync_hook, async_hook)))


def hook_without_report() -> None: ...


def hook_of_scopes(scope: Scope) -> None: ...


def misuse_report(report: DisconnectReport) -> None:
    report.outcome = "told"  # type: ignore[misc]
    print(report.client)  # type: ignore[attr-defined]
    print(report.status + 1)  # type: ignore[operator]
    print(report.outcome == "canceled")  # type: ignore[comparison-overlap]
    print(report.phase == "sending")  # type: ignore[comparison-overlap]
    print(report.cause == "timeout")  # type: ignore[comparison-overlap]


DisconnectMiddleware(app, on_disconnect=5)  # type: ignore[arg-type]
DisconnectMiddleware(app, on_disconnect=hook_without_report)  # type: ignore[arg-type]
DisconnectMiddleware(app, on_disconnect=hook_of_scopes)  # type: ignore[arg-type]
DisconnectMiddleware(app, on_disconnect=[hook_of_scopes])  # type: ignore[list-item]


# The hooks that it brings


def route(scope: Scope) -> str | None:
    return str(scope["route"]) if "route" in scope else None


hooks = (
    LoggingHook(logging.getLogger("abandoned"), logging.WARNING, route=route),
    PrometheusHook(CollectorRegistry(), buckets=(0.1, 1, 10), route=route),
    OpenTelemetryHook(NoOpMeterProvider(), route=route),
    PrometheusHook(),
    PrometheusHook(requests=True),
    OpenTelemetryHook(),
    SentryHook(),
    AccessLogHook(),
    AccessLogHook(logging.getLogger("access"), logging.DEBUG, status=460),
)
DisconnectMiddleware(app, on_disconnect=hooks)
TracerProvider().add_span_processor(AbandonedSpans(BatchSpanProcessor(ConsoleSpanExporter())))

AccessLogHook("access")  # type: ignore[arg-type]
LoggingHook("abandoned")  # type: ignore[arg-type]
LoggingHook(level="INFO")  # type: ignore[arg-type]
LoggingHook(route="/items")  # type: ignore[arg-type]
PrometheusHook(requests=1)  # type: ignore[arg-type]
PrometheusHook(buckets=10)  # type: ignore[arg-type]
OpenTelemetryHook(CollectorRegistry())  # type: ignore[arg-type]


# In a handler


async def close() -> None: ...


async def handler(scope: Scope) -> None:
    disconnect = current_disconnect()
    assert_type(disconnect, Disconnect)
    assert_type(current_disconnect(None), Disconnect | None)
    assert_type(disconnect.is_set(), bool)
    assert_type(disconnect.remaining(), float)
    if disconnect.cause is not None and disconnect.cause == "deadline":
        logging.info(disconnect.cause)
    if (outside := current_disconnect(None)) is not None:
        outside.ignore()

    handle = disconnect.add_callback(asyncio.Event().set)
    assert_type(handle.remove(), bool)
    disconnect.add_callback(close).remove()
    disconnect.add_callback(lambda: logging.info("left"))

    with interrupting(sqlite3.connect("")), interrupting(close), interrupting(asyncio.Event().set):
        pass

    async with disconnect.critical():
        await asyncio.sleep(0)
    with disconnect.critical():
        pass
    try:
        disconnect.raise_if_set()
        await disconnect.wait()
    except ClientDisconnected as error:
        assert_type(error.errno, int | None)
    with contextlib.suppress(OSError):
        disconnect.raise_if_set()


async def misuse_disconnect() -> None:
    disconnect = current_disconnect()
    current_disconnect(None).ignore()  # type: ignore[union-attr]
    await disconnect.is_set()  # type: ignore[misc]
    print(disconnect.cause == "timeout")  # type: ignore[comparison-overlap]
    disconnect.cause = "deadline"  # type: ignore[misc]
    disconnect.remaining(5)  # type: ignore[call-arg]
    await disconnect.ignore()  # type: ignore[func-returns-value,misc]
    disconnect.add_callback(None)  # type: ignore[arg-type]
    disconnect.add_callback(handler)  # type: ignore[arg-type]
    disconnect.add_callback(close())  # type: ignore[arg-type]
    disconnect.critical(10)  # type: ignore[call-arg]
    disconnect.cancel()  # type: ignore[attr-defined]
    async with interrupting(close):  # type: ignore[attr-defined]
        pass
    interrupting()  # type: ignore[call-arg]
    async with disconnect:  # type: ignore[attr-defined]
        pass


# In tests


async def test_async() -> None:
    async with exchange(
        guarded,
        "/book?seat=1",
        method="PUT",
        body=b"1",
        more_body=True,
        headers=[("accept", "text/plain")],
        server="hypercorn-h2",
        reading=False,
        patience=1,
        scope={"client": None},
        lifespan=True,
    ) as client:
        assert_type(client, Client)
        client.send(b"2", more_body=True)
        client.send(b"3")
        await client.until(asyncio.Event())
        await client.until(close)
        await client.until_working()
        await client.until_receiving()
        await client.until_received(3)
        await client.until_responding()
        await client.until_sent(10)
        client.stop_reading()
        client.resume_reading()
        client.fail_send()
        client.fail_send(ConnectionResetError())
        client.pass_deadline()
        client.disconnect()
        result = await client.result()
    assert_type(result, Result)
    assert_type(result.status, int | None)
    assert_type(result.body, bytes)
    assert_type(result.seconds, float)
    assert_type(result.exception, Exception | None)
    assert_type(result.report, DisconnectReport | None)
    assert result.outcome == "cancelled"


# Headers as other libraries have them, too.
exchange(app, headers={"accept": "text/plain"})
exchange(app, headers={b"accept": b"text/plain"})
exchange(app, headers=[(b"accept", b"text/plain"), ("accept", "text/html")])
exchange(app, headers=StarletteHeaders({"accept": "text/plain"}))
websocket_exchange(app, headers={"authorization": "Bearer 1"})


def test_sync(asgi_exchange: Callable[..., Played]) -> None:
    assert_type(exchange(app), Played)
    with asgi_exchange(app) as client:
        assert_type(client, BlockingClient)
        client.until_working()
    with exchange(app, backend="trio") as client:
        with pytest.raises(NeverHappened):
            client.until_sent(1)
        client.pass_deadline()
        client.disconnect()
        assert_type(client.result(), Result)
        assert_type(client.status, int | None)
        assert_type(client.headers, list[tuple[bytes, bytes]])
        assert_type(client.body, bytes)
    assert BEHAVIOURS["daphne"].whole_body


async def test_websocket() -> None:
    async with websocket_exchange(
        DisconnectMiddleware(app, websocket=True),
        "/prices?stock=ACME",
        subprotocols=["v1"],
        headers=[("authorization", "Bearer 1")],
        server="gunicorn",
        grace=0,
        patience=1,
        scope={"client": None},
        lifespan=True,
        backend="trio",
    ) as client:
        assert_type(client, WebSocketClient)
        client.send("text")
        client.send(b"bytes")
        await client.until_accepted()
        await client.until_receiving()
        await client.until_working()
        await client.until(close)
        assert_type(await client.receive(), str | bytes)
        assert_type(client.accepted, bool)
        assert_type(client.subprotocol, str | None)
        assert_type(client.headers, list[tuple[bytes, bytes]])
        assert_type(client.sent, list[str | bytes])
        client.close()
        client.close(4001, "bye")
        client.reset()
        result = await client.result()
    assert_type(result, WebSocketResult)
    assert_type(result.accepted, bool)
    assert_type(result.status, int | None)
    assert_type(result.code, int | None)
    assert_type(result.sent, list[str | bytes])
    assert_type(result.exception, Exception | None)
    assert_type(result.report, DisconnectReport | None)
    assert result.outcome == "told"


def test_blocking_websocket(asgi_websocket_exchange: Callable[..., PlayedWebSocket]) -> None:
    assert_type(websocket_exchange(app), PlayedWebSocket)
    with asgi_websocket_exchange(app) as client:
        assert_type(client, BlockingWebSocketClient)
        client.send("text")
        assert_type(client.receive(), str | bytes)
        client.reset()
        assert_type(client.result(), WebSocketResult)
    assert WEBSOCKET_BEHAVIOURS["uvicorn"].send_raises_when_gone


async def misuse_websocket_exchange() -> None:
    websocket_exchange(app, server="apache")  # type: ignore[arg-type]
    websocket_exchange(app, method="GET")  # type: ignore[call-arg]
    websocket_exchange(app, grace="0")  # type: ignore[arg-type]
    async with websocket_exchange(app) as client:
        client.send(5)  # type: ignore[arg-type]
        client.close("bye")  # type: ignore[arg-type]
        client.receive().upper()  # type: ignore[attr-defined]
        await client.reset()  # type: ignore[func-returns-value,misc]


async def misuse_exchange() -> None:
    exchange(app, server="apache")  # type: ignore[arg-type]
    exchange(app, body="1")  # type: ignore[arg-type]
    exchange(app, "/", "GET")  # type: ignore[call-arg]
    exchange(app, lifespan="on")  # type: ignore[arg-type]
    exchange(app, headers="accept: text/plain")  # type: ignore[arg-type]
    exchange(app, headers={"accept": 1})  # type: ignore[arg-type]
    exchange(app, headers=[("accept",)])  # type: ignore[list-item]
    async with exchange(app) as client:
        client.send("text")  # type: ignore[arg-type]
        client.fail_send(ValueError())  # type: ignore[arg-type]
        await client.until(True)  # type: ignore[arg-type]
        await client.disconnect()  # type: ignore[func-returns-value,misc]
        print(client.result().outcome)  # type: ignore[attr-defined]
        print((await client.result()).outcome == "left")  # type: ignore[comparison-overlap]
    with exchange(app) as blocking:
        await blocking.until_working()  # type: ignore[func-returns-value,misc]
