"""`examples/events.py`: who leaves is forgotten at once."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from .serving import served, until


def test_events_arrive_and_who_leaves_is_forgotten() -> None:
    with served("events") as client:
        with client.stream("GET", "/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": welcome"
            assert client.get("/subscribers").json() == 1
            client.post("/publish", content="hello")
            next(lines)
            assert next(lines) == "data: hello"
        until(lambda: client.get("/subscribers").json() == 0)
