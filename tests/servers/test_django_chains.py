"""Django behind a project's middlewares (contract §4.2, §4.4, §4.6): on a real uvicorn."""

import dataclasses
from importlib.metadata import version
from importlib.util import find_spec

import pytest

from .configurations import APP, CONFIGURATIONS
from .running import RunningServer

pytestmark = pytest.mark.skipif(not find_spec("django"), reason="needs django")

LISTENS = bool(find_spec("django")) and not version("django").startswith("4.")
FINISHED = ["request_finished"] if LISTENS else []
"""What Django sends for an abandoned request."""

SERVERS = [
    dataclasses.replace(
        each,
        name=f"{each.name}-django-chains",
        command=tuple(
            "django_chains:application" if part == APP else part for part in each.command
        ),
    )
    for each in CONFIGURATIONS
    if each.name in ("uvicorn-h11", "uvicorn-uvloop")
]

CHAINS = pytest.mark.parametrize("chain", ["startproject", "sync-on-top", "sync-inside", "mixed"])
VIEWS = pytest.mark.parametrize("view", ["async", "streaming", "sync"])


@CHAINS
@VIEWS
def test_a_client_that_stays_is_answered(server: RunningServer, chain: str, view: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/{chain}.{view}/guarded/{key}", body=b"hello")
    server.wait(key, "working")
    server.open_gate(key)
    response = client.response()
    assert (response.status, response.body) == (200, b"done")
    assert server.end(key) == ["working", "cleaned up", "request_finished", "returned"]


@pytest.mark.parametrize("mode", ["guarded", "watched"])
@CHAINS
@VIEWS
def test_an_abandoned_view_cleans_up_and_so_does_django(
    server: RunningServer, way: str, chain: str, view: str, mode: str
) -> None:
    keys = [server.new_key() for _ in range(5)]
    clients = [server.connect() for _ in keys]
    for key, client in zip(keys, clients, strict=True):
        client.request(f"/{chain}.{view}/{mode}/{key}", body=b"hello")
    for key in keys:
        server.wait(key, "working")
    for client in clients:
        client.leave(way)
    if view == "sync":  # a thread cannot be cancelled, and is waited for
        server.watching_has_begun()
        for key in keys:
            server.open_gate(key)
    for key in keys:
        assert server.end(key) == ["working", "cleaned up", *FINISHED, "returned"]
