"""Clients that leave an HTTP request, each at another moment."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from .findings import Departure, Moment
from .request import AT_ONCE, Request, Stay, require_work
from .running import CannotRun, RunningServer
from .visiting import CHANCES, Visiting

KEPT: Final = 8192
"""How many bytes of an answer to keep."""


class Visits(Visiting):
    """Visits by HTTP request."""

    def __init__(self, runs: RunningServer, request: Request, mode: str, patience: float) -> None:
        super().__init__(runs, mode, patience)
        self._request = request

    async def stay(self) -> tuple[Stay, Departure | None]:
        """Take the whole response and leave, which also shows what becomes of background work."""
        async with self._connected() as (key, reader, writer):
            writer.write(self._request.data)
            answer = bytearray()
            reading = asyncio.ensure_future(_read_to_the_end(reader, answer))
            await self._runs.wait_any(key, ("complete", "ended"), self._patience)
            await asyncio.wait([reading], timeout=AT_ONCE)
            reading.cancel()
            await asyncio.wait([reading])
        left = monotonic()
        story = self._runs.story(key)
        times = story.times
        if "called" not in times:
            said = bytes(answer).partition(b"\r\n")[0].decode(errors="replace") or "nothing"
            raise CannotRun(f"it answers {said!r} without calling the app: is the request right?")
        called = times.get("called", left)
        how = str(story.details.get("how", ""))
        stay = Stay(
            status=story.details.get("status"),
            started=times["started"] - called if "started" in times else None,
            complete=times["complete"] - called if "complete" in times else None,
            answer=bytes(answer),
        )
        if how.startswith("raised") and not stay.refused:
            raise CannotRun(f"the app {how}, though its client stayed\n{self._runs.end_of_log()}")
        ended = await self._runs.wait(key, "ended", self._patience)
        if stay.complete is None:
            return stay, None
        ran_on = times["ended"] - times["complete"] if ended else None
        cut_short = story.details.get("how") == "cancelled"
        return stay, Departure("after response", ran_on=ran_on, cut_short=cut_short)

    def require_work(self, stay: Stay) -> None:
        """Raise `CannotAsk` if there is nothing to abandon."""
        require_work(self._request, stay)

    def leaving(self, stay: Stay) -> list[Coroutine[Any, Any, Departure]]:
        """Leave at each possible moment."""
        leaving: list[Coroutine[Any, Any, Departure]] = []
        if self._request.data:
            leaving.append(self.leave_in_mid_upload())
        if stay.waits:
            leaving.append(self.leave_before_response(stay))
        if stay.streams:
            leaving.append(self.leave_during_response(stay))
        return leaving

    async def leave_in_mid_upload(self) -> Departure:
        """Leave after sending half of the body."""
        async with self._connected() as (key, _, writer):
            writer.write(self._request.data[: len(self._request.data) // 2])
            await writer.drain()
            if self._runs.server.calls_on_partial_upload:
                await self._runs.wait(key, "called", self._patience)
                await asyncio.sleep(AT_ONCE)  # the middleware may or may not have begun to watch
        return await self._outcome(key, "mid-upload")

    async def leave_before_response(self, stay: Stay) -> Departure:
        """Leave while the app works on its response."""
        return await self._abandon("before response", lambda: self._leave_early(stay))

    async def _leave_early(self, stay: Stay) -> str:
        async with self._connected() as (key, _, writer):
            writer.write(self._request.data)
            await self._runs.wait(key, "called", self._patience)
            await asyncio.sleep(0.5 if stay.started is None else min(0.5, stay.started / 2))
        return key

    async def leave_during_response(self, stay: Stay) -> Departure:
        """Leave when the first of the response's body has arrived, or halfway through the wait."""
        return await self._abandon("during response", lambda: self._leave_late(stay))

    async def _leave_late(self, stay: Stay) -> str:
        async with self._connected() as (key, reader, writer):
            writer.write(self._request.data)
            with contextlib.suppress(TimeoutError, ConnectionError, EOFError):
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self._patience)
                lasts = self._patience
                if stay.started is not None and stay.complete is not None:
                    lasts = min(lasts, (stay.complete - stay.started) / 2)
                await asyncio.wait_for(reader.read(1), lasts)
        return key

    async def _abandon(
        self, moment: Moment, leave: Callable[[], Coroutine[Any, Any, str]]
    ) -> Departure:
        """Leave before the response is complete."""
        chances = CHANCES
        while True:
            key = await leave()
            left = monotonic()
            departure = await self._outcome(key, moment, left)
            chances -= 1
            if not chances or self._runs.story(key).times.get("complete", math.inf) >= left:
                return departure

    async def let_deadline_pass(self, seconds: float) -> Departure:
        """Stay while a deadline passes; the mode sets the same one."""
        async with self._connected() as (key, reader, writer):
            writer.write(self._request.data)
            answer = bytearray()
            reading = asyncio.ensure_future(_read_to_the_end(reader, answer))
            await self._runs.wait(key, "called", self._patience)
            called = self._runs.story(key).times.get("called", monotonic())
            await self._runs.wait(key, "ended", max(0.0, called + seconds - monotonic()))
            departure = await self._outcome(key, "deadline", called + seconds)
            await asyncio.wait([reading], timeout=AT_ONCE)
            reading.cancel()
            await asyncio.wait([reading])
        return replace(departure, answered=b" 504 " in answer.partition(b"\r\n")[0])

    @contextlib.asynccontextmanager
    async def _connected(
        self,
    ) -> AsyncGenerator[tuple[str, asyncio.StreamReader, asyncio.StreamWriter]]:
        key, mark = self._mark()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._runs.port)
        try:
            writer.write(self._request.head(mark, self._runs.port))
            yield key, reader, writer
        finally:
            writer.close()


async def _read_to_the_end(reader: asyncio.StreamReader, answer: bytearray) -> None:
    """Read everything, but keep only the beginning."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            answer += piece[: KEPT - len(answer)]
