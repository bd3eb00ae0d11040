"""What `test_django_chains.py` has the servers run: Django behind chains of middlewares.

A request to ``/<chain>.<view>/<mode>/<key>`` calls a view that works and cleans up; that, Django's
`request_finished` and the end are told to the test as in `app`, whose handlers are served too.
"""

import asyncio
import contextvars
import sys
from pathlib import Path

import app
import django
from app import journal
from django.conf import settings

from asgi_disconnect import DisconnectMiddleware

sys.path.append(str(Path(__file__).parents[2] / "frameworks" / "on_django"))

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()

from chains import CHAINS  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.signals import request_finished  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from django.urls import path  # noqa: E402

# Django takes them into its threads.
request_key = contextvars.ContextVar("request_key")
servers_loop = contextvars.ContextVar("servers_loop")


def tell_that_it_finished(**_):
    journal().tell(request_key.get(), "request_finished")


request_finished.connect(tell_that_it_finished)


class Cleanup:
    """Tells what work there is, and that its cleanup has come to its end."""

    def __init__(self, request, key):
        request.session["visits"] = 1
        assert request.user.is_anonymous
        self.key = key

    async def __aenter__(self):
        journal().tell(self.key, "working")

    async def __aexit__(self, *_):
        for _ in range(3):
            await asyncio.sleep(0.001)
        journal().tell(self.key, "cleaned up")


def sync_view(request, mode, key):
    journal().tell(key, "working")
    try:
        # Not by async_to_sync(), which is cancelled with the request.
        gate = asyncio.run_coroutine_threadsafe(journal().gate(key), servers_loop.get())
        gate.result(20)
        return HttpResponse("done")
    finally:
        journal().tell(key, "cleaned up")


async def async_view(request, mode, key):
    async with Cleanup(request, key):
        await journal().gate(key)
        return HttpResponse("done")


async def streaming_view(request, mode, key):
    async def pieces():
        async with Cleanup(request, key):
            yield b"do"
            await journal().gate(key)
            yield b"ne"

    return StreamingHttpResponse(pieces())


VIEWS = {"sync": sync_view, "async": async_view, "streaming": streaming_view}
MODES = {
    "guarded": DisconnectMiddleware,
    "watched": lambda app: DisconnectMiddleware(app, watch_after=0),
}
urlpatterns = []
guarded = {}
for chain, middleware in CHAINS.items():
    with override_settings(MIDDLEWARE=middleware):
        handler = ASGIHandler()
    for name, view in VIEWS.items():
        view.csrf_exempt = True  # the clients have no cookies
        where = f"{chain}.{name}".replace(" ", "-")
        urlpatterns.append(path(f"{where}/<mode>/<key>", view))
        for mode, wrap in MODES.items():
            guarded[where, mode] = wrap(handler)


async def application(scope, receive, send):
    """What the server calls: tells how the middleware ends."""
    _, name, mode, key = scope.get("path", "///").split("/")
    if (name, mode) not in guarded:
        return await app.application(scope, receive, send)
    request_key.set(key)
    servers_loop.set(asyncio.get_running_loop())
    try:
        await guarded[name, mode](scope, receive, send)
    except BaseException as error:
        journal().tell(key, f"raised {type(error).__name__}")
        raise
    journal().tell(key, "returned")
