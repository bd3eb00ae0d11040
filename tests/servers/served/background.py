"""What `test_background.py` has the servers run: frameworks that work after their response.

A request to ``/<framework>/<mode>/<key>`` is answered at once; what the framework does afterwards
is told to the test as in `app`, whose handlers are served too.
"""

from importlib.util import find_spec

import anyio
import app
from app import journal

from asgi_disconnect import DisconnectMiddleware

apps = {}


async def work(key):
    journal().tell(key, "working")
    try:
        await journal().gate(key)
    except anyio.get_cancelled_exc_class():
        journal().tell(key, "cancelled")
        raise
    journal().tell(key, "finished")


if find_spec("starlette"):
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask, BackgroundTasks
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def starlette_task(request):
        return PlainTextResponse(
            "done", background=BackgroundTask(work, request.path_params["key"])
        )

    async def starlette_stream(request):
        async def pieces():
            yield b"do"
            yield b"ne"

        tasks = BackgroundTasks()
        tasks.add_task(work, request.path_params["key"])
        return StreamingResponse(pieces(), background=tasks)

    async def passes(request, call_next):
        return await call_next(request)

    for name, endpoint in (("task", starlette_task), ("stream", starlette_stream)):
        route = Route(f"/starlette-{name}/{{mode}}/{{key}}", endpoint, methods=["POST"])
        apps[f"starlette-{name}"] = Starlette(routes=[route])
    apps["starlette-base"] = Starlette(
        routes=[Route("/starlette-base/{mode}/{key}", starlette_task, methods=["POST"])],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=passes)],
    )

if find_spec("fastapi"):
    import fastapi

    apps["fastapi-async"] = apps["fastapi-sync"] = fastapi.FastAPI()

    @apps["fastapi-async"].post("/fastapi-async/{mode}/{key}")
    async def fastapi_async(key: str, tasks: fastapi.BackgroundTasks) -> str:
        tasks.add_task(work, key)
        return "done"

    @apps["fastapi-sync"].post("/fastapi-sync/{mode}/{key}")
    def fastapi_sync(key: str, tasks: fastapi.BackgroundTasks) -> str:
        tasks.add_task(anyio.from_thread.run, work, key)  # in a thread
        return "done"


if find_spec("quart"):
    import quart

    apps["quart-task"] = quart.Quart(__name__)

    @apps["quart-task"].post("/quart-task/<mode>/<key>")
    async def quart_task(mode, key):
        quart.current_app.add_background_task(work, key)
        return "done"


if find_spec("litestar"):
    import litestar
    import litestar.background_tasks

    @litestar.post("/litestar-task/{mode:str}/{key:str}", status_code=200)
    async def litestar_task(key: str) -> litestar.Response[str]:
        task = litestar.background_tasks.BackgroundTask(work, key)
        return litestar.Response("done", background=task)

    async def after_response(request: litestar.Request) -> None:
        await work(request.path_params["key"])

    @litestar.post(
        "/litestar-hook/{mode:str}/{key:str}", status_code=200, after_response=after_response
    )
    async def litestar_hook(key: str) -> str:
        return "done"

    apps["litestar-task"] = apps["litestar-hook"] = litestar.Litestar(
        [litestar_task, litestar_hook], openapi_config=None
    )

if find_spec("django"):
    import django
    from asgiref.sync import async_to_sync
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[], ROOT_URLCONF=__name__, SECRET_KEY="test")
    django.setup()

    class WorksWhenClosed:
        key = None

        def close(self):
            super().close()
            async_to_sync(work)(self.key)

    class Answer(WorksWhenClosed, HttpResponse):
        pass

    class Stream(WorksWhenClosed, StreamingHttpResponse):
        pass

    def django_sync(request, mode, key):
        response = Answer(b"done")
        response.key = key
        return response

    async def django_async(request, mode, key):
        return django_sync(request, mode, key)

    async def django_stream(request, mode, key):
        async def pieces():
            yield b"do"
            yield b"ne"

        response = Stream(pieces())
        response.key = key
        return response

    urlpatterns = [
        path("django-sync/<mode>/<key>", django_sync),
        path("django-async/<mode>/<key>", django_async),
        path("django-stream/<mode>/<key>", django_stream),
    ]
    apps |= dict.fromkeys(("django-sync", "django-async", "django-stream"), ASGIHandler())

MODES = {
    "guarded": DisconnectMiddleware,
    "watched": lambda app: DisconnectMiddleware(app, watch_after=0),
}
guarded = {(name, mode): wrap(each) for name, each in apps.items() for mode, wrap in MODES.items()}


async def application(scope, receive, send):
    """What the server calls: tells how the middleware ends."""
    _, name, mode, key = scope.get("path", "///").split("/")
    if (name, mode) not in guarded:
        return await app.application(scope, receive, send)
    try:
        await guarded[name, mode](scope, receive, send)
    except BaseException as error:
        journal().tell(key, f"raised {type(error).__name__}")
        raise
    journal().tell(key, "returned")
