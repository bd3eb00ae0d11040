"""Tests whether asyncio and anyio keep their records as `records` reads them."""

import asyncio
import contextlib
import functools
from typing import Any

import anyio

from . import records
from .records import Scope


@functools.cache  # once
def can_be_read() -> bool:
    """Whether asyncio and anyio keep their records as we read them.  Call this in a task."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(AttributeError, TypeError, KeyError):
        return hasattr(task, "_fut_waiter") and _are_scopes_as_read(task)
    return False


def can_spare_groups() -> bool:
    """Whether anyio puts a scope around each task of a group, as it does since 4.14."""
    return hasattr(anyio, "TaskHandle")


class _Deciding:
    """The decider of the try-out: it does what the scope would do."""

    def __init__(self) -> None:
        self.asked: list[tuple[Scope, Scope]] = []

    def deliver(self, scope: Scope, origin: Scope) -> bool:
        self.asked.append((scope, origin))
        return records.deliver(scope, origin)


def _are_scopes_as_read(task: "asyncio.Task[Any]") -> bool:
    shield, outer, inner = anyio.CancelScope(shield=True), anyio.CancelScope(), anyio.CancelScope()
    seen = False
    with shield, outer, inner:
        seen = (
            records.is_shielded(task, None)
            and not records.is_shielded(task, shield)
            and list(records.scopes_inside(task, shield)) == [inner, outer]
            and records.scopes_in(outer) == (inner,)
            and records.is_active(inner)
            and records.task_of_group(inner) is None
            and records.cancellations_by_scopes(task, shield) == 0
            and _is_delivering_as_read(shield, outer, inner)
        )
    return seen


def _is_delivering_as_read(shield: Scope, outer: Scope, inner: Scope) -> bool:
    deciding = _Deciding()
    heard: list[bool] = []
    if not records.watch(inner, deciding):
        return False
    listener = records.listen(outer, lambda: heard.append(True))
    try:
        outer.cancel()
    finally:
        records.unwatch(inner)
        records.stop_listening(listener)
    return (
        deciding.asked == [(inner, outer)]
        and heard == [True]
        and records.is_cancelled(inner)
        and not records.is_cancelled(shield)
    )
