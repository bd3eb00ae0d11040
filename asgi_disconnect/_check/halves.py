"""Checks one server: visits it without the middleware, and with it."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any, Final

from .findings import Checked, Departure, Half
from .request import CannotAsk, Request, Stay, require_late_answer
from .running import App, CannotRun, RunningServer, running
from .servers import Server
from .target import Target
from .visiting import Visiting
from .visits import Visits
from .websocket import WebSocket
from .websocket_visits import WebSocketVisits

TASKS_END: Final = 0.5
"""Seconds that the app's last tasks have to end after their request."""

Say = Callable[[str], None]


class HalfTaken:
    """Makes one half of a check: with a running server, and a request for it."""

    def __init__(
        self,
        runs: RunningServer,
        request: Request | WebSocket,
        patience: float,
        deadline: float | None,
        say: Say,
    ) -> None:
        self._runs = runs
        self._request = request
        self.patience = patience
        self._deadline = deadline
        self._say = say

    async def take(self, mode: str, known: Stay | None = None) -> tuple[Half, Stay]:
        """Visit in this mode; `known` says how the app behaves without the middleware."""
        name = "without" if mode in ("bare", "idle") else "with"
        visits = self._visits(mode)
        self._say(f"{name}: staying")
        stay, after = await visits.stay()
        # By now the app has started what it starts once, at its first request.
        await self._runs.ask("begin")
        seen = known or stay
        if known is None:
            visits.require_work(stay)
        self._say(f"{name}: leaving")
        leaving: list[Coroutine[Any, Any, Departure]] = visits.leaving(seen)
        bounded = visits
        deadline, request = self._deadline, self._request
        if deadline is not None and name == "with" and isinstance(request, Request):
            require_late_answer(request, seen, deadline)
            mode = f"deadline:{deadline!r}"
            bounded = Visits(self._runs, request, mode, self.patience)
            leaving.append(bounded.let_deadline_pass(deadline))
        departures = await asyncio.gather(*leaving)
        left_over = await self._left_over()
        departures = [
            bounded.with_cleanup(visits.with_cleanup(departure)) for departure in departures
        ]
        if after is not None:
            departures.append(after)
        return Half(tuple(departures), tuple(self._runs.complaints()), left_over), stay

    async def _left_over(self) -> tuple[str, ...] | None:
        """What is left once the server has had a moment to notice the closed connections."""
        tasks: tuple[str, ...] | None = None
        for attempt in range(5):
            await asyncio.sleep(TASKS_END / 5)
            answer = await self._runs.ask(f"left {attempt}")
            if "tasks" not in answer:
                return None
            tasks = tuple(answer["tasks"])
            if not tasks:
                break
        return tasks

    async def find_hiders(self, stay: Stay) -> tuple[str, ...]:
        """What in the stack keeps the disconnect from the middleware."""
        self._say("with: tracing")
        return await self._visits("traced").find_hiders(stay)

    def _visits(self, mode: str) -> Visiting:
        if isinstance(self._request, WebSocket):
            return WebSocketVisits(self._runs, self._request, mode, self.patience)
        return Visits(self._runs, self._request, mode, self.patience)


async def check_server(
    server: Server,
    port: int,
    app: App,
    target: Target,
    request: Request | WebSocket,
    patience: float,
    deadline: float | None,
    say: Say,
) -> Checked:
    """Check one server: without the middleware, and with it."""
    say("starts")
    # A handler that uses current_disconnect() needs a middleware, even one that does nothing.
    bare, own = ("idle", "as-is") if target.guarded else ("bare", "outermost")
    try:
        async with running(server, port, app) as runs:
            half = HalfTaken(runs, request, patience, deadline, say)
            without, stay = await half.take(bare)
            guarded, seen = await half.take(own, stay)
            checked = Checked(server.name, server.version, without, guarded)
            again = checked.logs_more > 0 or seen.refused
            if target.guarded and not again:
                checked = await _look_for_hiders(half, checked, stay)
        if again:
            # The app itself may be the reason: a limit, or a line logged at every second request.
            async with running(server, port, app) as runs:
                half = HalfTaken(runs, request, patience, deadline, say)
                checked = await _take_again(half, checked, bare, own, stay)
                if target.guarded:
                    checked = await _look_for_hiders(half, checked, stay)
    except CannotRun as error:
        say("failed")
        return Checked(server.name, server.version, error=str(error))
    except CannotAsk as error:
        say("not asked")
        lacks = "" if server.lifespan else f" {server.name} runs no lifespan: does the app need it?"
        return Checked(server.name, server.version, unasked=f"{error}{lacks}")
    say("done")
    return checked


async def _take_again(
    half: HalfTaken, checked: Checked, bare: str, own: str, known: Stay
) -> Checked:
    """Take the half with the middleware first, on a server that has just started."""
    guarded, stay = await half.take(own, known)
    if stay.refused:
        raise CannotRun(
            f"the app answers {stay.status} with the middleware, and {known.status} without"
        )
    checked = dataclasses.replace(checked, guarded=guarded)
    if checked.logs_more <= 0:
        return checked
    without, _ = await half.take(bare, known)
    again = dataclasses.replace(checked, without=without)
    return again if again.logs_more <= 0 else checked


async def _look_for_hiders(half: HalfTaken, checked: Checked, known: Stay) -> Checked:
    """See whether another middleware outermost does better than the app's own, and why."""
    found = checked.shortcomings(half.patience)
    if not found or checked.unguarded:
        return checked
    outermost, _ = await half.take("outermost", known)
    better = dataclasses.replace(checked, guarded=outermost)
    if len(better.shortcomings(half.patience)) >= len(found):
        return checked
    return dataclasses.replace(checked, hidden=True, hiders=await half.find_hiders(known))
