"""Each framework's own line that wraps an app, read as strictly as `api`: `nox -s types`.

Nothing here runs.  They differ in how they type `scope`, `receive` and `send`.
"""

from asgiref.typing import ASGIApplication
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.types import ASGIApp as LitestarApp
from quart import Quart
from starlette.applications import Starlette
from starlette.types import ASGIApp as StarletteApp

from asgi_disconnect import DisconnectMiddleware

# FastAPI and Starlette


def around_starlette(app: StarletteApp) -> StarletteApp:
    return DisconnectMiddleware(app)


app: StarletteApp = DisconnectMiddleware(Starlette())
app = DisconnectMiddleware(FastAPI(), grace=5)
app = around_starlette(FastAPI())

# Litestar


def around_litestar(app: LitestarApp) -> LitestarApp:
    return DisconnectMiddleware(app)


@get("/", middleware=[around_litestar])
async def handler() -> None: ...


Litestar([handler], middleware=[around_litestar])
Litestar(middleware=[DisconnectMiddleware])
litestar: LitestarApp = DisconnectMiddleware(Litestar([handler]))

# Quart.  mypy alone objects to assigning to a method, which is what Quart's own pages do.

quart = Quart(__name__)
quart.asgi_app = DisconnectMiddleware(quart.asgi_app)  # type: ignore[method-assign]

# Django

application = DisconnectMiddleware(get_asgi_application())

# asgiref, whose types servers use


def around(app: ASGIApplication) -> ASGIApplication:
    return DisconnectMiddleware(app)
