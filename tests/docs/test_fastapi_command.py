"""`fastapi run` and `fastapi dev` serve the guarded app, as the page on FastAPI says."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asgi_disconnect._check.running import free_port

from .conftest import PAGES
from .pages import ROOT

pytest.importorskip("fastapi_cli", reason="needs fastapi-cli")
pytest.importorskip("uvicorn")

(GUARDED,) = (block.code for block in PAGES["docs/quick-start.md"] if block.file == "main.py")
ADDED = "app.add_middleware(DisconnectMiddleware)\n"
AROUND = GUARDED.replace(ADDED, "") + "\n\napp = DisconnectMiddleware(app)\n"
UNDER_ANOTHER_NAME = AROUND.replace("\napp = Dis", "\nguarded = Dis")

Start = Callable[..., "Command"]


class Command:
    """`fastapi ...` in a folder that has `main.py`."""

    def __init__(self, folder: Path, code: str, *arguments: str) -> None:
        (folder / "main.py").write_text(code, encoding="utf-8")
        self._until_stopped = contextlib.ExitStack()
        self._port = self._until_stopped.enter_context(free_port())
        path = os.pathsep.join(filter(None, [str(_place()), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastapi", *arguments, f"--port={self._port}"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def visit(self) -> None:
        """Ask for the report, and leave; as soon as it is up."""
        deadline = time.monotonic() + 30
        while True:
            try:
                client = socket.create_connection(("127.0.0.1", self._port))
            except ConnectionRefusedError:
                assert self.process.poll() is None, self.rest()
                assert time.monotonic() < deadline
                time.sleep(0.05)  # there is no event for that
            else:
                break
        with client:
            client.sendall(b"GET /report HTTP/1.1\r\nhost: localhost\r\n\r\n")
            time.sleep(0.2)  # so that it is its work that the client leaves

    def says(self, word: str) -> bool:
        """Whether it says so before it ends."""
        assert self.process.stdout is not None
        return any(word in line for line in self.process.stdout)

    def rest(self) -> str:
        """What else it says until its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._until_stopped.close()


def _place() -> Path:
    """Where the package is."""
    import asgi_disconnect

    return Path(asgi_disconnect.__file__).parent.parent


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    commands: list[Command] = []

    def start(code: str, *arguments: str) -> Command:
        commands.append(Command(tmp_path, code, *arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.stop()


@pytest.mark.parametrize("command", ["run", "dev"])
def test_it_finds_the_app_that_the_middleware_is_added_to(start: Start, command: str) -> None:
    server = start(GUARDED, command)
    server.visit()
    assert server.says("stopped")


@pytest.mark.parametrize("command", ["run", "dev"])
def test_it_serves_a_wrapped_app_that_it_is_pointed_to(start: Start, command: str) -> None:
    server = start(AROUND, command, "--entrypoint=main:app")
    server.visit()
    assert server.says("stopped")


def test_pyproject_points_it_to_a_wrapped_app(start: Start, tmp_path: Path) -> None:
    page = (ROOT / "docs/frameworks/fastapi.md").read_text(encoding="utf-8")
    shown = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "pyproject.toml").write_text(shown, encoding="utf-8")
    server = start(AROUND, "run")
    server.visit()
    assert server.says("stopped")


def test_it_does_not_find_a_wrapped_app_by_itself(start: Start) -> None:
    server = start(AROUND, "run")
    assert "Could not find FastAPI app" in " ".join(server.rest().split())
    assert server.process.wait(10) != 0


def test_of_two_it_takes_the_one_that_is_not_wrapped(start: Start) -> None:
    server = start(UNDER_ANOTHER_NAME, "run")
    assert server.says("main:app")
