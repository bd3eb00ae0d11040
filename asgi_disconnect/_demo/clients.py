"""The demo's clients, by a fixed timetable, and what is measured while they come and go.

All times are taken in this process, by one clock: when a client closed its connection, and when the
server's line arrived that tells what became of the request.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

WORK = 3.0
"""Seconds that the server's handler works."""
SETTLE = 0.2
"""Seconds from the last client's departure until we count the handlers that still run."""
TIME_LIMIT = 30.0


@dataclass(frozen=True)
class Visitor:
    """When a client comes, and how many seconds it waits for its answer (None: for ever)."""

    arrival: float
    patience: float | None = None


TIMETABLE = (
    *(Visitor(arrival=0.03 * n) for n in range(6)),
    *(Visitor(arrival=0.25 * n, patience=0.6) for n in range(12)),
)


class Failed(Exception):
    """The demo cannot be run."""


@dataclass
class Request:
    """What became of one request; times are `time.monotonic()`'s."""

    answered: bool = False
    left: float | None = None
    started: float | None = None
    stopped: float | None = None
    cleaned: float | None = None
    ended: float | None = None

    @property
    def running(self) -> bool:
        """Whether its handler is at work."""
        return self.started is not None and self.stopped is None

    @property
    def wasted(self) -> float:
        """Seconds that its handler worked after the client had left."""
        if self.left is None or self.stopped is None:
            return 0.0
        return max(0.0, self.stopped - self.left)


@dataclass(frozen=True)
class Outcome:
    """What one server did: the table's numbers."""

    requests: int
    answered: int
    abandoned: int
    wasted: float
    still_running: int
    started: int
    cleaned: int

    @property
    def shortcomings(self) -> list[str]:
        """What the middleware should have prevented, or should have left alone."""
        found: list[str] = []
        if self.answered + self.abandoned != self.requests:
            found.append("a client that stayed was not answered")
        if self.still_running:
            found.append("handlers ran on after their clients had left")
        if self.cleaned != self.started:
            found.append("a handler's cleanup did not run to its end")
        return found


class Audience(Protocol):
    """What shows the progress."""

    def show(self, seconds: float, for_clients: int, for_nobody: int) -> None: ...

    def done(self, seconds: float) -> None: ...


async def visit(*, guarded: bool, progress: Audience) -> Outcome:
    """Start a server, send it every client of the timetable, and wait for its handlers to end."""
    try:
        return await asyncio.wait_for(_visit(guarded, progress), TIME_LIMIT)
    except TimeoutError:
        raise Failed(f"it took more than {TIME_LIMIT:.0f} seconds") from None
    except OSError as error:
        raise Failed(str(error)) from error


async def _visit(guarded: bool, progress: Audience) -> Outcome:
    requests = [Request() for _ in TIMETABLE]
    async with _server(guarded) as (server, port):
        begin = monotonic()
        listening = asyncio.ensure_future(_listen(server, requests))
        showing = asyncio.ensure_future(_show(progress, requests, begin))
        try:
            await asyncio.gather(*(_call(port, n, requests[n]) for n in range(len(requests))))
            await asyncio.sleep(SETTLE)
            still_running = sum(request.running for request in requests)
            await listening
        finally:
            listening.cancel()
            showing.cancel()
            await asyncio.wait([listening, showing])
        progress.done(monotonic() - begin)
    return Outcome(
        requests=len(requests),
        answered=sum(request.answered for request in requests),
        abandoned=sum(request.left is not None for request in requests),
        wasted=sum(request.wasted for request in requests),
        still_running=still_running,
        started=sum(request.started is not None for request in requests),
        cleaned=sum(request.cleaned is not None for request in requests),
    )


@asynccontextmanager
async def _server(guarded: bool) -> AsyncGenerator[tuple[asyncio.subprocess.Process, int], None]:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asgi_disconnect._demo.server"),
        *(["guarded"] if guarded else []),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for us: the server ends when we close its standard input.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        event, _, port = (await server.stdout.readline()).decode().partition(" ")
        if event != "port":
            raise Failed("its server did not start")
        yield server, int(port)
    finally:
        server.stdin.close()
        await server.wait()


async def _listen(server: asyncio.subprocess.Process, requests: list[Request]) -> None:
    """Note what the server says, until every request has come to its end."""
    assert server.stdout is not None
    ended = 0
    while ended < len(requests):
        line = await server.stdout.readline()
        if not line:
            raise Failed("its server stopped")
        event, _, number = line.decode().strip().partition(" ")
        setattr(requests[int(number)], event, monotonic())
        ended += event == "ended"


async def _call(port: int, number: int, request: Request) -> None:
    visitor = TIMETABLE[number]
    await asyncio.sleep(visitor.arrival)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"GET /{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        response = await asyncio.wait_for(reader.read(), visitor.patience)
        request.answered = response.startswith(b"HTTP/1.1 200 ") and response.endswith(b"done\n")
    except TimeoutError:
        request.left = monotonic()
    finally:
        writer.close()


async def _show(progress: Audience, requests: list[Request], begin: float) -> None:
    while True:
        running = [request for request in requests if request.running]
        for_nobody = sum(request.left is not None for request in running)
        progress.show(monotonic() - begin, len(running) - for_nobody, for_nobody)
        await asyncio.sleep(0.1)
