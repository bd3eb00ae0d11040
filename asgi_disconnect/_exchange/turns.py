"""Gives the loop a turn while an app streams without ever waiting (contract §3)."""

import time
from typing import Final, Protocol

TURN_AFTER: Final = 0.01
"""Seconds of streaming after which the loop gets a turn."""


class Streaming(Protocol):
    """An exchange whose app sends message after message."""

    latest_turn: float


def is_time_for_a_turn(exchange: Streaming) -> bool:
    """Whether other tasks must run before the app goes on: a server's `send` seldom waits.

    Otherwise an endless stream would hold up its own client's departure, and all other requests.
    """
    now = time.monotonic()
    if now - exchange.latest_turn < TURN_AFTER:
        return False
    is_first, exchange.latest_turn = not exchange.latest_turn, now
    return not is_first
