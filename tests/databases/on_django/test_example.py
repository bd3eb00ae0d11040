"""`examples/orm.py`: queries of abandoned views, sync and async, are cancelled in PostgreSQL."""

import pytest

pytest.importorskip("uvicorn")

from ...examples.serving import abandoned, served, until
from ..postgresql import PostgreSQL
from .project import LISTENS


@pytest.mark.skipif(not LISTENS, reason="Django 4.2 is not told, and needs a handler of its own")
@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_an_abandoned_query_is_cancelled(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgresql.url())
    with served("orm") as client:
        with abandoned(client, path):
            until(lambda: client.get("/running").text == "1")
        until(lambda: client.get("/running").text == "0")
