"""The live demo: start slow, streaming and uploading requests, leave, and see what the
server's handlers do, with the middleware and without it.

    python examples/live/app.py                    # the same: python -m asgi_disconnect demo --page
    uvicorn --app-dir examples/live app:app        # as you start yours

The application is pure ASGI and a part of the package, so that the demo can show it too:
`asgi_disconnect._demo.live`, where ``jobs.py`` has the handlers and ``page/`` the plain HTML, CSS
and JavaScript.
"""

from asgi_disconnect._demo.live import run
from asgi_disconnect._demo.live.app import app

__all__ = ["app"]

if __name__ == "__main__":
    raise SystemExit(run())
