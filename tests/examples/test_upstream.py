"""`examples/upstream.py`: what is left is passed on, and less of it inside than outside."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from .serving import served, until


def test_the_other_service_stops_in_time_for_an_answer() -> None:
    with served("upstream") as client:
        answer = client.get("/", headers={"connect-timeout-ms": "6000"})
        assert answer.status_code == 503
        assert answer.json() == {"stock": "unknown"}
        until(lambda: client.get("/stock/calls").json() == 0)


def test_the_other_service_has_a_deadline_of_its_own() -> None:
    with served("upstream") as client:
        answer = client.get("/stock", headers={"connect-timeout-ms": "100"})
        assert answer.status_code == 504
        until(lambda: client.get("/stock/calls").json() == 0)
