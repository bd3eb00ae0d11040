"""Django's ORM, in a sync and in an async view: an abandoned query stops in PostgreSQL.

    python -m pip install asgi-disconnect "django>=5" "psycopg[binary]" uvicorn
    export DATABASE_URL=postgresql://postgres@localhost/postgres
    uvicorn --app-dir examples orm:app
    curl --max-time 1 http://127.0.0.1:8000/sync        # or /async; leaves after a second
    curl http://127.0.0.1:8000/running

Django is told that the client has left, and ends the view, but waits for the thread that runs the
query, for async views, too.  `interruptible`, installed on every connection, makes the query fail.
"""

import os
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import models
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.urls import path
from psycopg.conninfo import conninfo_to_dict

from asgi_disconnect import DisconnectMiddleware, interrupting

if "DATABASE_URL" not in os.environ:
    raise SystemExit("Set DATABASE_URL to a PostgreSQL: postgresql://USER:PASSWORD@HOST/DATABASE")

place = conninfo_to_dict(os.environ["DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": place.get("dbname", "postgres"),
            "USER": place.get("user", ""),
            "PASSWORD": place.get("password", ""),
            "HOST": place.get("host", ""),
            "PORT": place.get("port", ""),
        }
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="for this example only",
)
django.setup()


def interruptible(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Execute a query that fails when the client leaves."""
    with interrupting(context["connection"]):
        return execute(sql, params, many, context)


def install(connection: Any, **_: Any) -> None:
    connection.execute_wrappers.append(interruptible)


connection_created.connect(install)


class Activity(models.Model):
    """PostgreSQL's own view of what its connections do, good enough for a long query."""

    pid = models.IntegerField(primary_key=True)
    state = models.TextField()
    query = models.TextField()

    class Meta:
        app_label = "orm"
        db_table = "pg_stat_activity"
        managed = False


SLEEP = models.Func(60.0, function="pg_sleep", output_field=models.TextField())
OWN = models.Func(function="pg_backend_pid", output_field=models.IntegerField())


def sync_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Activity.objects.values_list(SLEEP).first())


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(await Activity.objects.values_list(SLEEP).afirst())


async def running(request: HttpRequest) -> HttpResponse:
    asleep = Activity.objects.filter(state="active", query__contains="pg_sleep").exclude(pid=OWN)
    return HttpResponse(str(await asleep.acount()))


urlpatterns = [path("sync", sync_view), path("async", async_view), path("running", running)]

app = DisconnectMiddleware(get_asgi_application())
