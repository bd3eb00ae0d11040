"""`websocket_exchange()`: one WebSocket of an app."""

from collections.abc import Iterable, Mapping
from typing import Any

from .._application import as_single_callable
from .._types import App, Scope
from ._behaviours import ServerName, behaviour_of
from ._blocking import BlockingWebSocketClient, Portal
from ._hints import UnsetState
from ._lifespan import PlayedLifespan
from ._play import Play
from ._scope import Headers, make_headers, make_scope
from ._websocket_behaviours import WEBSOCKET_BEHAVIOURS, WebSocketBehaviour
from ._websocket_client import WebSocketClient
from ._websocket_server import PlayedWebSocketServer


def websocket_exchange(
    app: Any,
    path: str = "/",
    *,
    subprotocols: Iterable[str] = (),
    headers: Headers = (),
    server: ServerName = "uvicorn",
    grace: float | None = None,
    patience: float = 5.0,
    scope: Mapping[str, Any] | None = None,
    lifespan: bool = False,
    backend: str = "asyncio",
) -> "PlayedWebSocket":
    """One WebSocket of an app; the test plays the client and the server.

    ``async with`` gives a `WebSocketClient`, which has asked for the connection; ``with`` gives a
    `BlockingWebSocketClient`, and runs the app in another thread's event loop.  At the end of the
    block the client leaves, if it has not, and the block waits for the app's end.  The app is any
    ASGI application, with or without ``DisconnectMiddleware(app, websocket=True)``.

    Since 0.2.

    :param app: the ASGI application.
    :param path: the path, with the query string if there is one, percent-encoded where needed.
    :param subprotocols: the subprotocols that the client offers.
    :param headers: more headers of the handshake, ``str`` or ``bytes``: a mapping, or pairs if a
        name comes more than once.
    :param server: the server to play (default: uvicorn).
    :param grace: seconds of `grace` that `DisconnectMiddleware` gives to this app, instead of its
        own; 0 for a handler that only pushes to be cancelled at once.
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
    behaviour = WEBSOCKET_BEHAVIOURS[behaviour_of(server).name]
    made = _scope(behaviour, path, [*subprotocols], headers)
    single = as_single_callable(app)
    played_lifespan = PlayedLifespan(single, patience) if lifespan else None
    if played_lifespan is not None:
        made["state"] = played_lifespan.state
    return PlayedWebSocket(
        single,
        behaviour,
        {**made, **(scope or {})},
        played_lifespan,
        grace=grace,
        patience=patience,
        backend=backend,
    )


class PlayedWebSocket(Play[PlayedWebSocketServer, WebSocketClient, BlockingWebSocketClient]):
    """Returned by `websocket_exchange()`; enter it once, by ``async with`` or by ``with``.

    Since 0.2.
    """

    def __init__(
        self,
        app: App,
        behaviour: WebSocketBehaviour,
        scope: Scope,
        lifespan: PlayedLifespan | None,
        *,
        grace: float | None,
        patience: float,
        backend: str,
    ) -> None:
        super().__init__(app, lifespan, backend)
        self._behaviour = behaviour
        self._scope = scope
        self._grace = grace
        self._patience = patience

    def _make_server(self) -> PlayedWebSocketServer:
        return PlayedWebSocketServer(self._behaviour, self._scope, self._grace)

    def _make_client(self, server: PlayedWebSocketServer) -> WebSocketClient:
        return WebSocketClient(server, self._patience)

    def _make_blocking_client(
        self, client: WebSocketClient, portal: Portal
    ) -> BlockingWebSocketClient:
        return BlockingWebSocketClient(client, portal)


def _scope(
    behaviour: WebSocketBehaviour,
    target: str,
    subprotocols: list[str],
    headers: Headers,
) -> dict[str, Any]:
    handshake = [("sec-websocket-version", "13")]
    if behaviour.http_version == "1.1":
        handshake += [("upgrade", "websocket"), ("connection", "Upgrade")]
        handshake += [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]  # RFC 6455, section 1.3
    if subprotocols:
        handshake += [("sec-websocket-protocol", ", ".join(subprotocols))]
    made = make_scope(
        target,
        make_headers(headers, before=handshake),
        type="websocket",
        http_version=behaviour.http_version,
        scheme="ws",
        client=("127.0.0.1", behaviour.client_port),
        subprotocols=subprotocols,
        state=UnsetState(),
    )
    if behaviour.spec_version is not None:
        made["asgi"]["spec_version"] = behaviour.spec_version
    if behaviour.extensions is not None:
        made["extensions"] = {name: {} for name in behaviour.extensions}
    for key in behaviour.missing:
        del made[key]
    return made
