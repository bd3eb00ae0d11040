"""Where the temporary files are, what is left of them, and what happens without (contract §2)."""

import os
import signal
import threading
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


def test_a_server_without_a_place_reads_no_further_than_memory_allows_and_loses_nothing(
    start: Start, tmp_path: Path
) -> None:
    server = start(tmp_path / "nonexistent")
    waiting = Upload(server, "late", 8 * MIB)
    sending = threading.Thread(target=waiting.send)
    sending.start()
    # The memory is full then: what comes now is read no further.
    (complaint,) = server.wait_for_complaints()
    assert complaint.startswith("ERROR asgi_disconnect: cannot store request bodies on disk")
    unread = Upload(server, "unread", 64 * MIB)
    unread.send(MIB)
    server.wait(unread.key, "working")
    reading = Upload(server, "reading", 100_000)
    reading.send()
    assert reading.client.response().body == digest(100_000)
    server.open_gate(unread.key)
    assert unread.client.response().status == 200
    server.wait(waiting.key, "working")
    server.open_gate(waiting.key)
    assert waiting.client.response().body == digest(8 * MIB)
    sending.join(10)
    assert server.complaints() == []  # once, however many need it
