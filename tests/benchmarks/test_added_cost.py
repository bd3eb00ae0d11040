"""The gain is not lost unnoticed: what we add to a quick request, against what it is made of.

The reference is timed in the same run and in turns with ours, so that neither the machine nor what
else it does matters: two cancel scopes and a loop timer, which a plain design would need for the
contract (§4.4, §2).  Ours was 0.37 to 0.55 of it when this was written, on Python 3.11 to 3.13; one
scope around the app makes that 0.7 and more.
"""

import asyncio
import functools
import gc
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from rounds import Interleaved
from scripted import App, never_suspends, one_by_one, suspends_once

from asgi_disconnect import DisconnectMiddleware

MOST = 0.62
ROUNDS, REQUESTS = 25, 100

try:
    import uvloop
except ImportError:
    LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio")]
else:
    LOOPS = [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(uvloop.new_event_loop, id="uvloop"),
    ]


class Reference:
    """Two cancel scopes and a timer around each request."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        timer = asyncio.get_running_loop().call_later(60, receive)
        try:
            with anyio.CancelScope(), anyio.CancelScope():
                await self.app(scope, receive, send)
        finally:
            timer.cancel()


def added(new_loop: Callable[[], asyncio.AbstractEventLoop], handler: App) -> dict[str, float]:
    """The CPU microseconds that each adds to a request, by the smallest of many rounds."""
    loop = new_loop()
    wraps: dict[str, Callable[[App], App]] = {
        "bare": lambda app: app,
        "reference": Reference,
        "ours": DisconnectMiddleware,
    }

    def batch(wrap: Callable[[App], App]) -> None:
        loop.run_until_complete(one_by_one(wrap(handler), REQUESTS))

    batches = {name: functools.partial(batch, wrap) for name, wrap in wraps.items()}
    taking_turns = Interleaved(batches, REQUESTS)
    gc.freeze()  # what other tests have left is not to be gone through before every batch
    try:
        for number in range(-2, ROUNDS):
            taking_turns.round(counted=number >= 0)
    finally:
        gc.unfreeze()
        loop.close()
    timings = taking_turns.timings()
    return {
        name: timings[name].added_minimum(timings["bare"]) for name in timings if name != "bare"
    }


@pytest.mark.parametrize("handler", [never_suspends, suspends_once])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_quick_request_costs_less_than_two_scopes_and_a_timer(
    new_loop: Callable[[], asyncio.AbstractEventLoop], handler: App
) -> None:
    ratios = []
    for _ in range(3):  # a machine that is busy with other things gets another chance
        costs = added(new_loop, handler)
        ratios.append(costs["ours"] / costs["reference"])
        if ratios[-1] <= MOST:
            break
    assert min(ratios) <= MOST
