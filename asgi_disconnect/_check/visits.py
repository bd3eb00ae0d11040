"""The clients that leave: when they do, and what becomes of the app then.

Every time is taken in this process, on one clock.
"""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from .findings import Checked, Departure, Half, Moment
from .probe import HEADER
from .running import App, CannotRun, RunningServer, running
from .servers import Server
from .target import Target

AT_ONCE: Final = 0.1
"""Seconds within which a response leaves nothing to abandon."""

Say = Callable[[str], None]


class NothingToAbandon(Exception):
    """The app answers too quickly for anybody to leave before; the message says what to do."""


@dataclass(frozen=True)
class Request:
    """What is asked of the app."""

    method: str
    path: str
    headers: tuple[str, ...] = ()
    data: bytes = b""

    def head(self, mark: str) -> bytes:
        """The request line and the headers."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"{HEADER}: {mark}",
            "connection: close",
            *self.headers,
        ]
        names = {header.partition(":")[0].strip().lower() for header in self.headers}
        if "host" not in names:
            lines.append("host: 127.0.0.1")
        if self.data:
            lines.append(f"content-length: {len(self.data)}")
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass(frozen=True)
class Stay:
    """What somebody sees who stays; seconds from the call of the app."""

    status: int | None
    started: float | None
    complete: float | None

    @property
    def streams(self) -> bool:
        """One can leave during the response."""
        if self.started is None:
            return False
        return self.complete is None or self.complete - self.started > AT_ONCE

    @property
    def waits(self) -> bool:
        """One can leave before the response."""
        return self.started is None or self.started > AT_ONCE


_numbers = itertools.count(1)


class Visits:
    """The visits to one server in one mode (`probe.Visit.serve`)."""

    def __init__(self, runs: RunningServer, request: Request, mode: str, patience: float) -> None:
        self._runs = runs
        self._request = request
        self._mode = mode
        self._patience = patience

    async def stay(self) -> tuple[Stay, Departure | None]:
        """Take the whole response and leave; this shows what becomes of background work, too."""
        async with self._connected() as (key, reader, writer):
            writer.write(self._request.data)
            reading = asyncio.ensure_future(_read_to_the_end(reader))
            await self._runs.wait_any(key, ("complete", "ended"), self._patience)
            await asyncio.wait([reading], timeout=AT_ONCE)
            reading.cancel()
            await asyncio.wait([reading])
            answer = b"" if reading.cancelled() else reading.result()
        left = monotonic()
        story = self._runs.story(key)
        times = story.times
        if "called" not in times:
            said = answer.partition(b"\r\n")[0].decode(errors="replace") or "nothing"
            raise CannotRun(f"it answers {said!r} without the app: is the request right?")
        called = times.get("called", left)
        how = str(story.details.get("how", ""))
        status = story.details.get("status")
        if how.startswith("raised") or (status is not None and status >= 500):
            what = how if how.startswith("raised") else f"answered {status}"
            raise CannotRun(f"the app {what}, though its client stayed\n{self._runs.end_of_log()}")
        stay = Stay(
            status=status,
            started=times["started"] - called if "started" in times else None,
            complete=times["complete"] - called if "complete" in times else None,
        )
        if stay.complete is None:
            await self._runs.wait(key, "ended", self._patience)
            return stay, None
        ended = await self._runs.wait(key, "ended", self._patience)
        ran_on = times["ended"] - times["complete"] if ended else None
        cut_short = story.details.get("how") == "cancelled"
        return stay, Departure("after response", ran_on=ran_on, cut_short=cut_short)

    async def leave_in_mid_upload(self) -> Departure:
        """Leave when half of the body has been sent."""
        async with self._connected() as (key, _, writer):
            writer.write(self._request.data[: len(self._request.data) // 2])
            await writer.drain()
            if self._runs.server.calls_on_partial_upload:
                await self._runs.wait(key, "called", self._patience)
                await asyncio.sleep(AT_ONCE)  # the middleware may have begun to watch, or not
        return await self._outcome(key, "mid-upload")

    async def leave_before_response(self, stay: Stay) -> Departure:
        """Leave while the app works on its response."""
        return await self._outcome(await self._leave_before_response(stay), "before response")

    async def find_hiders(self, stay: Stay) -> tuple[str, ...]:
        """Leave likewise, and ask each layer whether it still waits for the disconnect."""
        key = await self._leave_before_response(stay)
        await asyncio.sleep(AT_ONCE)
        answer = await self._runs.ask("hiders")
        await self._runs.wait(key, "ended", self._patience)
        return tuple(answer.get("hiders", ()))

    async def _leave_before_response(self, stay: Stay) -> str:
        async with self._connected() as (key, _, writer):
            writer.write(self._request.data)
            await self._runs.wait(key, "called", self._patience)
            await asyncio.sleep(0.5 if stay.started is None else min(0.5, stay.started / 2))
        return key

    async def leave_during_response(self) -> Departure:
        """Leave when the first of the response's body has come."""
        async with self._connected() as (key, reader, writer):
            writer.write(self._request.data)
            with contextlib.suppress(TimeoutError, ConnectionError, EOFError):
                await asyncio.wait_for(_read_first_piece(reader), self._patience)
        return await self._outcome(key, "during response")

    @contextlib.asynccontextmanager
    async def _connected(
        self,
    ) -> AsyncGenerator[tuple[str, asyncio.StreamReader, asyncio.StreamWriter]]:
        key = f"r{next(_numbers)}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._runs.port)
        try:
            writer.write(self._request.head(f"{key} {self._mode}"))
            yield key, reader, writer
        finally:
            writer.close()

    async def _outcome(self, key: str, moment: Moment) -> Departure:
        left = monotonic()
        runs = self._runs
        story = runs.story(key)
        if "called" not in story.times and not runs.server.calls_on_partial_upload:
            await runs.wait(key, "called", AT_ONCE)
        if "called" not in story.times:
            return Departure(moment, called=False)
        ended = await runs.wait(key, "ended", self._patience)
        if self._mode in ("outermost", "as-is") and ended:
            await runs.wait(key, "report", SOON_AFTER)
        outcome = story.details.get("outcome")
        told = outcome == "told" if self._mode == "as-is" else "told" in story.times
        return Departure(
            moment,
            told=told,
            cancelled=outcome in ("cancelled", "overran")
            or story.details.get("how") == "cancelled",
            ignored=outcome == "ignored" and self._mode != "idle",
            ran_on=max(0.0, story.times["ended"] - left) if ended else None,
            cut_short=outcome == "overran",
        )


SOON_AFTER: Final = 0.3


async def _read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """What came first."""
    first = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            first = first or piece
    return first


async def _read_first_piece(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read(1)


async def check_server(
    server: Server,
    port: int,
    app: App,
    target: Target,
    request: Request,
    patience: float,
    say: Say,
) -> Checked:
    """Check one server: without the middleware, and with it."""
    say("starts")
    try:
        async with running(server, port, app) as runs:
            without, stay = await _half(runs, request, _without(target), patience, say)
            if not (stay.waits or stay.streams or request.data):
                raise NothingToAbandon(_advice(request, stay))
            guarded, seen = await _half(runs, request, _with(target), patience, say, stay)
            checked = Checked(server.name, server.version, without, guarded)
            if target.guarded and checked.shortcomings(patience):
                outermost, _ = await _half(runs, request, "outermost", patience, say, stay)
                better = Checked(server.name, server.version, without, outermost)
                if len(better.shortcomings(patience)) < len(checked.shortcomings(patience)):
                    say("with: tracing")
                    hiders = await Visits(runs, request, "traced", patience).find_hiders(seen)
                    checked = dataclasses.replace(checked, hidden=True, hiders=hiders)
    except CannotRun as error:
        say("failed")
        return Checked(server.name, server.version, error=str(error))
    say("done")
    return checked


def _without(target: Target) -> str:
    # A handler that uses current_disconnect() needs a middleware, though it does nothing.
    return "idle" if target.guarded else "bare"


def _with(target: Target) -> str:
    return "as-is" if target.guarded else "outermost"


async def _half(
    runs: RunningServer,
    request: Request,
    mode: str,
    patience: float,
    say: Say,
    known: Stay | None = None,
) -> tuple[Half, Stay]:
    name = "without" if mode in ("bare", "idle") else "with"
    visits = Visits(runs, request, mode, patience)
    await runs.ask("begin")
    say(f"{name}: staying")
    stay, after = await visits.stay()
    seen = known or stay
    say(f"{name}: leaving")
    leaving: list[Coroutine[Any, Any, Departure]] = []
    if request.data:
        leaving.append(visits.leave_in_mid_upload())
    if seen.waits:
        leaving.append(visits.leave_before_response(seen))
    if seen.streams:
        leaving.append(visits.leave_during_response())
    departures = list(await asyncio.gather(*leaving))
    if after is not None:
        departures.append(after)
    left_over = await _left_over(runs)
    logged = runs.complaints()
    return Half(tuple(departures), tuple(logged), left_over), stay


async def _left_over(runs: RunningServer) -> tuple[str, ...] | None:
    """What is left when the server has had a moment to see that the connections are closed."""
    tasks: tuple[str, ...] | None = None
    for attempt in range(5):
        await asyncio.sleep(0.1)
        answer = await runs.ask(f"left{attempt}")
        if "tasks" not in answer:
            return None
        tasks = tuple(answer["tasks"])
        if not tasks:
            break
    return tasks


def _advice(request: Request, stay: Stay) -> str:
    took = f"{(stay.complete or 0) * 1000:.0f} ms"
    missing = " Is the path right?" if stay.status in (404, 405, 307, 308) else ""
    return (
        f"{request.method} {request.path} answers {stay.status} within {took}: there is nothing to"
        f" abandon.{missing} Choose a path that works for some time: --path /report, with --method"
        " and --data if it needs them."
    )
