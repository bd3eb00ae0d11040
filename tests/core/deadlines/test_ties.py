"""At whatever tick a deadline passes, there is one outcome (contract §10)."""

import random
from typing import Any

import anyio
import pytest

from asgi_disconnect import Disconnect, DisconnectReport, current_disconnect

from ..scripted import HUNG, LAST, MORE, REQUEST, START, Server, ticks
from .exchanges import pass_deadline

pytestmark = pytest.mark.anyio


class Tied:
    """An app with random pauses, and a deadline that passes at a random tick."""

    def __init__(self, chance: random.Random) -> None:
        self.pauses = [chance.randrange(6) for _ in range(12)]
        self.pieces = chance.randrange(3)
        self.reads = chance.random() < 0.5
        self.listens = chance.random() < 0.3
        self.watch_after = chance.choice([0, 0, 1000])
        self.passes_at = chance.randrange(45)
        self.complete = self.cancelled_when_complete = False
        self.outcome = "nothing"

    async def pause(self) -> None:
        await ticks(self.pauses.pop() if self.pauses else 1)

    async def app(self, scope: Any, receive: Any, send: Any) -> str:
        self.disconnect: Disconnect = current_disconnect()
        try:
            if self.listens:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.work, receive, send)
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    self.outcome = "finished" if self.complete else "told"
                    if not self.complete:
                        tasks.cancel_scope.cancel()
            else:
                await self.work(receive, send)
                self.outcome = "finished"
        except anyio.get_cancelled_exc_class():
            self.cancelled_when_complete = self.complete
            self.outcome = "cancelled"
            raise
        return "returned"

    async def work(self, receive: Any, send: Any) -> None:
        await self.pause()
        if self.reads and not self.listens:
            await receive()
        await self.pause()
        await send(START)
        for _ in range(self.pieces):
            await self.pause()
            await send(MORE)
        await self.pause()
        self.complete = self.server.sent[-1:] != [] and not self.disconnect.is_set()
        await send(LAST)
        await self.pause()  # background work

    async def run(self) -> None:
        self.server = server = Server(REQUEST)

        async def pass_it() -> None:
            await ticks(self.passes_at)
            if hasattr(self, "disconnect") and self.disconnect._exchange is not None:
                pass_deadline(self.disconnect)

        async def send(message: Any) -> None:
            server.sent.append(message)
            if not message.get("more_body", True):
                server.leave()  # "this exchange is over", as servers say it

        server.send = send  # type: ignore[method-assign]
        reports: list[DisconnectReport] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_it)
            returned = await server.run(
                self.app,
                deadline=1000,
                watch_after=self.watch_after,
                grace=1000,
                on_disconnect=reports.append,
            )
            tasks.cancel_scope.cancel()
        state = {**vars(self), "sent": server.types}
        assert not self.cancelled_when_complete, state
        statuses = [each["status"] for each in server.sent if "status" in each]
        if self.complete:
            assert (statuses, server.types[-1], reports) == ([200], "body", []), state
            assert returned == "returned", state
        else:
            assert [report.cause for report in reports] == ["deadline"], state
            assert len(statuses) == 1, state
            if statuses == [504]:
                assert server.types == ["start", "body"], state
            else:
                assert server.sent[-1].get("more_body", True), state
            # It may have ended by itself before it was reached; then what it sent was dropped.
            assert returned == (None if self.outcome == "cancelled" else "returned"), state


@pytest.mark.timeout(300)
async def test_at_whatever_tick_it_passes_there_is_one_outcome() -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    outcomes: dict[str, int] = {}
    for _ in range(20):
        exchanges = [Tied(chance) for _ in range(250)]
        with anyio.fail_after(HUNG * 10):
            async with anyio.create_task_group() as tasks:
                for exchange in exchanges:
                    tasks.start_soon(exchange.run)
        for exchange in exchanges:
            outcomes[exchange.outcome] = outcomes.get(exchange.outcome, 0) + 1
    assert set(outcomes) == {"finished", "told", "cancelled"}, outcomes
    assert min(outcomes.values()) > 100, outcomes


@pytest.mark.parametrize("passes_at", range(24))
@pytest.mark.parametrize("watch_after", [0, 1000])
async def test_around_the_last_message_it_never_cancels(passes_at: int, watch_after: float) -> None:
    server, done = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()

        async def pass_it() -> None:
            await ticks(passes_at)
            if not done:
                pass_deadline(disconnect)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_it)
            await ticks(4)
            await send(START)
            await ticks(4)
            complete = not disconnect.is_set()
            await send(LAST)
            await ticks(30)  # background work
            done.append(complete)

    await server.run(app, deadline=1000, watch_after=watch_after)
    if server.types == ["start", "body"] and server.sent[0]["status"] == 200:
        assert done == [True]
    else:
        assert done in ([], [False])
