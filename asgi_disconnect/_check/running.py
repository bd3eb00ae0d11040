"""Runs a server in its own process, with a line over which the app in it tells what happens."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

from .probe import ENVIRONMENT
from .servers import Server

START_LIMIT: Final = 20.0
STOP_LIMIT: Final = 2.0
ANSWER_LIMIT: Final = 1.5

COMPLAINT: Final = re.compile(
    r"\b(WARNING|ERROR|CRITICAL)\b|Traceback|Warning:|never awaited|never retrieved"
    r"|Exception ignored|Task was destroyed|^[\w.]*(Error|Exception|ExceptionGroup)\b: "
)


class CannotRun(Exception):
    """A server cannot be started, or has stopped; the message says why."""


@dataclass(frozen=True)
class App:
    """Where the app is."""

    where: str
    folder: str
    factory: bool = False


@dataclass
class Story:
    """What has happened to one request, when (by `time.monotonic()`), and with which details."""

    times: dict[str, float] = field(default_factory=lambda: {})
    details: dict[str, Any] = field(default_factory=lambda: {})


class RunningServer:
    """A running server."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self._stories: dict[str, Story] = {}
        self._news = asyncio.Event()
        self._lines: list[asyncio.StreamWriter] = []
        self._log = Path(tempfile.mkdtemp(prefix="asgi_disconnect-")) / "log"
        self._log_read: int = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, app: App, listening: asyncio.Server) -> None:
        """Start it, and return when it answers."""
        host, line_port = listening.sockets[0].getsockname()[:2]
        settings = {
            "app": app.where,
            "folder": app.folder,
            "factory": app.factory,
            "line": f"{host}:{line_port}",
        }
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.server.command(self.port),
                env={**os.environ, ENVIRONMENT: json.dumps(settings), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us; and we end the whole session that it has started.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        deadline = monotonic() + START_LIMIT
        while not (self._lines and await self._answers()):
            if self._process.returncode is not None or monotonic() > deadline:
                raise CannotRun(f"it does not start; its log ends with:\n{self.end_of_log()}")
            await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionError:
            return False
        writer.close()
        return True

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note what the app tells us."""
        self._lines.append(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                told: dict[str, Any] = json.loads(line)
                story = self.story(told.pop("request"))
                story.times.setdefault(told.pop("what"), told.pop("when"))
                story.details.update(told)
                self._news.set()
                self._news = asyncio.Event()
        self._lines.remove(writer)
        writer.close()

    def story(self, request: str) -> Story:
        """What has happened to a request so far."""
        return self._stories.setdefault(request, Story())

    async def wait(self, request: str, what: str, seconds: float) -> bool:
        """Whether `what` happens to a request within `seconds`."""
        return await self.wait_any(request, (what,), seconds)

    async def wait_any(self, request: str, events: tuple[str, ...], seconds: float) -> bool:
        """Whether one of `events` happens to a request within `seconds`."""
        deadline = monotonic() + seconds
        story = self.story(request)
        while not any(event in story.times for event in events):
            if self._process is not None and self._process.returncode is not None:
                raise CannotRun(f"it has stopped; its log ends with:\n{self.end_of_log()}")
            left = deadline - monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 0.5))
        return True

    async def ask(self, question: str) -> dict[str, Any]:
        """Ask the app's process a question (see `line`), and return the answer."""
        self._stories.pop(question, None)
        for line in self._lines:
            line.write(question.encode() + b"\n")
        await self.wait(question, "done", ANSWER_LIMIT)
        return self.story(question).details

    def log(self) -> str:
        """What the server has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def end_of_log(self) -> str:
        """The last lines that the server has written."""
        return "\n".join(self.log().rstrip().splitlines()[-15:])

    def complaints(self) -> list[str]:
        """The lines at WARNING or above since the last call."""
        text = self.log()
        new, self._log_read = text[self._log_read :], len(text)
        return [line.strip() for line in new.splitlines() if COMPLAINT.search(line)]

    async def stop(self) -> None:
        """End the server, and whatever it has started."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                process.terminate()
                await asyncio.wait_for(process.wait(), STOP_LIMIT)
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            await process.wait()
        for line in self._lines:
            line.close()
        shutil.rmtree(self._log.parent, ignore_errors=True)


@contextlib.asynccontextmanager
async def running(server: Server, port: int, app: App) -> AsyncGenerator[RunningServer]:
    """A server that runs while this block does."""
    runs = RunningServer(server, port)
    listening = await asyncio.start_server(runs.listen, "127.0.0.1", 0)
    try:
        await runs.start(app, listening)
        yield runs
    finally:
        listening.close()
        await runs.stop()


@contextlib.contextmanager
def free_port() -> Generator[int]:
    """A port of 127.0.0.1 that a server can take, and nobody else is given, while this block lasts.

    On Linux, a port that is bound is not given to anybody who asks for just any port, even for the
    near end of a connection; and two sockets with SO_REUSEADDR, which servers set, can share a port
    as long as only one listens.  Elsewhere the port is only free when the block begins.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()
        yield port
