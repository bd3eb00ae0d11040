"""Exchanges that have a deadline."""

import math
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

import pytest

from asgi_disconnect import Disconnect, DisconnectReport

from ..scripted import Server

SOON = 0.02
WATCHING = pytest.mark.parametrize("watch_after", [0, 0.005, math.inf])
DEADLINES = pytest.mark.parametrize(
    "deadline",
    [SOON, 0.001, lambda scope: SOON, lambda scope: Fraction(1, 50)],
    ids=["constant", "before-watching", "callable", "fraction"],
)


async def run(
    server: Server, app: Callable[..., Awaitable[Any]], scope: Any = None, **options: Any
) -> DisconnectReport | None:
    """Run `app`, and return what is reported."""
    reports: list[DisconnectReport] = []
    await server.run(app, scope, **{"deadline": SOON, "on_disconnect": reports.append, **options})
    assert len(reports) <= 1
    return reports[0] if reports else None


def pass_deadline(disconnect: Disconnect) -> None:
    """Have it pass in this very tick."""
    exchange: Any = disconnect._exchange
    exchange.pass_deadline()
