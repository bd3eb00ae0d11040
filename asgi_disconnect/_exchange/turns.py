"""An app that streams without ever waiting gives the loop a turn (contract §3)."""

import time
from typing import Final, Protocol

TURN_AFTER: Final = 0.01
"""Seconds after which it does."""


class Streaming(Protocol):
    """An exchange whose app sends one message after the other."""

    latest_turn: float


def is_time_for_a_turn(exchange: Streaming) -> bool:
    """Whether others have to run before the app goes on: a server's `send` seldom waits.

    Else an endless stream would keep its client's departure, and all other requests, waiting.
    """
    now = time.monotonic()
    if now - exchange.latest_turn < TURN_AFTER:
        return False
    is_first, exchange.latest_turn = not exchange.latest_turn, now
    return not is_first
