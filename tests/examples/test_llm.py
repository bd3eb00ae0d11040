"""`examples/llm.py`: a reader that leaves stops the generation of the server behind."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("openai")
pytest.importorskip("uvicorn")

from .serving import abandoned, served, until

UPSTREAMS = Path(__file__).parent / "upstreams"


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    with served("llm_upstream") as upstream:
        monkeypatch.setenv("OPENAI_BASE_URL", str(upstream.base_url.join("/v1")))
        yield upstream


def state(upstream: httpx.Client) -> dict[str, int]:
    found: dict[str, int] = upstream.get("/generations").json()
    return found


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_reader_that_leaves_in_the_middle_stops_the_generation(
    upstream: httpx.Client, server: str
) -> None:
    pytest.importorskip(server)
    with served("llm", server_name=server) as client:
        with client.stream("GET", "/stream?question=why") as stream:
            pieces = stream.iter_text()
            assert next(pieces).startswith("0 ")
            until(lambda: state(upstream)["tokens"] > 1)
            assert state(upstream)["running"] == 1
        until(lambda: state(upstream)["running"] == 0)
        assert state(upstream)["stopped"] == 1
        until(lambda: client.get("/usage").json())
        (relayed,) = client.get("/usage").json()
        assert 1 <= relayed <= state(upstream)["tokens"]


def test_a_reader_that_stays_has_the_whole_answer(upstream: httpx.Client) -> None:
    with served("llm") as client:
        answer = client.get("/stream", params={"question": "why", "length": 3})
        assert answer.text == "0 1 2 "
        assert client.get("/whole", params={"question": "why", "length": 3}).json() == "0 1 2 "
        assert client.get("/usage").json() == [3]
    assert state(upstream) == {"running": 0, "stopped": 0, "finished": 2, "tokens": 6}


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_call_without_a_stream_stops_the_generation(upstream: httpx.Client, server: str) -> None:
    pytest.importorskip(server)
    with served("llm", server_name=server) as client:
        with abandoned(client, "/whole?question=why"):
            until(lambda: state(upstream)["tokens"] > 1)
        until(lambda: state(upstream)["running"] == 0)
        assert state(upstream)["stopped"] == 1


@pytest.mark.parametrize("closed_by", ["finally", "background"])
def test_an_upstream_opened_in_the_endpoint_is_lost(upstream: httpx.Client, closed_by: str) -> None:
    with served("opened_in_the_endpoint", UPSTREAMS) as client:
        with abandoned(client, f"/{closed_by}"):
            until(lambda: client.get("/state").json()["between"])
        until(lambda: client.get("/state").json()["left"])
        tokens = state(upstream)["tokens"]
        until(lambda: state(upstream)["tokens"] > tokens + 20)
        assert state(upstream)["running"] == 1


def test_a_sync_client_that_asks_at_each_piece_stops_the_generation(
    upstream: httpx.Client,
) -> None:
    with served("in_threads", UPSTREAMS) as client:
        with abandoned(client, "/asking"):
            until(lambda: state(upstream)["tokens"] > 1)
        until(lambda: state(upstream)["running"] == 0)
        assert state(upstream)["stopped"] == 1


def test_a_sync_call_runs_to_its_end(upstream: httpx.Client) -> None:
    with served("in_threads", UPSTREAMS) as client:
        with abandoned(client, "/call"):
            until(lambda: state(upstream)["tokens"] > 1)
        until(lambda: client.get("/state").json()["calls"])
        assert state(upstream) == {"running": 0, "stopped": 0, "finished": 1, "tokens": 50}


@pytest.mark.parametrize("bare", [False, True], ids=["wrapped", "bare"])
def test_a_sync_generator_is_cleaned_up_when_it_is_collected(
    upstream: httpx.Client, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    if bare:
        monkeypatch.setenv("BARE", "1")
    with served("in_threads", UPSTREAMS) as client:
        with abandoned(client, "/generator"):
            until(lambda: client.get("/state").json()["pieces"] > 1)
        tokens = state(upstream)["tokens"]
        until(lambda: state(upstream)["tokens"] > tokens + 50)  # nobody takes them
        assert client.get("/state").json()["cleaned up"] == 0
        client.get("/collect")
        # Whether that closes the connection is luck: the client's parts are collected, too, in an
        # order of the collector's, and once in some twelve runs the generation went on.
        until(lambda: client.get("/state").json()["cleaned up"])


def test_a_sync_generator_that_asks_at_each_piece_is_cleaned_up(upstream: httpx.Client) -> None:
    with served("in_threads", UPSTREAMS) as client:
        with abandoned(client, "/asking-generator"):
            until(lambda: client.get("/state").json()["pieces"] > 1)
        until(lambda: client.get("/state").json()["cleaned up"])
        until(lambda: state(upstream)["running"] == 0)
        assert state(upstream)["stopped"] == 1


@pytest.mark.parametrize("path", ["/stream", "/whole"])
def test_httpx_stops_the_generation(upstream: httpx.Client, path: str) -> None:
    with served("by_httpx", UPSTREAMS) as client:
        with abandoned(client, path):
            until(lambda: state(upstream)["tokens"] > 1)
        until(lambda: state(upstream)["running"] == 0)
        assert state(upstream)["stopped"] == 1
