"""A report that takes no longer than its client waits, not even in PostgreSQL.

    python -m pip install asgi-disconnect fastapi uvicorn "psycopg[binary,pool]"
    export DATABASE_URL=postgresql://postgres@localhost/postgres
    uvicorn --app-dir examples deadline:app
    curl -i -H "connect-timeout-ms: 2000" http://127.0.0.1:8000/report   # 504 after two seconds
    curl http://127.0.0.1:8000/running                                   # and no query is left

The endpoint runs in a thread, and nobody can cancel a thread.  So PostgreSQL gets the time that is
left as its `statement_timeout`: the query fails, and the thread is free again.
"""

import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from psycopg import Connection
from psycopg.errors import QueryCanceled
from psycopg_pool import ConnectionPool

from asgi_disconnect import DisconnectMiddleware, current_disconnect
from asgi_disconnect.deadlines import client_deadline

if "DATABASE_URL" not in os.environ:
    raise SystemExit("Set DATABASE_URL to a PostgreSQL: postgresql://USER:PASSWORD@HOST/DATABASE")

pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=5, open=False)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with pool:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(DisconnectMiddleware, deadline=client_deadline(at_most=30))


def limit_statements(connection: Connection[Any]) -> None:
    """Give each statement of this transaction the time that is left."""
    left = current_disconnect().remaining()
    if left < math.inf:
        milliseconds = max(1, math.ceil(left * 1000))  # 0 would be no limit
        connection.execute(
            "select set_config('statement_timeout', %s, true)", [f"{milliseconds}ms"]
        )


@app.get("/report")
def report() -> Any:
    with pool.connection() as connection:
        limit_statements(connection)
        try:
            return connection.execute("select 4711 from pg_sleep(60)").fetchone()
        except QueryCanceled:
            raise HTTPException(504, "the report takes too long") from None


@app.get("/running")
def running() -> Any:
    with pool.connection() as connection:
        return connection.execute(
            "select count(*) from pg_stat_activity"
            " where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()"
        ).fetchone()
