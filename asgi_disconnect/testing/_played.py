"""`exchange()`: one HTTP exchange with an app."""

from collections.abc import Mapping
from typing import Any

from .._application import as_single_callable
from .._types import App, Scope
from ._behaviours import Behaviour, ServerName, behaviour_of
from ._blocking import BlockingClient, Portal
from ._client import Client
from ._hints import UnsetState
from ._http_server import PlayedHTTPServer
from ._lifespan import PlayedLifespan
from ._play import Play
from ._scope import Headers, Raw, make_headers, make_scope


def exchange(
    app: Any,
    path: str = "/",
    *,
    method: str | None = None,
    body: bytes = b"",
    more_body: bool = False,
    headers: Headers = (),
    server: ServerName = "uvicorn",
    reading: bool = True,
    patience: float = 5.0,
    scope: Mapping[str, Any] | None = None,
    lifespan: bool = False,
    backend: str = "asyncio",
) -> "Played":
    """One HTTP exchange with an app; the test plays the client and the server.

    ``async with`` gives a `Client`; ``with`` gives a `BlockingClient`, and runs the app in another
    thread's event loop.  At the end of the block the client leaves, if it has not, and the block
    waits for the app's end.  The app is any ASGI application, with or without
    `DisconnectMiddleware`.

    Since 0.1.

    :param app: the ASGI application.
    :param path: the path, with the query string if there is one, percent-encoded where needed.
    :param method: the method (default: POST with a body, GET without).
    :param body: the request's body, or its first piece.
    :param more_body: whether more pieces follow, by `Client.send`.
    :param headers: more headers of the request, ``str`` or ``bytes``: a mapping, or pairs if a name
        comes more than once.
    :param server: the server to play (default: uvicorn).
    :param reading: whether the client takes what is sent to it (default); if not, `send()` waits
        once the server's buffers are full, as after `Client.stop_reading`.
    :param patience: seconds that each wait may take (default 5).  An app that still runs that long
        after its client has left is cancelled, and has overrun.
    :param scope: keys to put into the connection scope, instead of the server's.
    :param lifespan: whether to run the app's lifespan around the exchange: startup before it, with
        `scope["state"]`, and shutdown after it.  If one of them fails, the app's error is raised.
        It is run for daphne, too, which runs none itself.  Since 0.2.
    :param backend: for ``with``: what the app runs on, ``"asyncio"`` (default) or ``"trio"``.
    :raises TypeError: if `app` is not an ASGI application.
    :raises ValueError: if `server` is unknown.
    """
    behaviour = behaviour_of(server)
    framing: list[tuple[str, str]] = []
    if more_body:
        framing = [("transfer-encoding", "chunked")]
    elif body:
        framing = [("content-length", str(len(body)))]
    made = _scope(
        behaviour,
        method or ("POST" if body or more_body else "GET"),
        path,
        make_headers(headers, after=framing),
    )
    single = as_single_callable(app)
    played_lifespan = PlayedLifespan(single, patience) if lifespan else None
    if played_lifespan is not None:
        made["state"] = played_lifespan.state
    return Played(
        single,
        behaviour,
        {**made, **(scope or {})},
        (body, more_body),
        played_lifespan,
        reading=reading,
        patience=patience,
        backend=backend,
    )


class Played(Play[PlayedHTTPServer, Client, BlockingClient]):
    """Returned by `exchange()`; enter it once, by ``async with`` or by ``with``.

    Since 0.1.
    """

    def __init__(
        self,
        app: App,
        behaviour: Behaviour,
        scope: Scope,
        body: tuple[bytes, bool],
        lifespan: PlayedLifespan | None,
        *,
        reading: bool,
        patience: float,
        backend: str,
    ) -> None:
        super().__init__(app, lifespan, backend)
        self._behaviour = behaviour
        self._scope = scope
        self._body, self._more_body = body
        self._reading = reading
        self._patience = patience

    def _make_server(self) -> PlayedHTTPServer:
        server = PlayedHTTPServer(self._behaviour, self._scope)
        server.upload(self._body, more_body=self._more_body)
        server.set_reading(self._reading)
        return server

    def _make_client(self, server: PlayedHTTPServer) -> Client:
        return Client(server, self._patience)

    def _make_blocking_client(self, client: Client, portal: Portal) -> BlockingClient:
        return BlockingClient(client, portal)


def _scope(behaviour: Behaviour, method: str, target: str, headers: Raw) -> dict[str, Any]:
    made = make_scope(
        target,
        headers,
        type="http",
        http_version=behaviour.http_version,
        method=method.upper(),
        scheme="http",
        client=("127.0.0.1", behaviour.client_port),
    )
    if behaviour.spec_version is not None:
        made["asgi"]["spec_version"] = behaviour.spec_version
    if behaviour.extensions is not None:
        made["extensions"] = {name: {} for name in behaviour.extensions}
    if behaviour.state:
        made["state"] = UnsetState()
    return made
