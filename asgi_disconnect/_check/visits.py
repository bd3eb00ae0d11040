"""The clients that leave: when they do, and what becomes of the app then.

Every time is taken in this process, on one clock.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from .findings import WHILE, Departure, Moment
from .request import AT_ONCE, Request, Stay
from .running import CannotRun, RunningServer, Story

SOON_AFTER: Final = 0.3
"""Seconds that a report may take to come, once the app has ended."""

KEPT: Final = 8192
"""Bytes of an answer that are looked at."""

_numbers = itertools.count(1)


class Visits:
    """The visits to one server in one mode (`probe.Visit.serve`)."""

    def __init__(self, runs: RunningServer, request: Request, mode: str, patience: float) -> None:
        self._runs = runs
        self._request = request
        self._mode = mode
        self._patience = patience
        self._keys: dict[Moment, str] = {}

    async def stay(self) -> tuple[Stay, Departure | None]:
        """Take the whole response and leave; this shows what becomes of background work, too."""
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
            raise CannotRun(f"it answers {said!r} without the app: is the request right?")
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

    async def leave_during_response(self, stay: Stay) -> Departure:
        """Leave when the first of the response's body has come, or in the middle of the wait."""
        async with self._connected() as (key, reader, writer):
            writer.write(self._request.data)
            with contextlib.suppress(TimeoutError, ConnectionError, EOFError):
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self._patience)
                lasts = self._patience
                if stay.started is not None and stay.complete is not None:
                    lasts = min(lasts, (stay.complete - stay.started) / 2)
                await asyncio.wait_for(reader.read(1), lasts)
        return await self._outcome(key, "during response")

    async def let_deadline_pass(self, seconds: float) -> Departure:
        """Stay, while a deadline passes; the mode says the same one."""
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

    def with_cleanup(self, departure: Departure) -> Departure:
        """What is known of it when everything that the app has started has ended."""
        key = self._keys.get(departure.moment)
        if key is None:
            return departure
        details = self._runs.story(key).details
        return replace(
            departure,
            cut_off=tuple(details.get("cut_off", ())),
            swallowed=tuple(details.get("swallowed", ())),
        )

    @contextlib.asynccontextmanager
    async def _connected(
        self,
    ) -> AsyncGenerator[tuple[str, asyncio.StreamReader, asyncio.StreamWriter]]:
        key = f"r{next(_numbers)}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._runs.port)
        try:
            writer.write(self._request.head(f"{key} {self._mode}", self._runs.port))
            yield key, reader, writer
        finally:
            writer.close()

    async def _outcome(self, key: str, moment: Moment, left: float | None = None) -> Departure:
        left = left or monotonic()
        self._keys[moment] = key
        runs = self._runs
        story = runs.story(key)
        # The response may be here before we have been told that the app is called.
        if not await runs.wait(key, "called", AT_ONCE):
            return Departure(moment, called=False)
        ended = await runs.wait(key, "ended", min(WHILE, self._patience))
        stands: dict[str, Any] = {}
        if not ended:
            stands = await runs.ask(f"where {key}")
            ended = await runs.wait(key, "ended", left + self._patience - monotonic())
        if not ended:
            stands |= await runs.ask(f"where {key}")
        if ended and self._mode not in ("bare", "idle"):
            await runs.wait(key, "report", SOON_AFTER)
        outcome = story.details.get("outcome")
        cancelled = outcome in ("cancelled", "overran") or story.details.get("how") == "cancelled"
        return Departure(
            moment,
            told=self._was_told(story),
            cancelled=cancelled or (not ended and "reached" in story.times),
            ignored=outcome == "ignored" and self._mode != "idle",
            ran_on=max(0.0, story.times["ended"] - left) if ended else None,
            cut_short=outcome == "overran",
            thread=stands.get("thread"),
            blocked=stands.get("blocked"),
            at=stands.get("at"),
            time_left=_time_left(story),
            by_a2wsgi="by_a2wsgi" in story.details,
        )

    def _was_told(self, story: Story) -> bool:
        """What stands between the server and our middleware may be told, and the app not."""
        return ("heard" if self._mode == "as-is" else "told") in story.times


def _time_left(story: Story) -> tuple[str, float] | None:
    """What the middleware gives to an app that has been told, or to cleanup."""
    if "cleanup_timeout" not in story.details:
        return None
    option = "cleanup_timeout" if "reached" in story.times else "grace"
    return option, float(story.details[option])


async def _read_to_the_end(reader: asyncio.StreamReader, answer: bytearray) -> None:
    """Keep what comes first."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            answer += piece[: KEPT - len(answer)]
