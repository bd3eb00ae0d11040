"""Clients that leave a WebSocket: by its closing handshake, and by a reset."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from .findings import UNGUARDED, Departure
from .request import AT_ONCE, CannotAsk, Stay
from .running import CannotRun, RunningServer
from .visiting import Visiting
from .websocket import ACCEPTED, WebSocket, require_open

if TYPE_CHECKING:
    from .websocket_client import Client

STAYS: Final = 2.0
"""Seconds after which we take a WebSocket that is still open for one that lasts."""


class WebSocketVisits(Visiting):
    """Visits by WebSocket."""

    def __init__(self, runs: RunningServer, request: WebSocket, mode: str, patience: float) -> None:
        if mode == "outermost":
            # Shorter than the patience: we want to see how it ends.
            mode += f":{10.0 if patience > 10.0 else patience / 2}"
        super().__init__(runs, mode, patience)
        self._request = request

    async def stay(self) -> tuple[Stay, Departure | None]:
        """Stay a while; if the app closes in that time, see what it does afterwards."""
        async with self._connected() as (key, client):
            await self._runs.wait_any(key, ("complete", "ended"), min(STAYS, self._patience))
            await asyncio.sleep(AT_ONCE)  # for the close frame to arrive
            stay = self._note_stay(key, client)
        times, details = self._runs.story(key).times, self._runs.story(key).details
        if "complete" not in times or stay.status != ACCEPTED:
            return stay, None
        ended = await self._runs.wait(key, "ended", self._patience)
        ran_on = times["ended"] - times["complete"] if ended else None
        cut_short = details.get("how") == "cancelled"
        return stay, Departure("after close", ran_on=ran_on, cut_short=cut_short)

    def _note_stay(self, key: str, client: "Client") -> Stay:
        response, story = client.response, self._runs.story(key)
        times = story.times
        if response is not None and "called" not in times:
            raise CannotRun(
                f"it answers {response.status_code} {response.reason_phrase!r} without calling the"
                " app: does the server have a WebSocket library, and is the request right?"
            )
        called = times.get("called", monotonic())
        if client.is_open:
            said = client.first.decode(errors="replace")
            body = f"{said!r}" if said else ""
            if client.close_code is not None:
                reason = f" {client.close_reason!r}" if client.close_reason else ""
                body = f"{body}{' and ' if body else ''}close code {client.close_code}{reason}"
            answer = b"\r\n\r\n" + body.encode()
        elif response is not None and response.status_code != ACCEPTED:
            head = "".join(f"{name}: {value}\r\n" for name, value in response.headers.raw_items())
            answer = f"HTTP/1.1\r\n{head}\r\n".encode() + bytes(response.body or b"")
        elif response is not None:
            raise CannotAsk(f"{self._request.name}: {client.refusal}.")
        else:
            answer = b""
        how = str(story.details.get("how", ""))
        if how.startswith("raised") and (client.is_open or response is None):
            hint = f"\n{UNGUARDED}" if "unguarded" in story.details else ""
            log = self._runs.end_of_log()
            raise CannotRun(f"the app {how}, though its client stayed{hint}\n{log}")
        over = times.get("complete", times.get("ended"))
        return Stay(
            status=response.status_code if response is not None else None,
            started=times["started"] - called if "started" in times else None,
            complete=over - called if over is not None else None,
            answer=answer,
        )

    def require_work(self, stay: Stay) -> None:
        """Raise `CannotAsk` if there is nothing to abandon."""
        require_open(self._request, stay, self._patience)

    def leaving(self, stay: Stay) -> list[Coroutine[Any, Any, Departure]]:
        """Leave both ways."""
        return [self.leave_by_close(stay), self.leave_by_reset(stay)]

    async def leave_by_close(self, stay: Stay) -> Departure:
        """Leave with a close frame."""
        async with self._connected() as (key, client):
            await self._stay_for_half(key, stay)
            left = monotonic()
            client.close()
            return await self._outcome(key, "by close", left)

    async def leave_by_reset(self, stay: Stay) -> Departure:
        """Leave by a reset."""
        async with self._connected() as (key, client):
            await self._stay_for_half(key, stay)
            client.reset()
        return await self._outcome(key, "by reset")

    async def _leave_early(self, stay: Stay) -> str:
        async with self._connected() as (key, client):
            await self._stay_for_half(key, stay)
            client.reset()
        return key

    async def _stay_for_half(self, key: str, stay: Stay) -> None:
        lasts = 1.0
        if stay.started is not None and stay.complete is not None:
            lasts = min(lasts, stay.complete - stay.started)
        await self._runs.wait(key, "ended", lasts / 2)

    @contextlib.asynccontextmanager
    async def _connected(self) -> "AsyncGenerator[tuple[str, Client]]":
        """Open a WebSocket and, if it is accepted, send its messages."""
        from .websocket_client import Client

        key, mark = self._mark()
        client = Client(self._request, mark, self._runs.port)
        try:
            await client.open(self._patience)
            if client.is_open:
                for frame in self._request.frames:
                    client.send(frame)
            yield key, client
        finally:
            await client.end()
