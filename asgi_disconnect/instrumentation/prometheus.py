"""Metrics of premature disconnects for Prometheus, with `prometheus_client`.

    DisconnectMiddleware(app, on_disconnect=PrometheusHook())

``pip install asgi-disconnect[prometheus]``.
"""

from collections.abc import Callable, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from .._report import DisconnectReport
from .._types import Scope
from ._labels import BUCKETS, method_of
from ._routes import Route, listen_to_quart, route_of
from .errors import error_of, name_of


class PrometheusHook:
    """A hook that counts each report and observes its times.

    - ``asgi_disconnect_abandoned_requests_total``, by `outcome`, `cause`, `method` and `route`;
    - ``asgi_disconnect_worked_seconds``: from the start of the exchange to the end of the app,
      by `outcome`, `method` and `route`;
    - ``asgi_disconnect_time_to_end_seconds``: from the disconnect to the end of the app, by the
      same;
    - ``asgi_disconnect_errors_total``: apps that ended with an error after the disconnect, by
      `exception`, which is the name of a class, `outcome`, `method` and `route`.  What frameworks
      raise because the client has left is not an error (`instrumentation.errors`);
    - ``asgi_disconnect_still_running``, a gauge: those whose client has left and whose app has not
      ended yet, by `method` and `route` (since 0.2).

    With ``requests=True`` it counts every guarded request, so that you can compute shares, and
    observes how long complete ones take, so that you can estimate what was saved (since 0.2):

    - ``asgi_disconnect_guarded_requests_total``, by `method` and `route`, abandoned or not;
    - ``asgi_disconnect_complete_seconds``: from the start of the exchange to the end of its
      response, if that was complete, by `method` and `route`.

    The method is ``_OTHER`` if it is unknown, and ``WEBSOCKET`` for a WebSocket (since 0.2); an
    unknown route is empty.  One hook may serve several middlewares, but `prometheus_client` rejects
    two hooks in one registry.

    Since 0.1.

    :param registry: where the metrics are registered; `prometheus_client.REGISTRY` by default.
    :param buckets: the histograms' upper bounds in seconds.
    :param requests: whether to count all guarded requests, too (default: no), which costs each some
        microseconds, and on Django another resolution of its path.  Since 0.2.
    :param route: takes the scope, and returns the template of the route that was taken, or None;
        by default, what Starlette, FastAPI, Litestar, Quart and Django say.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        buckets: Sequence[float] = BUCKETS,
        requests: bool = False,
        route: Route = route_of,
    ) -> None:
        self.on_end: Callable[[Scope, float, bool], None] | None = None
        """Called at the end of every guarded exchange, if `requests` is true."""
        self._route = route
        self._running: dict[int, tuple[str, str]] = {}
        """The labels of abandoned requests that still run, by the `id()` of their scopes."""
        listen_to_quart()
        labels = ("outcome", "method", "route")
        self._abandoned = Counter(
            "asgi_disconnect_abandoned_requests",
            "Requests that ended before their response was complete.",
            ("cause", *labels),
            registry=registry,
        )
        self._errors = Counter(
            "asgi_disconnect_errors",
            "Abandoned requests whose app ended with an error.",
            ("exception", *labels),
            registry=registry,
        )
        self._worked = Histogram(
            "asgi_disconnect_worked_seconds",
            "From the start of an abandoned request to the end of the app.",
            labels,
            registry=registry,
            buckets=buckets,
        )
        self._time_to_end = Histogram(
            "asgi_disconnect_time_to_end_seconds",
            "From the disconnect to the end of the app.",
            labels,
            registry=registry,
            buckets=buckets,
        )
        self._still_running = Gauge(
            "asgi_disconnect_still_running",
            "Abandoned requests whose app has not ended yet.",
            ("method", "route"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        if requests:
            self._guarded = Counter(
                "asgi_disconnect_guarded_requests",
                "Requests that have ended, abandoned or not.",
                ("method", "route"),
                registry=registry,
            )
            self._complete = Histogram(
                "asgi_disconnect_complete_seconds",
                "From the start of a request to the end of its complete response.",
                ("method", "route"),
                registry=registry,
                buckets=buckets,
            )
            self.on_end = self._count

    def __call__(self, report: DisconnectReport) -> None:
        """Count `report`."""
        labels = (report.outcome, *self._labels_of(report.scope))
        self._abandoned.labels(report.cause, *labels).inc()
        error = error_of(report)
        if error is not None:
            self._errors.labels(name_of(error), *labels).inc()
        self._worked.labels(*labels).observe(report.seconds_since_start)
        self._time_to_end.labels(*labels).observe(report.seconds_to_end)

    def on_leave(self, scope: Scope) -> None:
        """The client has left, and the app is running.  Since 0.2."""
        labels = self._running[id(scope)] = self._labels_of(scope)
        self._still_running.labels(*labels).inc()

    def on_stop(self, scope: Scope) -> None:
        """The app has ended after that.  Since 0.2."""
        labels = self._running.pop(id(scope), None)
        if labels is not None:
            self._still_running.labels(*labels).dec()

    def _labels_of(self, scope: Scope) -> tuple[str, str]:
        return method_of(scope), self._route(scope) or ""

    def _count(self, scope: Scope, seconds: float, complete: bool) -> None:
        labels = self._labels_of(scope)
        self._guarded.labels(*labels).inc()
        if complete:
            self._complete.labels(*labels).observe(seconds)
