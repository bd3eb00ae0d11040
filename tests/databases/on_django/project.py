"""A Django project of one file, whose views and database are given by the tests.

The recipe for all that the ORM does, in sync and async views: `interruptible`, which every new
connection gets, makes a query that runs when the client leaves fail; `critical_transaction` is
left alone.

Django 4.2 does not listen for the disconnect: it is cancelled, and its `request_finished`, on which
it closes its connections, is lost.  There a handler is needed that sends it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.signals import request_finished
from django.db import connections, transaction
from django.db.backends.signals import connection_created
from django.urls import path

from asgi_disconnect import current_disconnect, interrupting

from ..postgresql import PostgreSQL

VERSION = django.VERSION[:2]
LISTENS = VERSION >= (5, 0)
POOLED = VERSION >= (5, 1)

running: set[str] = set()
"""The queries that run."""
started = threading.Event()
"""Set when a query starts."""


def interruptible(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Execute a query, and have it fail when the client leaves."""
    running.add(sql)
    started.set()
    try:
        with interrupting(context["connection"]):
            return execute(sql, params, many, context)
    finally:
        running.discard(sql)


@contextmanager
def critical_transaction(using: str) -> Iterator[None]:
    """A transaction that is finished though the client has left."""
    with current_disconnect().critical(), transaction.atomic(using):
        yield


def _install(connection: Any, **_: Any) -> None:
    connection.execute_wrappers.append(interruptible)


def configure(postgresql: PostgreSQL, sqlite: Path) -> None:
    """Start Django, with both databases."""
    to_postgresql = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": str(postgresql.folder),
        "NAME": "postgres",
        "USER": "postgres",
    }
    pool = {"min_size": 5, "max_size": 5}
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(sqlite)},
            "postgresql": to_postgresql,
            "pooled": {**to_postgresql, "OPTIONS": {"pool": pool} if POOLED else {}},
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["tests.databases.on_django.entries"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests only",
        USE_TZ=True,
    )
    django.setup()
    connection_created.connect(_install)


def make_sqlite_table() -> None:
    """An empty one; the fixture `activity` makes PostgreSQL's."""
    from .entries.models import Entry

    connection = connections["default"]
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists entries")
    with connection.schema_editor() as editor:
        editor.create_model(Entry)
    connection.close()


class Finishes(ASGIHandler):
    """Django 4.2's application, with `request_finished` for requests that are cancelled too."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().handle(scope, receive, send)
        except asyncio.CancelledError:
            await sync_to_async(request_finished.send)(sender=type(self))
            raise


urlpatterns: list[Any] = []


def handler_for(view: Callable[..., Any]) -> ASGIHandler:
    """Django's ASGI application, with `view` at every path."""

    class Request(ASGIRequest):
        urlconf = (path("", view),)

    class Handler(ASGIHandler if LISTENS else Finishes):
        request_class = Request

    return Handler()
