"""The middlewares that people stack: each with ours around it, and with it around ours."""

import functools
import gzip
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import Disconnect, DisconnectMiddleware, DisconnectReport, current_disconnect

from .connection import Connection, exchange, serving
from .journal import Journal

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Wrap = Callable[[Any], Any]

# Theirs


def uvicorns_proxy_headers(app: Any) -> Any:
    module = pytest.importorskip("uvicorn.middleware.proxy_headers")
    return module.ProxyHeadersMiddleware(app, trusted_hosts="*")


def hypercorns_proxy_fix(app: Any) -> Any:
    return pytest.importorskip("hypercorn.middleware").ProxyFixMiddleware(app, mode="legacy")


def hypercorns_https_redirect(app: Any) -> Any:
    module = pytest.importorskip("hypercorn.middleware")
    return module.HTTPToHTTPSRedirectMiddleware(app, host=None)


def hypercorns_dispatcher(app: Any) -> Any:
    module = pytest.importorskip("hypercorn.middleware")
    return module.DispatcherMiddleware({"/elsewhere": Starlette(), "": app})


def cors(app: Any) -> Any:
    return CORSMiddleware(app, allow_origins=["*"], allow_credentials=True)


def compression(app: Any) -> Any:
    return GZipMiddleware(app, minimum_size=0)


def sessions(app: Any) -> Any:
    pytest.importorskip("itsdangerous")
    return SessionMiddleware(app, secret_key="known")


def trusted_host(app: Any) -> Any:
    return TrustedHostMiddleware(app, allowed_hosts=["testserver"])


def correlation_id(app: Any) -> Any:
    return pytest.importorskip("asgi_correlation_id").CorrelationIdMiddleware(app)


def secure_headers(app: Any) -> Any:
    return pytest.importorskip("secure.middleware").SecureASGIMiddleware(app)


def prometheus_instrumentator(app: Any) -> Any:
    module = pytest.importorskip("prometheus_fastapi_instrumentator.middleware")
    registry = pytest.importorskip("prometheus_client").CollectorRegistry()
    return module.PrometheusInstrumentatorMiddleware(app, registry=registry)


def slow_api(app: Any, kind: str = "SlowAPIASGIMiddleware") -> Any:
    slowapi = pytest.importorskip("slowapi")
    address = pytest.importorskip("slowapi.util").get_remote_address
    limiter = slowapi.Limiter(
        key_func=address,
        default_limits=["1000/minute"],
    )
    limited = getattr(pytest.importorskip("slowapi.middleware"), kind)(app)

    async def with_limiter(scope: Any, receive: Any, send: Any) -> None:
        scope["app"].state.limiter = limiter
        await limited(scope, receive, send)

    return with_limiter


def slow_api_by_base(app: Any) -> Any:
    return slow_api(app, "SlowAPIMiddleware")


def context(app: Any, kind: str = "RawContextMiddleware") -> Any:
    plugins = pytest.importorskip("starlette_context.plugins")
    middleware = getattr(pytest.importorskip("starlette_context.middleware"), kind)
    return middleware(app, plugins=[plugins.RequestIdPlugin(), plugins.CorrelationIdPlugin()])


def context_by_base(app: Any) -> Any:
    return context(app, "ContextMiddleware")


def brotli(app: Any) -> Any:
    return pytest.importorskip("brotli_asgi").BrotliMiddleware(app, minimum_size=0)


def sentry(app: Any) -> Any:
    module = pytest.importorskip("sentry_sdk.integrations.asgi")
    return module.SentryAsgiMiddleware(app, mechanism_type="by hand")


def open_telemetry(app: Any) -> Any:
    module = pytest.importorskip("opentelemetry.instrumentation.asgi")
    metrics = pytest.importorskip("opentelemetry.sdk.metrics")
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    return module.OpenTelemetryMiddleware(
        app,
        tracer_provider=trace.TracerProvider(shutdown_on_exit=False),
        meter_provider=metrics.MeterProvider(shutdown_on_exit=False),
    )


ANYWHERE: list[Wrap] = [
    sentry,
    open_telemetry,
    uvicorns_proxy_headers,
    hypercorns_proxy_fix,
    hypercorns_https_redirect,
    hypercorns_dispatcher,
    trusted_host,
    HTTPSRedirectMiddleware,
    cors,
    compression,
    sessions,
    correlation_id,
    secure_headers,
    context,
    brotli,
    context_by_base,
]
IN_STARLETTE: list[Wrap] = [slow_api, slow_api_by_base, prometheus_instrumentator]
"""Those that look for the application in the scope."""

BY_BASE: list[Wrap] = [context_by_base, slow_api_by_base]
"""Those made from `BaseHTTPMiddleware`, which are to be inside ours (docs/frameworks/starlette.md).
"""


# Where ours is

STACKS = {
    **{theirs.__name__: [theirs] for theirs in [*ANYWHERE, *IN_STARLETTE]},
    # The first is outermost.  slowapi's ASGI one is left out: it sends a start with each piece of a
    # body, which those made from `BaseHTTPMiddleware` do not take.
    "all": [*ANYWHERE, slow_api_by_base],
}


def build(routes: list[Route], stack: list[Wrap]) -> Any:
    """Starlette in the stack, or with the end of it, from the first that is to be inside."""
    around = next((i for i, wrap in enumerate(stack) if wrap in IN_STARLETTE), len(stack))
    app = Starlette(routes=routes, middleware=[Middleware(wrap) for wrap in stack[around:]])
    return functools.reduce(lambda inner, wrap: wrap(inner), reversed(stack[:around]), app)


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("silence", "sentrys_client"),
    pytest.mark.filterwarnings("ignore:Config file '.env' not found"),  # slowapi's
    pytest.mark.parametrize(
        ("stack", "outside"),
        [
            pytest.param(stack, outside, id=f"{name}-{outside}-outside")
            for name, stack in STACKS.items()
            for outside in sorted({0, len(stack) // 2, len(stack)})
            if not any(wrap in BY_BASE for wrap in stack[:outside])
        ],
    ),
]


@pytest.fixture
def sentrys_client() -> Iterator[None]:
    """A client of Sentry's that records all, as people have it; it must not be told of an error."""
    try:
        import sentry_sdk
        from sentry_sdk.transport import Transport
    except ImportError:
        yield
        return
    told: list[Any] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            told.append(envelope)

    client = sentry_sdk.Client(
        dsn="https://key@localhost/1",
        transport=Kept,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    scope = sentry_sdk.get_global_scope()
    scope.set_client(client)
    yield
    scope.set_client(None)
    client.close()
    assert not [envelope for envelope in told if envelope.get_event() is not None]


@pytest.fixture(autouse=True)
def _where_it_runs(stack: list[Wrap], anyio_backend_name: str) -> None:
    if prometheus_instrumentator in stack and anyio_backend_name == "trio":
        pytest.skip("it calls asyncio.gather()")


class Application:
    """Three routes behind a stack, in which ours is too, with so many outside of it; or is not."""

    def __init__(self, stack: list[Wrap], outside: int | None = None) -> None:
        self.journal = Journal()
        self.own: Disconnect | None = None
        """What ours has put into the scope."""
        self.found: Disconnect | None = None
        """What the handler has found."""
        self.shields = False
        """The handler's cleanup shields itself, as it has to on trio."""
        self.reports: list[DisconnectReport] = []
        routes = [
            Route("/quick", self.quick),
            Route("/echo", self.echo, methods=["POST"]),
            Route("/slow", self.slow),
        ]
        if outside is not None:
            stack = [*stack[:outside], self._wrap, *stack[outside:]]
        self._app = build(routes, stack)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def _wrap(self, app: Any) -> Any:
        async def noting(scope: Any, receive: Any, send: Any) -> None:
            self.own = scope.get("asgi_disconnect")
            await app(scope, receive, send)

        return DisconnectMiddleware(noting, on_disconnect=self.reports.append)

    async def quick(self, request: Request) -> Response:
        if "session" in request.scope:
            request.session["visited"] = True
        self.found = current_disconnect(None)
        return JSONResponse({"url": str(request.url), "client": request.client})

    async def echo(self, request: Request) -> Response:
        self.found = current_disconnect(None)
        return Response(await request.body())

    async def slow(self, request: Request) -> Response:
        self.found = current_disconnect(None)
        self.journal.note("started")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.journal.note("cancelled")
            with anyio.CancelScope(shield=self.shields):
                for _ in range(3):
                    await checkpoint()
            self.journal.note("cleaned up")
            raise
        raise AssertionError


HEADERS = [
    (b"accept-encoding", b"br, gzip"),
    (b"origin", b"https://elsewhere.example"),
    (b"x-forwarded-for", b"192.0.2.1"),
    (b"x-request-id", b"0123456789abcdef0123456789abcdef"),
    (b"x-correlation-id", b"0123456789abcdef0123456789abcdef"),
]


def connection_to(path: str, scheme: str = "https", **request: Any) -> Connection:
    headers = [*HEADERS, (b"x-forwarded-proto", scheme.encode())]
    connection = Connection(path=path, headers=headers, **request)
    connection.scope["scheme"] = scheme
    return connection


def plain_body(connection: Connection) -> bytes:
    """The response's body, as it was before it was compressed."""
    body = connection.body
    for coding in reversed([v for name, v in connection.headers if name == b"content-encoding"]):
        if coding == b"br":
            body = pytest.importorskip("brotli").decompress(body)
        else:
            body = gzip.decompress(body)
    return body


def plain_headers(connection: Connection) -> list[tuple[bytes, bytes]]:
    """The response's headers, but for what the clock has a part in."""
    of_the_clock = {b"set-cookie", b"content-length"}  # a signature's time, and gzip's
    return sorted((n, b"" if n in of_the_clock else value) for n, value in connection.headers)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_quick_get_is_answered_as_without_ours(
    stack: list[Wrap], outside: int, scheme: str
) -> None:
    connections = [connection_to("/quick", scheme) for _ in range(2)]
    app = Application(stack, outside)
    await exchange(Application(stack), connections[0])
    await exchange(app, connections[1])
    before, after = connections
    assert after.status == before.status
    assert plain_headers(after) == plain_headers(before)
    assert plain_body(after) == plain_body(before)
    if after.status == 200:
        assert app.found is app.own is not None
    else:
        assert after.status in (307, 308)  # to https
        assert app.found is None
    assert not app.reports


async def test_a_body_is_echoed(stack: list[Wrap], outside: int) -> None:
    pieces = [b"one, " * 100, b"two, " * 100, b"three"]
    app = Application(stack, outside)
    connection = await exchange(app, connection_to("/echo", method="POST", body=pieces))
    assert connection.status == 200
    assert plain_body(connection) == b"".join(pieces)
    assert app.found is app.own is not None
    assert not app.found.is_set()


async def test_an_abandoned_handler_is_cancelled_once_and_cleans_up(
    stack: list[Wrap], outside: int, manner: str, anyio_backend_name: str
) -> None:
    app = Application(stack, outside)
    app.shields = anyio_backend_name == "trio"
    connection = connection_to("/slow", manner=manner)
    async with serving(app, connection):
        await app.journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert app.journal.notes == ["started", "cancelled", "cleaned up"]
    assert app.found is app.own is not None
    assert app.found.is_set()
    (report,) = app.reports
    assert (report.outcome, report.exception) == ("cancelled", None)
    assert not connection.sent
