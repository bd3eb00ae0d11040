"""`exchange()`: one exchange with an app, from its first message to its end."""

import contextlib
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import start_blocking_portal

from .._application import as_single_callable
from .._report import observers
from .._types import App, Scope
from ._behaviours import Behaviour, ServerName, behaviour_of
from ._blocking import BlockingClient
from ._client import Client
from ._server import PlayedServer


def exchange(
    app: Any,
    path: str = "/",
    *,
    method: str | None = None,
    body: bytes = b"",
    more_body: bool = False,
    headers: Iterable[tuple[str, str]] = (),
    server: ServerName = "uvicorn",
    reading: bool = True,
    patience: float = 5.0,
    scope: Mapping[str, Any] | None = None,
    backend: str = "asyncio",
) -> "Played":
    """One HTTP exchange with an app, whose client and server are played by the test.

    ``async with`` gives a `Client`; ``with`` gives a `BlockingClient`, and runs the app in another
    thread's event loop.  At the end of the block the client leaves, if it has not, and the app is
    seen to its end.  The app is any ASGI application, with or without `DisconnectMiddleware`.

    :param app: the ASGI application.  Its lifespan is not run.
    :param path: the path, with the query string if there is one, percent-encoded where need be.
    :param method: the method (default: POST with a body, GET without).
    :param body: the request's body, or its first piece.
    :param more_body: whether more pieces follow, by `Client.send`.
    :param headers: more headers of the request, in pairs.
    :param server: the server to behave as.
    :param reading: whether the client takes what is sent to it; if not, `send()` waits once the
        server's buffers are full, as after `Client.stop_reading`.
    :param patience: seconds that anything may take that is waited for (default 5).  An app that
        still runs so long after its client has left is cancelled, and has overrun.
    :param scope: keys to put into the connection scope, instead of what the server would give.
    :param backend: for ``with``: what the app runs on, ``"asyncio"`` or ``"trio"``.
    :raises TypeError: if `app` is no ASGI application.
    :raises ValueError: if `server` is none of those known.
    """
    behaviour = behaviour_of(server)
    made = _scope(behaviour, method or ("POST" if body or more_body else "GET"), path, headers)
    if more_body:
        made["headers"].append((b"transfer-encoding", b"chunked"))
    elif body:
        made["headers"].append((b"content-length", b"%d" % len(body)))
    return Played(
        as_single_callable(app),
        behaviour,
        {**made, **(scope or {})},
        (body, more_body),
        reading=reading,
        patience=patience,
        backend=backend,
    )


class Played:
    """What `exchange()` returns: to be entered once, by ``async with`` or by ``with``."""

    def __init__(
        self,
        app: App,
        behaviour: Behaviour,
        scope: Scope,
        body: tuple[bytes, bool],
        *,
        reading: bool,
        patience: float,
        backend: str,
    ) -> None:
        self._app = app
        self._behaviour = behaviour
        self._scope = scope
        self._body, self._more_body = body
        self._reading = reading
        self._patience = patience
        self._backend = backend
        self._client: Client | None = None
        self._stack = contextlib.ExitStack()

    async def __aenter__(self) -> Client:
        if self._client is not None:
            raise RuntimeError("an exchange can be entered once: call exchange() for each")
        server = PlayedServer(self._behaviour, self._scope)
        server.upload(self._body, more_body=self._more_body)
        server.set_reading(self._reading)
        self._client = Client(server, self._patience)
        observers.append(server.observe)
        self._stack.callback(observers.remove, server.observe)
        self._tasks: TaskGroup = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(server.serve, self._app)
        self._tasks.start_soon(server.cancel_in_time)
        return self._client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failure = None
        with self._stack:
            if error is None:
                assert self._client is not None
                try:
                    await self._client.close()
                except Exception as raised:  # the task group would wrap it
                    failure = raised
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        if failure is not None:
            raise failure

    def __enter__(self) -> BlockingClient:
        with contextlib.ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(self._backend))
            client = stack.enter_context(portal.wrap_async_context_manager(self))
            self._blocking = stack.pop_all()
        return BlockingClient(client, portal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._blocking.__exit__(kind, error, traceback)


def _scope(
    behaviour: Behaviour, method: str, target: str, headers: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    raw_path, _, query = target.partition("?")
    made: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": behaviour.http_version,
        "method": method.upper(),
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"testserver"),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in headers),
        ],
        "client": ("127.0.0.1", behaviour.client_port),
        "server": ("127.0.0.1", 8000),
    }
    if behaviour.spec_version is not None:
        made["asgi"]["spec_version"] = behaviour.spec_version
    if behaviour.extensions is not None:
        made["extensions"] = {name: {} for name in behaviour.extensions}
    if behaviour.state:
        made["state"] = {}
    return made
