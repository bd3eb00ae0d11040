"""`examples/live`, without a browser: `tests/browser` has one."""

import json
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("wsproto")

from .serving import EXAMPLES, HANDSHAKE, abandoned, served


@pytest.fixture(scope="module")
def client() -> Any:
    with served("app", EXAMPLES / "live") as client:
        yield client


def states(client: httpx.Client, key: str) -> Any:
    """What the live list says of one handler, again and again."""
    with client.stream("GET", "/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                for handler in json.loads(line.removeprefix("data: "))["handlers"]:
                    if handler["key"] == key:
                        yield handler["state"]


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js"])
def test_the_page_is_served(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.content


@pytest.mark.parametrize("path", ["/pages.css", "/../app.py", "/favicon.ico", "/alert"])
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/query"])
def test_no_other_websocket_is_accepted(client: httpx.Client, path: str) -> None:
    assert client.get(path, headers=HANDSHAKE).status_code == 403


@pytest.mark.parametrize("job", ["query", "bounded", "stream", "upload", "alert"])
@pytest.mark.parametrize(
    ("guarded", "after"), [("&guarded=1", "cleaned up"), ("", "for nobody")], ids=["on", "off"]
)
def test_a_handler_says_what_becomes_of_it(
    client: httpx.Client, job: str, guarded: str, after: str
) -> None:
    key = job + guarded[:8].replace("&", "-")
    headers = HANDSHAKE if job == "alert" else {}
    with abandoned(client, f"/{job}?key={key}{guarded}", headers=headers):
        assert next(state for state in states(client, key) if state == "working")
    assert next(state for state in states(client, key) if state == after)


def test_a_deadline_stops_a_handler_whose_client_stays(client: httpx.Client) -> None:
    assert client.get("/bounded?key=stays&guarded=1", timeout=20).status_code == 504
    with client.stream("GET", "/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                handlers = json.loads(line.removeprefix("data: "))["handlers"]
                (handler,) = (each for each in handlers if each["key"] == "stays")
                if handler["state"] == "cleaned up":
                    break
    assert handler["past_deadline"]
    assert handler["wasted"] == 0
    assert handler["saved"] > 0
