"""Datasette: a query that takes its time, in one of its threads."""

import sys
import time

from datasette import hookimpl
from datasette.app import Datasette
from datasette.plugins import pm

from asgi_disconnect import DisconnectMiddleware


@hookimpl
def prepare_connection(conn):
    """A query can take long by this, without work."""
    conn.create_function("wait", 1, time.sleep)


pm.register(sys.modules[__name__])
datasette = Datasette(memory=True, settings={"sql_time_limit_ms": 60000})
app = DisconnectMiddleware(datasette.app())
