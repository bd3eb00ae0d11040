"""Metrics of premature disconnects, and an event on the server's span, for OpenTelemetry.

    DisconnectMiddleware(app, on_disconnect=OpenTelemetryHook())

``pip install asgi-disconnect[opentelemetry]``, which brings the API alone; an application chooses
the SDK.

The hook is called where `DisconnectMiddleware` is, so the current span is the server's span if
OpenTelemetry's middleware is around ours: add ours as the app's outermost middleware
(``app.add_middleware(DisconnectMiddleware, ...)``, last) and instrument the app, or write
``OpenTelemetryMiddleware(DisconnectMiddleware(app, ...))``.  The other way round, the span has
ended before the hook is called: the metrics are the same, but there is no event.
"""

from collections.abc import Callable
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.trace import StatusCode

from .. import __version__
from .._report import DisconnectReport
from .._types import Scope
from ._abandoned import LEFT
from ._labels import BUCKETS, method_of
from ._routes import Route, listen_to_quart, route_of
from .errors import error_of, name_of

EVENT: Final = "asgi_disconnect.abandoned"

_MARKS: Final = ("asgi_disconnect.cause", "asgi_disconnect.outcome")

_FASTAPI: Final = "fastapi.telemetry"
"""The scope's key for the span of FastAPI's own tracing, if it is around us.

Once we have returned, it turns each span without a complete response into an error.  The SDK leaves
a status alone once it is OK.
"""

Attributes = dict[str, str | int | float]


class OpenTelemetryHook:
    """A hook that counts each report, records its times, and tells the current span.

    - ``asgi_disconnect.abandoned_requests`` (``{request}``), a counter;
    - ``asgi_disconnect.worked`` (``s``), a histogram: from the start of the exchange to the end of
      the app;
    - ``asgi_disconnect.time_to_end`` (``s``), a histogram: from the disconnect to the end of the
      app;
    - ``asgi_disconnect.errors`` (``{error}``), a counter: apps that ended with an error after the
      disconnect, by ``error.type``, the name of its class.  What frameworks raise because the
      client has left is not an error (`instrumentation.errors`);
    - ``asgi_disconnect.still_running`` (``{request}``), a counter that goes down, too: those whose
      client has left and whose app has not ended yet (since 0.2).

    With ``requests=True`` it counts every guarded request (since 0.2):

    - ``asgi_disconnect.guarded_requests`` (``{request}``), a counter: abandoned or not;
    - ``asgi_disconnect.complete`` (``s``), a histogram: from the start of the exchange to the end
      of its response, if that was complete.

    Each has the attributes ``http.request.method`` (``_OTHER`` if it is not a known one) and, if
    it is known, ``http.route``.  A WebSocket has ``network.protocol.name``, ``websocket``, instead
    of the method (since 0.2).  The first four have ``asgi_disconnect.outcome`` and
    ``asgi_disconnect.cause``, too.

    The span gets an event, ``asgi_disconnect.abandoned``, with all that the report says, and one
    for such an error, ``exception``, with its traceback; its status stays unset, because a client
    that leaves is not a server error.  FastAPI's own tracing would make it an error, so its span
    gets the status OK (since 0.2).  The span also has the attributes ``asgi_disconnect.cause`` and
    ``asgi_disconnect.outcome`` (since 0.2).

    For spans inside our middleware, use `opentelemetry_sdk.AbandonedSpans`.

    Since 0.1.

    :param meter_provider: whose meter to use; the global one's by default.
    :param requests: whether to count all guarded requests, too (default: no), which costs each some
        microseconds, and on Django another resolution of its path.  Since 0.2.
    :param route: takes the scope, and returns the template of the route that was taken, or None;
        by default, what Starlette, FastAPI, Litestar, Quart and Django say.
    """

    def __init__(
        self,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        requests: bool = False,
        route: Route = route_of,
    ) -> None:
        self.on_end: Callable[[Scope, float, bool], None] | None = None
        """Called at the end of every guarded exchange, if `requests` is true."""
        self._route = route
        self._running: dict[int, Attributes] = {}
        """The attributes of abandoned requests that still run, by the `id()` of their scopes."""
        listen_to_quart()
        meter = metrics.get_meter("asgi_disconnect", __version__, meter_provider)
        self._abandoned = meter.create_counter(
            "asgi_disconnect.abandoned_requests",
            unit="{request}",
            description="Requests that ended before their response was complete.",
        )
        self._errors = meter.create_counter(
            "asgi_disconnect.errors",
            unit="{error}",
            description="Abandoned requests whose app ended with an error.",
        )
        self._worked = meter.create_histogram(
            "asgi_disconnect.worked",
            unit="s",
            description="From the start of an abandoned request to the end of the app.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._time_to_end = meter.create_histogram(
            "asgi_disconnect.time_to_end",
            unit="s",
            description="From the disconnect to the end of the app.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._still_running = meter.create_up_down_counter(
            "asgi_disconnect.still_running",
            unit="{request}",
            description="Abandoned requests whose app has not ended yet.",
        )
        if requests:
            self._guarded = meter.create_counter(
                "asgi_disconnect.guarded_requests",
                unit="{request}",
                description="Requests that have ended, abandoned or not.",
            )
            self._complete = meter.create_histogram(
                "asgi_disconnect.complete",
                unit="s",
                description="From the start of a request to the end of its complete response.",
                explicit_bucket_boundaries_advisory=BUCKETS,
            )
            self.on_end = self._count

    def __call__(self, report: DisconnectReport) -> None:
        """Count `report`, and add it to the current span."""
        attributes: Attributes = {
            "asgi_disconnect.outcome": report.outcome,
            "asgi_disconnect.cause": report.cause,
            **self._attributes_of(report.scope),
        }
        self._abandoned.add(1, attributes)
        self._worked.record(report.seconds_since_start, attributes)
        self._time_to_end.record(report.seconds_to_end, attributes)
        error = error_of(report)
        if error is not None:
            self._errors.add(1, {**attributes, "error.type": name_of(error)})
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes({key: attributes[key] for key in _MARKS})
            if error is not None:
                span.record_exception(error)
            elif report.cause in LEFT and report.scope.get(_FASTAPI) is not None:
                span.set_status(StatusCode.OK)
            span.add_event(EVENT, {**attributes, **_details(report)})

    def on_leave(self, scope: Scope) -> None:
        """The client has left, and the app is running.  Since 0.2."""
        attributes = self._running[id(scope)] = self._attributes_of(scope)
        self._still_running.add(1, attributes)

    def on_stop(self, scope: Scope) -> None:
        """The app has ended after that.  Since 0.2."""
        attributes = self._running.pop(id(scope), None)
        if attributes is not None:
            self._still_running.add(-1, attributes)

    def _count(self, scope: Scope, seconds: float, complete: bool) -> None:
        attributes = self._attributes_of(scope)
        self._guarded.add(1, attributes)
        if complete:
            self._complete.record(seconds, attributes)

    def _attributes_of(self, scope: Scope) -> Attributes:
        attributes = _kind_of(scope)
        route = self._route(scope)
        return attributes if route is None else {**attributes, "http.route": route}


def _kind_of(scope: Scope) -> Attributes:
    if scope.get("type") == "websocket":
        return {"network.protocol.name": "websocket"}
    return {"http.request.method": method_of(scope)}


def _details(report: DisconnectReport) -> Attributes:
    """What one span can have, but would give a metric too many series."""
    details: Attributes = {
        "asgi_disconnect.phase": report.phase,
        "asgi_disconnect.worked": report.seconds_since_start,
        "asgi_disconnect.time_to_end": report.seconds_to_end,
        "error.type": report.cause,
    }
    if report.scope.get("type") == "websocket":
        details["asgi_disconnect.bytes_received"] = report.bytes_received
        details["asgi_disconnect.bytes_sent"] = report.bytes_sent
    else:
        details["http.request.body.size"] = report.bytes_received
        details["http.response.body.size"] = report.bytes_sent
    if report.code is not None:
        details["asgi_disconnect.code"] = report.code
    if report.exception is not None:
        details["exception.type"] = name_of(report.exception)
    if report.status is not None:
        details["http.response.status_code"] = report.status
    return details
