"""Where the temporary files are, what is left of them, and what happens without (contract §2)."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..servers.configurations import CONFIGURATIONS
from ..servers.running import RunningServer
from .sending import MIB, Upload, digest, serving_uploads

(UVICORN,) = (each for each in CONFIGURATIONS if each.name == "uvicorn-httptools")

Start = Callable[[Path], RunningServer]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server whose temporary files are to be in a folder."""
    started: list[RunningServer] = []
    if UVICORN.missing:
        pytest.skip(f"not installed: {', '.join(UVICORN.missing)}")
    path = [str(Path(__file__).parent / "served"), os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))

    def start(folder: Path) -> RunningServer:
        monkeypatch.setenv("ASGI_DISCONNECT_TESTS_FOLDER", str(folder))
        started.append(RunningServer(serving_uploads(UVICORN)))
        started[-1].wait_until_up()
        return started[-1]

    yield start
    for server in started:
        server.stop(patience=5)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_server_that_is_killed(
    start: Start, tmp_path: Path, how: signal.Signals
) -> None:
    server = start(tmp_path)
    upload = Upload(server, "unread", 8 * MIB)
    upload.send()
    server.wait(upload.key, "working")
    client = server.connect()
    client.request(f"/bare/remains/{server.new_key()}", method="GET")
    assert client.response().body.startswith(b"1 ")  # there is a file, and it has no name
    assert list(tmp_path.iterdir()) == []
    server.process.send_signal(how)
    server.close_clients()
    server.process.wait(10)
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_a_place_refuses_what_it_cannot_keep_and_serves_the_others(
    start: Start, tmp_path: Path
) -> None:
    server = start(tmp_path / "nonexistent")
    waiting = Upload(server, "late", MIB // 2)
    waiting.send()
    refused = Upload(server, "unread", 8 * MIB)
    refused.send(4 * MIB)
    assert refused.client.response().status == 503
    assert "cancelled" in server.end(refused.key)
    reading = Upload(server, "reading", 100_000)
    reading.send()
    assert reading.client.response().body == digest(100_000)
    server.wait(waiting.key, "working")
    server.open_gate(waiting.key)
    assert waiting.client.response().body == digest(MIB // 2)
    (complaint,) = server.complaints()
    assert complaint.startswith("ERROR asgi_disconnect: no place to keep a request's body")
