"""`interrupting` and SQLAlchemy's session: only the connections that it has, while it has them."""

from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from asgi_disconnect import interrupting

from ..core.scripted import REQUEST, Server
from .activity import Activity
from .postgresql import PostgreSQL

pytestmark = pytest.mark.anyio

FOREVER = "select pg_sleep(60) /* {} */"


@pytest.fixture
def engine(postgresql: PostgreSQL, activity: Activity) -> Iterator[Engine]:
    """One connection, which all sessions take in turn."""
    engine = create_engine(postgresql.url("psycopg"), pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


async def run(handler: Any, server: Server) -> None:
    """One exchange whose `handler` runs in a thread; what it raises is raised."""
    failures: list[Exception] = []

    def called() -> None:
        try:
            handler()
        except Exception as error:  # nobody would hear of it, since the client has left
            failures.append(error)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await anyio.to_thread.run_sync(called)

    await server.run(app)
    for error in failures:
        raise error


@pytest.mark.parametrize(
    "make", [sessionmaker, lambda engine: scoped_session(sessionmaker(engine))]
)
async def test_the_query_after_a_commit_is_interrupted(
    make: Any, engine: Engine, activity: Activity
) -> None:
    server = Server(REQUEST)

    def handler() -> None:
        session = make(engine)
        session = session if isinstance(session, scoped_session) else session()
        with interrupting(session):
            session.execute(text("select 1"))
            session.commit()
            with pytest.raises(OperationalError):
                session.execute(text(FOREVER.format("second")))
        session.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, handler, server)
        await activity.wait_until_running("second")
        server.leave()


async def test_a_transaction_that_has_begun_before_the_block_is_interrupted(
    engine: Engine, activity: Activity
) -> None:
    server = Server(REQUEST)

    def handler() -> None:
        with Session(engine) as session:
            session.execute(text("select 1"))
            with interrupting(session), pytest.raises(OperationalError):
                session.execute(text(FOREVER.format("begun")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, handler, server)
        await activity.wait_until_running("begun")
        server.leave()


async def test_a_connection_that_another_session_has_got_is_not_interrupted(
    engine: Engine, activity: Activity
) -> None:
    server = Server(REQUEST)
    given_back, finished = anyio.Event(), anyio.Event()

    def handler() -> None:
        with Session(engine) as session, interrupting(session):
            session.execute(text("select 1"))
            session.commit()  # the pool has its connection again
            anyio.from_thread.run_sync(given_back.set)
            anyio.from_thread.run(finished.wait)

    def another() -> None:
        with Session(engine) as session:
            session.execute(text("select pg_sleep(0.5) /* another */"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, handler, server)
        await given_back.wait()
        server.leave()
        await anyio.to_thread.run_sync(another)
        finished.set()
    assert activity.running("another") == 0


async def test_a_connection_of_sqlalchemys_is_interrupted(
    engine: Engine, activity: Activity
) -> None:
    server = Server(REQUEST)

    def handler() -> None:
        with (
            engine.connect() as connection,
            interrupting(connection),
            pytest.raises(OperationalError),
        ):
            connection.execute(text(FOREVER.format("connection")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, handler, server)
        await activity.wait_until_running("connection")
        server.leave()


async def test_nothing_is_kept_of_sessions_that_are_over(engine: Engine) -> None:
    from asgi_disconnect import _drivers

    def handler() -> None:
        for _ in range(3):
            with Session(engine) as session, interrupting(session):
                session.execute(text("select 1"))

    await run(handler, Server(REQUEST))
    assert _drivers._released == {}
