"""`examples/answer.py`: a reader that leaves stops the model."""

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from .serving import served, until


def test_a_reader_that_leaves_stops_the_model() -> None:
    with served("answer") as client:
        with client.stream("GET", "/answer?question=why") as stream:
            pieces = stream.iter_text()
            assert next(pieces).startswith("You ask why. ")
            until(lambda: client.get("/model").json()["tokens"] > 1)
            assert client.get("/model").json()["generating"] == 1
        until(lambda: client.get("/model").json()["generating"] == 0)
        tokens = client.get("/model").json()["tokens"]
        until(lambda: client.get("/model").json()["generating"] == 0)
        assert client.get("/model").json()["tokens"] == tokens
