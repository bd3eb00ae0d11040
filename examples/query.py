"""A sync endpoint whose query is cancelled in PostgreSQL when the client leaves.

    python -m pip install asgi-disconnect fastapi uvicorn "psycopg[binary,pool]"
    export DATABASE_URL=postgresql://postgres@localhost/postgres
    uvicorn --app-dir examples query:app
    curl --max-time 1 http://127.0.0.1:8000/report        # leaves after a second
    curl http://127.0.0.1:8000/running

Nobody can cancel the endpoint's thread, but `interrupting` makes its query fail.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from psycopg_pool import ConnectionPool

from asgi_disconnect import DisconnectMiddleware, interrupting

if "DATABASE_URL" not in os.environ:
    raise SystemExit("Set DATABASE_URL to a PostgreSQL: postgresql://USER:PASSWORD@HOST/DATABASE")

pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=5, open=False)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with pool:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(DisconnectMiddleware)


@app.get("/report")
def report() -> Any:
    with pool.connection() as connection, interrupting(connection):
        return connection.execute("select 4711 from pg_sleep(60)").fetchone()


@app.get("/running")
def running() -> Any:
    with pool.connection() as connection:
        return connection.execute(
            "select count(*) from pg_stat_activity"
            " where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()"
        ).fetchone()
