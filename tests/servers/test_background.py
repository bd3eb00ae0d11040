"""What frameworks do after their response always finishes (contract §4): on real servers.

The server says "disconnect" as soon as the response is complete, to everybody, and the client may
close its connection then.

Not with hypercorn's HTTP/2: what a client still sends for a stream that has ended is a `KeyError`
there (0.18), by which it cancels all that its connection has begun.
"""

import dataclasses
from importlib.util import find_spec

import pytest

from .configurations import APP, CONFIGURATIONS
from .running import RunningServer

SERVERS = [
    dataclasses.replace(
        each,
        name=f"{each.name}-background",
        command=tuple("background:application" if part == APP else part for part in each.command),
    )
    for each in CONFIGURATIONS
    if each.name in ("uvicorn-h11", "uvicorn-uvloop", "hypercorn-asyncio", "granian")
]

FRAMEWORKS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not find_spec(name.split("-")[0]), reason=f"needs {name.split('-')[0]}"
        ),
    )
    for name in (
        "django-async",
        "django-stream",
        "django-sync",
        "fastapi-async",
        "fastapi-sync",
        "litestar-hook",
        "litestar-task",
        "quart-task",
        "starlette-base",
        "starlette-stream",
        "starlette-task",
    )
]


@pytest.mark.parametrize("mode", ["guarded", "watched"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_background_work_finishes_though_the_client_leaves(
    server: RunningServer, way: str, framework: str, mode: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/{framework}/{mode}/{key}", body=b"hello")
    response = client.response()
    assert response.status == 200
    assert response.body.strip(b'"') == b"done"
    server.wait(key, "working")
    client.leave(way)
    server.watching_has_begun()
    server.open_gate(key)
    assert "cancelled" not in server.wait(key, "finished")
    assert server.end(key)[-1] in ("finished", "returned")  # Quart's work does not hold it up


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_background_work_finishes_while_the_client_stays(
    server: RunningServer, framework: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/{framework}/guarded/{key}", body=b"hello")
    assert client.response().status == 200
    server.wait(key, "working")
    server.watching_has_begun()
    server.open_gate(key)
    assert "cancelled" not in server.wait(key, "finished")
    assert server.end(key)[-1] in ("finished", "returned")
