"""The page on which you can watch what the middleware does (``demo --page``, ``examples/live``).

`board` knows what became of every handler, `jobs` is what the handlers do, `app` serves both and
the three files in ``page``.  The handlers themselves tell everything that the page shows.
"""

import socket
import sys
import webbrowser
from importlib.util import find_spec
from typing import Final

PORT: Final = 8642
"""The page's port, if that is free."""

WEBSOCKET_LIBRARIES: Final = ("wsproto", "websockets")
"""uvicorn takes either."""


def run(port: int | None = None, *, browser: bool | None = None) -> int:
    """Serve the page until Ctrl-C, and return the exit status.

    :param port: the port; by default `PORT`, or any other if that is taken.
    :param browser: whether to open a browser; by default, if the output is a terminal.
    """
    if find_spec("uvicorn") is None or not any(map(find_spec, WEBSOCKET_LIBRARIES)):
        print(
            'The page needs uvicorn and wsproto: python -m pip install "asgi_disconnect[demo]"',
            file=sys.stderr,
        )
        return 1
    try:
        listener = _listen(port)
    except OSError as error:
        print(f"The page cannot be served: {error}", file=sys.stderr)
        return 1
    import uvicorn

    from .app import app

    with listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        print(f"Open {url} in a browser. Ctrl-C ends it.", flush=True)
        if sys.stdout.isatty() if browser is None else browser:
            webbrowser.open(url)
        # Ctrl-C does not wait for clients: the page itself would never leave.
        config = uvicorn.Config(
            app, lifespan="off", log_level="critical", timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listen(port: int | None) -> socket.socket:
    if port is not None:
        return socket.create_server(("127.0.0.1", port))
    try:
        return socket.create_server(("127.0.0.1", PORT))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))
