"""The applications that are served, each wrapped by each contender.

A server imports its target by name (``served_apps:starlette__asgi_disconnect``), so that each has
one: see `target`.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

from contenders import contenders

UNWRAPPED = "unwrapped"

BODY = b'{"message":"hello"}'


async def _read(receive: Any) -> None:
    while (await receive()).get("more_body"):
        pass


async def bare_app(scope: Any, receive: Any, send: Any) -> None:
    """Answers, by hand."""
    if scope["method"] == "POST":
        await _read(receive)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def starlette_app(work: Callable[[], None] | None = None, wait: float = 0) -> Any:
    """One route, which answers with JSON."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def endpoint(request: Request) -> Response:
        if request.method == "POST":
            await request.json()
        if work is not None:
            work()
        if wait:
            await asyncio.sleep(wait)
        return JSONResponse({"message": "hello"})

    return Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"])])


def fastapi_app(*, sync: bool) -> Any:
    """A path that is answered by an async function, or by one that runs in a thread."""
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None)
    if sync:

        @app.get("/")
        def get_in_thread() -> dict[str, str]:
            return {"message": "hello"}

        @app.post("/")
        def post_in_thread(document: dict[str, str]) -> dict[str, str]:
            return {"message": "hello"}
    else:

        @app.get("/")
        async def get() -> dict[str, str]:
            return {"message": "hello"}

        @app.post("/")
        async def post(document: dict[str, str]) -> dict[str, str]:
            return {"message": "hello"}

    return app


def django_app() -> Any:
    """One async view, and the middleware that a view of JSON needs: none."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    async def view(request: HttpRequest) -> JsonResponse:
        if request.method == "POST":
            len(request.body)
        return JsonResponse({"message": "hello"})

    settings.configure(
        ALLOWED_HOSTS=["*"], MIDDLEWARE=[], SECRET_KEY="benchmark", ROOT_URLCONF=(path("", view),)
    )
    django.setup()
    return get_asgi_application()


def works_1_ms() -> None:
    """A millisecond of computing, on this process's own clock."""
    end = time.thread_time() + 0.001
    while time.thread_time() < end:
        pass


APPS: dict[str, Callable[[], Any]] = {
    "bare": lambda: bare_app,
    "starlette": starlette_app,
    "starlette, works 1 ms": lambda: starlette_app(work=works_1_ms),
    "starlette, waits 20 ms": lambda: starlette_app(wait=0.020),
    "fastapi": lambda: fastapi_app(sync=False),
    "fastapi, sync": lambda: fastapi_app(sync=True),
    "django": django_app,
}


def target(app: str, contender: str) -> str:
    """What to tell a server to serve."""
    return f"{__name__}:{_identifier(app)}__{_identifier(contender)}"


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name)


def __getattr__(name: str) -> Any:
    wraps = {UNWRAPPED: lambda app: app, **contenders()}
    for app_name, make in APPS.items():
        for contender, wrap in wraps.items():
            if name == f"{_identifier(app_name)}__{_identifier(contender)}":
                globals()[name] = app = wrap(make())  # uvicorn asks twice
                return app
    raise AttributeError(name)
