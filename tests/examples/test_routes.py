"""`examples/routes.py`: what the predicate does not choose is finished."""

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from .serving import abandoned, served, until


def test_searches_are_cancelled_and_payments_are_finished() -> None:
    with served("routes") as client:
        with abandoned(client, "/search"), abandoned(client, "/payments"):
            until(lambda: len(client.get("/log").json()) == 2)
        until(lambda: len(client.get("/log").json()) == 4)
        assert client.get("/log").json()[2:] == ["search cancelled", "payment finished"]
