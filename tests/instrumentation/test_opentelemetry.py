"""The hook for OpenTelemetry, with the SDK and with OpenTelemetry's own ASGI middleware."""

from typing import Any

import pytest

from .exchanges import (
    answers,
    fails,
    pushes,
    serve,
    serve_around,
    serve_websocket,
    serve_websocket_around,
    streams,
    works,
)

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.instrumentation.asgi")

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from asgi_disconnect.instrumentation.opentelemetry import OpenTelemetryHook

pytestmark = pytest.mark.anyio


class Meters:
    """A provider of meters, and what was measured."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def read(self) -> dict[str, Any]:
        """The metrics by name."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def meters() -> Meters:
    return Meters()


class Spans:
    """A provider of tracers, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def instrument(self, app: Any) -> Any:
        """OpenTelemetry's middleware around `app`."""
        return OpenTelemetryMiddleware(app, tracer_provider=self.provider)

    def server_span(self) -> ReadableSpan:
        (span,) = (s for s in self._exporter.get_finished_spans() if s.kind is SpanKind.SERVER)
        return span


@pytest.fixture
def spans() -> Spans:
    return Spans()


SCOPE: dict[str, Any] = {
    "path": "/orders/42",
    "raw_path": b"/orders/42",
    "query_string": b"",
    "scheme": "http",
    "server": ("127.0.0.1", 80),
}


def template(scope: Any) -> str:
    return "/orders/{order}"


async def test_disconnects_are_counted_by_outcome_and_cause(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider)
    await serve(works, hook)
    await serve(works, hook)
    metric = meters.read()["asgi_disconnect.abandoned_requests"]
    (point,) = metric.data.data_points
    assert metric.unit == "{request}"
    assert point.value == 2
    assert dict(point.attributes) == {
        "asgi_disconnect.outcome": "cancelled",
        "asgi_disconnect.cause": "disconnect",
        "http.request.method": "GET",
    }


async def test_errors_are_counted_by_their_class(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider)
    await serve(fails(ValueError("one")), hook)
    await serve(fails(ValueError("two")), hook)
    await serve(fails(ConnectionResetError()), hook)  # no error, but the end of a connection
    await serve(works, hook)
    metric = meters.read()["asgi_disconnect.errors"]
    (point,) = metric.data.data_points
    assert metric.unit == "{error}"
    assert point.value == 2
    assert dict(point.attributes) == {
        "asgi_disconnect.outcome": "cancelled",
        "asgi_disconnect.cause": "disconnect",
        "http.request.method": "GET",
        "error.type": "ValueError",
    }


async def test_times_are_recorded_in_seconds(meters: Meters) -> None:
    await serve(works, OpenTelemetryHook(meters.provider, route=template), **SCOPE)
    for name in ("asgi_disconnect.worked", "asgi_disconnect.time_to_end"):
        metric = meters.read()[name]
        (point,) = metric.data.data_points
        assert metric.unit == "s"
        assert point.count == 1
        assert 0 < point.sum < 5
        assert point.explicit_bounds[0] < 0.1 < point.explicit_bounds[-1]
        assert point.attributes["http.route"] == "/orders/{order}"


async def test_a_completed_exchange_is_not_counted(meters: Meters) -> None:
    await serve(answers, OpenTelemetryHook(meters.provider))
    assert "asgi_disconnect.abandoned_requests" not in meters.read()


async def test_clients_cannot_make_series_of_their_own(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider)
    for number in range(5):
        await serve(works, hook, path=f"/orders/{number}", method=f"METHOD{number}")
    (point,) = meters.read()["asgi_disconnect.abandoned_requests"].data.data_points
    assert point.attributes["http.request.method"] == "_OTHER"
    assert point.value == 5


async def test_the_servers_span_gets_an_event(meters: Meters, spans: Spans) -> None:
    hook = OpenTelemetryHook(meters.provider, route=template)
    await serve_around(spans.instrument, streams, hook, **SCOPE)
    (event,) = spans.server_span().events
    attributes = dict(event.attributes or {})
    assert event.name == "asgi_disconnect.abandoned"
    for name in ("asgi_disconnect.worked", "asgi_disconnect.time_to_end"):
        seconds = attributes.pop(name)
        assert isinstance(seconds, float)
        assert 0 <= seconds < 5
    assert attributes == {
        "asgi_disconnect.outcome": "cancelled",
        "asgi_disconnect.cause": "disconnect",
        "asgi_disconnect.phase": "responding",
        "error.type": "disconnect",
        "http.request.method": "GET",
        "http.request.body.size": 0,
        "http.response.body.size": 1,
        "http.response.status_code": 202,
        "http.route": "/orders/{order}",
    }


async def test_an_error_is_recorded_on_the_servers_span(meters: Meters, spans: Spans) -> None:
    app = fails(ValueError("the bug"))
    await serve_around(spans.instrument, app, OpenTelemetryHook(meters.provider), **SCOPE)
    recorded, event = spans.server_span().events
    attributes = dict(recorded.attributes or {})
    assert recorded.name == "exception"
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "the bug"
    assert "raise error" in str(attributes["exception.stacktrace"])
    assert event.name == "asgi_disconnect.abandoned"
    assert (event.attributes or {})["exception.type"] == "ValueError"


async def test_another_way_to_end_is_in_the_event_alone(meters: Meters, spans: Spans) -> None:
    app = fails(ConnectionResetError())
    await serve_around(spans.instrument, app, OpenTelemetryHook(meters.provider), **SCOPE)
    (event,) = spans.server_span().events
    assert (event.attributes or {})["exception.type"] == "ConnectionResetError"


@pytest.mark.parametrize("app", [works, streams])
async def test_the_servers_span_is_no_error(meters: Meters, spans: Spans, app: Any) -> None:
    await serve_around(spans.instrument, app, OpenTelemetryHook(meters.provider), **SCOPE)
    span = spans.server_span()
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in (span.attributes or {})


async def test_a_span_that_has_ended_is_left_alone(meters: Meters, spans: Spans) -> None:
    """OpenTelemetry's middleware inside of ours."""
    await serve(spans.instrument(works), OpenTelemetryHook(meters.provider), **SCOPE)
    span = spans.server_span()
    assert not span.events
    assert span.status.status_code is StatusCode.UNSET
    assert "asgi_disconnect.abandoned_requests" in meters.read()


async def test_those_that_run_on_without_their_client_are_counted(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider, route=template)
    running: list[int] = []

    def still_running() -> Any:
        (point,) = meters.read()["asgi_disconnect.still_running"].data.data_points
        assert point.attributes == {"http.request.method": "GET", "http.route": "/orders/{order}"}
        return point.value

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await works(scope, receive, send)
        finally:
            running.append(still_running())

    await serve(app, hook)
    assert running == [1]
    assert still_running() == 0


async def test_all_requests_are_counted_if_asked_for(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider, requests=True, route=template)
    await serve(answers, hook, leaves=False)
    await serve(answers, hook, leaves=False)
    await serve(works, hook)
    found = meters.read()
    attributes = {"http.request.method": "GET", "http.route": "/orders/{order}"}
    (guarded,) = found["asgi_disconnect.guarded_requests"].data.data_points
    assert (guarded.value, guarded.attributes) == (3, attributes)
    (complete,) = found["asgi_disconnect.complete"].data.data_points
    assert (complete.count, complete.attributes) == (2, attributes)
    assert 0 < complete.sum < 5


async def test_all_requests_are_counted_only_if_asked_for(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider)
    assert hook.on_end is None
    await serve(works, hook)
    assert "asgi_disconnect.guarded_requests" not in meters.read()


async def test_without_an_sdk_nothing_happens() -> None:
    await serve(works, OpenTelemetryHook())


SOCKET: dict[str, Any] = {**SCOPE, "path": "/prices/ACME", "raw_path": b"/prices/ACME"}
SOCKET["scheme"] = "ws"


async def test_websockets_are_counted_by_their_protocol(meters: Meters) -> None:
    hook = OpenTelemetryHook(meters.provider, route=lambda scope: "/prices/{stock}")
    await serve_websocket(pushes, hook, **SOCKET)
    for name in ("abandoned_requests", "worked", "time_to_end"):
        (point,) = meters.read()[f"asgi_disconnect.{name}"].data.data_points
        assert dict(point.attributes) == {
            "asgi_disconnect.outcome": "cancelled",
            "asgi_disconnect.cause": "disconnect",
            "network.protocol.name": "websocket",
            "http.route": "/prices/{stock}",
        }


async def test_the_span_of_a_websocket_gets_an_event_with_its_close_code(
    meters: Meters, spans: Spans
) -> None:
    hook = OpenTelemetryHook(meters.provider)
    await serve_websocket_around(spans.instrument, pushes, hook, **SOCKET)
    (event,) = spans.server_span().events
    attributes = dict(event.attributes or {})
    for name in ("asgi_disconnect.worked", "asgi_disconnect.time_to_end"):
        assert isinstance(attributes.pop(name), float)
    assert attributes == {
        "asgi_disconnect.outcome": "cancelled",
        "asgi_disconnect.cause": "disconnect",
        "asgi_disconnect.phase": "connected",
        "asgi_disconnect.bytes_received": 5,
        "asgi_disconnect.bytes_sent": 4,
        "asgi_disconnect.code": 1001,
        "error.type": "disconnect",
        "network.protocol.name": "websocket",
    }
    assert spans.server_span().status.status_code is StatusCode.UNSET
