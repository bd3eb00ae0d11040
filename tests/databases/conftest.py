"""The databases, and what asks them: contract §4.4, and issue 4's item 5.

The drivers run on asyncio only, so the tests do.
"""

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from .postgresql import INSTALLED, PostgreSQL

NEEDED = ("aiosqlite", "asyncpg", "psycopg", "psycopg_pool", "sqlalchemy")

collect_ignore_glob = [] if INSTALLED and all(map(find_spec, NEEDED)) else ["*.py", "*/*.py"]


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}),
            id="uvloop",
            marks=pytest.mark.skipif(not find_spec("uvloop"), reason="needs uvloop"),
        ),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One PostgreSQL for all the tests."""
    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture
async def activity(postgresql: PostgreSQL, anyio_backend: Any) -> AsyncIterator[Any]:
    """What PostgreSQL does; its tables are empty, and in the end nobody is connected."""
    from .activity import observed

    async with observed(postgresql) as activity:
        yield activity


@pytest.fixture(params=["psycopg", "asyncpg", "sqlalchemy-psycopg", "sqlalchemy-asyncpg"])
async def pool(
    request: pytest.FixtureRequest, postgresql: PostgreSQL, activity: Any, anyio_backend: Any
) -> AsyncIterator[Any]:
    """A pool of `SIZE` connections, with each driver."""
    from .drivers import DRIVERS

    async with DRIVERS[request.param](postgresql) as pool:
        yield pool
