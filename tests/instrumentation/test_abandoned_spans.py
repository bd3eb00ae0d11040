"""Spans of abandoned requests, with FastAPI's own tracing and OpenTelemetry's instrumentations.

Each of them around our middleware, and inside of it.
"""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.instrumentation.opentelemetry import OpenTelemetryHook
from asgi_disconnect.instrumentation.opentelemetry_sdk import AbandonedSpans

from .exchanges import serve, works
from .traced import PATHS, application, visit

pytestmark = pytest.mark.anyio

UNTRACED: dict[str, Any] = {"telemetry": {"tracing": False, "metrics": False, "logs": False}}


class Spans:
    """A provider of tracers, and the spans that have ended."""

    def __init__(self, around: Callable[[SpanProcessor], SpanProcessor] = AbandonedSpans) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(around(SimpleSpanProcessor(self._exporter)))

    def ended(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def errors(self) -> list[ReadableSpan]:
        return [span for span in self.ended() if span.status.status_code is StatusCode.ERROR]

    def server_span(self) -> ReadableSpan:
        (span,) = (span for span in self.ended() if span.kind is SpanKind.SERVER)
        return span


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def guarded(app: Any) -> DisconnectMiddleware:
    return DisconnectMiddleware(app, watch_after=0, on_disconnect=OpenTelemetryHook())


def natively(provider: TracerProvider) -> Any:
    return application(telemetry={"tracer_provider": provider, "metrics": False, "logs": False})


def native_inside(provider: TracerProvider) -> Any:
    return guarded(natively(provider))


def native_outside(provider: TracerProvider) -> Any:
    app = natively(provider)
    app.add_middleware(DisconnectMiddleware, watch_after=0, on_disconnect=OpenTelemetryHook())
    return app


def asgi_inside(provider: TracerProvider) -> Any:
    return guarded(OpenTelemetryMiddleware(application(**UNTRACED), tracer_provider=provider))


def asgi_outside(provider: TracerProvider) -> Any:
    return OpenTelemetryMiddleware(guarded(application(**UNTRACED)), tracer_provider=provider)


def instrumented(provider: TracerProvider, app: Any) -> Any:
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def fastapi_inside(provider: TracerProvider) -> Any:
    return guarded(instrumented(provider, application(**UNTRACED)))


def fastapi_outside(provider: TracerProvider) -> Any:
    app = application(**UNTRACED)
    app.add_middleware(DisconnectMiddleware, watch_after=0, on_disconnect=OpenTelemetryHook())
    return instrumented(provider, app)


INSIDE = [native_inside, asgi_inside, fastapi_inside]
OUTSIDE = [native_outside, asgi_outside, fastapi_outside]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("traced", [*INSIDE, *OUTSIDE])
async def test_an_abandoned_request_is_no_error_and_is_marked(traced: Any, path: str) -> None:
    spans = Spans()
    await visit(traced(spans.provider), path)
    assert not spans.errors()
    assert attributes_of(spans.server_span())["asgi_disconnect.cause"] == "disconnect"
    assert not any("error.type" in attributes_of(span) for span in spans.ended())


async def test_the_hook_alone_keeps_fastapis_own_span_from_being_an_error() -> None:
    spans = Spans(around=lambda processor: processor)
    await visit(native_outside(spans.provider), "/works")
    span = spans.server_span()
    assert span.status.status_code is StatusCode.OK
    assert attributes_of(span)["asgi_disconnect.cause"] == "disconnect"
    assert attributes_of(span)["asgi_disconnect.outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("traced", "path", "errors"),
    [
        (native_inside, "/works", {"asyncio.exceptions.CancelledError", "trio.Cancelled"}),
        (native_inside, "/reads", {"starlette.requests.ClientDisconnect"}),
        (native_inside, "/streams", {"ConnectionError"}),
        (asgi_inside, "/works", set()),
        (asgi_inside, "/reads", {None}),
        (asgi_outside, "/works", set()),
        (asgi_outside, "/reads", {None}),
        (fastapi_inside, "/works", set()),
        (fastapi_inside, "/reads", {None}),
        (fastapi_outside, "/works", set()),
        (fastapi_outside, "/reads", set()),
    ],
)
async def test_what_is_an_error_without_it(traced: Any, path: str, errors: set[Any]) -> None:
    """Facts of the libraries, which the guide has in a table."""
    spans = Spans(around=lambda processor: processor)
    await visit(traced(spans.provider), path)
    found = [attributes_of(span).get("error.type") for span in spans.errors()]
    assert bool(found) == bool(errors)
    assert set(found) <= errors


@pytest.mark.parametrize("traced", INSIDE)
async def test_a_bug_in_the_cleanup_stays_an_error(traced: Any, anyio_backend_name: str) -> None:
    spans = Spans()
    await visit(traced(spans.provider), "/fails")
    assert spans.errors()
    if anyio_backend_name == "asyncio":  # trio cancels its answer, which ends the outer spans
        assert spans.server_span() in spans.errors()
    assert attributes_of(spans.server_span())["asgi_disconnect.cause"] == "disconnect"


async def test_a_bug_in_the_cleanup_stays_an_error_of_fastapis_span_around_us() -> None:
    for around in (AbandonedSpans, lambda processor: processor):
        spans = Spans(around)
        await visit(native_outside(spans.provider), "/fails")
        assert spans.server_span() in spans.errors()


@pytest.mark.parametrize("traced", [*INSIDE, *OUTSIDE])
async def test_a_request_that_was_answered_is_handed_on_as_it_is(traced: Any) -> None:
    spans, before = Spans(), Spans(around=lambda processor: processor)
    for each in (spans, before):
        await visit(traced(each.provider), "/answers")
    for span, expected in zip(spans.ended(), before.ended(), strict=True):
        assert attributes_of(span) == attributes_of(expected)
        assert span.status.status_code is expected.status.status_code


async def test_a_failure_that_is_not_the_departures_stays_one() -> None:
    """What the cleanup calls has failed, and no exception says so."""
    spans = Spans()
    tracer = trace.get_tracer("test", tracer_provider=spans.provider)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await anyio.sleep_forever()
        finally:
            with tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as span:
                span.set_status(StatusCode.ERROR, "busy")
                span.set_attribute("error.type", "503")

    await serve(app, OpenTelemetryHook())
    (span,) = spans.ended()
    assert spans.errors() == [span]
    assert span.status.description == "busy"
    assert attributes_of(span) == {"error.type": "503", "asgi_disconnect.cause": "disconnect"}


async def test_a_deadline_that_passes_is_an_error_as_before() -> None:
    spans = Spans()
    app = natively(spans.provider)
    await serve(app, OpenTelemetryHook(), leaves=False, deadline=0.01, path="/works", **REST)
    assert "asgi_disconnect.cause" not in attributes_of(spans.server_span())
    assert spans.errors() == [spans.server_span()]


REST: dict[str, Any] = {"query_string": b"", "root_path": "", "scheme": "http"}


async def test_all_of_the_span_is_kept() -> None:
    spans, before = Spans(), Spans(around=lambda processor: processor)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        links = [trace.Link(trace.SpanContext(1, 2, is_remote=True))]
        for each in (spans, before):
            tracer = trace.get_tracer("test", "1.2", tracer_provider=each.provider)
            span = tracer.start_span("work", kind=SpanKind.CLIENT, links=links, start_time=1)
            span.set_attribute("one", 1)
            span.add_event("event", {"two": 2}, timestamp=2)
            started.append(span)
        try:
            await works(scope, receive, send)
        finally:
            for span in started:
                span.end(3)

    started: list[trace.Span] = []
    await serve(app, OpenTelemetryHook())
    (span,), (expected,) = spans.ended(), before.ended()
    assert attributes_of(span) == {"one": 1, "asgi_disconnect.cause": "disconnect"}
    for name in ("name", "kind", "parent", "start_time", "end_time", "links"):
        assert getattr(span, name) == getattr(expected, name)
    assert span.instrumentation_scope == expected.instrumentation_scope
    assert span.resource.attributes == expected.resource.attributes
    assert span.context == started[0].get_span_context()
    assert [event.name for event in span.events] == ["event"]


async def test_the_other_processor_is_flushed_and_shut_down() -> None:
    calls: list[str] = []

    class Other(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            calls.append("start")

        def shutdown(self) -> None:
            calls.append("shutdown")

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            calls.append(f"flush {timeout_millis}")
            return False

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AbandonedSpans(Other()))
    provider.get_tracer("test").start_span("work")
    assert not provider.force_flush(5)
    provider.shutdown()
    assert calls[0] == "start"
    assert calls[1].startswith("flush ")
    assert calls[2] == "shutdown"
