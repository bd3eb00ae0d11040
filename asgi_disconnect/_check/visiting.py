"""Clients that leave, and what becomes of the app then, for every kind of request.

All times are of `time.monotonic()`, a clock that all processes of a machine share: those of the app
are taken where it runs, so that a busy machine may tell of them late.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from .findings import WHILE, Departure, Moment
from .request import AT_ONCE, Stay
from .running import RunningServer, Story

CHANCES: Final = 3
"""How often to visit if the response is complete by the time that we leave: we may be held up."""

SOON_AFTER: Final = 0.3
"""Seconds that a report may take to arrive once the app has ended."""

_numbers = itertools.count(1)


class Visiting:
    """The visits to one server in one mode (`probe.Visit.serve`)."""

    def __init__(self, runs: RunningServer, mode: str, patience: float) -> None:
        self._runs = runs
        self._mode = mode
        self._patience = patience
        self._keys: dict[Moment, str] = {}

    async def stay(self) -> tuple[Stay, Departure | None]:
        """See what a client that stays sees, and what becomes of background work, if any."""
        raise NotImplementedError

    def require_work(self, stay: Stay) -> None:
        """Raise `CannotAsk` if there is nothing to abandon."""
        raise NotImplementedError

    def leaving(self, stay: Stay) -> list[Coroutine[Any, Any, Departure]]:
        """Leave at each possible moment."""
        raise NotImplementedError

    async def find_hiders(self, stay: Stay) -> tuple[str, ...]:
        """Leave, and ask each layer whether it still waits for the disconnect."""
        key = await self._leave_early(stay)
        await asyncio.sleep(AT_ONCE)
        answer = await self._runs.ask("hiders")
        await self._runs.wait(key, "ended", self._patience)
        return tuple(answer.get("hiders", ()))

    async def _leave_early(self, stay: Stay) -> str:
        """Leave while the app works, and return the request's key."""
        raise NotImplementedError

    def _mark(self) -> tuple[str, str]:
        """A key for the next request, and the value of its header."""
        key = f"r{next(_numbers)}"
        return key, f"{key} {self._mode}"

    def with_cleanup(self, departure: Departure) -> Departure:
        """Add what is known once everything that the app has started has ended."""
        key = self._keys.get(departure.moment)
        if key is None:
            return departure
        details = self._runs.story(key).details
        return replace(
            departure,
            cut_off=tuple(details.get("cut_off", ())),
            swallowed=tuple(details.get("swallowed", ())),
        )

    async def _outcome(self, key: str, moment: Moment, left: float | None = None) -> Departure:
        left = left or monotonic()
        self._keys[moment] = key
        runs = self._runs
        story = runs.story(key)
        # The response may arrive before we are told that the app was called.
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
            unguarded="unguarded" in story.details,
        )

    def _was_told(self, story: Story) -> bool:
        """Whether the app itself was told, not only a layer outside our middleware."""
        if "refused" in story.times:
            return True
        return ("heard" if self._mode == "as-is" else "told") in story.times


def _time_left(story: Story) -> tuple[str, float] | None:
    """The time that the middleware gives to an app that was told, or to cleanup."""
    if "cleanup_timeout" not in story.details:
        return None
    option = "cleanup_timeout" if "reached" in story.times else "grace"
    return option, float(story.details[option])
