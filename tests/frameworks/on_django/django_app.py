"""A Django project of one file, whose views are given by the tests.

Imported by what tests Django, after it is known that Django is installed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse
from django.test.utils import override_settings
from django.urls import path

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
        ],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests only",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        STATICFILES_DIRS=[Path(__file__).parent],
        STATIC_URL="/static/",
        USE_TZ=True,
    )
    django.setup()

urlpatterns: list[Any] = []

VERSION = django.VERSION[:2]

LISTENS = VERSION >= (5, 0)
"""From 5.0 on Django listens for the disconnect itself while a view runs."""


def hello(request: ASGIRequest) -> HttpResponse:
    """A sync view that answers at once."""
    return HttpResponse("hello")


def handler_for(view: Callable[..., Any] = hello, middleware: Sequence[str] = ()) -> ASGIHandler:
    """Django's ASGI application, with `view` at every path, behind `middleware`."""

    class Request(ASGIRequest):
        urlconf = (path("", view), path("<path:anything>", view))

    class Handler(ASGIHandler):
        request_class = Request

    with override_settings(MIDDLEWARE=list(middleware)):
        return Handler()
