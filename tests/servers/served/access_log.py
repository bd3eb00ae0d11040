"""What `test_access_log.py` has the servers run: the handlers of `app`, with an access log hook.

``/default/...`` has the hook as it is, ``/own/...`` one with a logger of its own.
"""

import logging
import sys

import app

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.instrumentation.access_log import AccessLogHook

own = logging.getLogger("own")
own.setLevel(logging.INFO)
own.propagate = False
handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(logging.Formatter("own: %(message)s"))
own.addHandler(handler)


async def bare(scope, receive, send):
    _, _, rest = scope["path"][1:].partition("/")
    await app.application({**scope, "path": f"/bare/{rest}"}, receive, send)


def tell(report):
    app.journal().tell(report.scope["path"].split("/")[3], "reported")


default = DisconnectMiddleware(bare, on_disconnect=[AccessLogHook(), tell])
with_own = DisconnectMiddleware(bare, on_disconnect=[AccessLogHook(own), tell])


modes = {"default": default, "own": with_own}


async def application(scope, receive, send):
    mode = scope.get("path", "/").split("/")[1]
    await modes.get(mode, app.application)(scope, receive, send)
