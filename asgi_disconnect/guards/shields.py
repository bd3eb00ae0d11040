"""Where the app is shielded from cancellation, on asyncio.

anyio tells only a task itself, so its records are read here, and only here.  They are the same in
4.7, the oldest that we take, and in 4.16; whether they still are is tried out before they are used.
"""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any

import anyio

try:
    from anyio._backends import _asyncio
except ImportError:
    _asyncio = None

_task_states: Mapping[asyncio.Task[Any], Any] = getattr(_asyncio, "_task_states", {})


def innermost_scope(task: "asyncio.Task[Any]") -> anyio.CancelScope | None:
    """The cancel scope that `task` is in, if it is in any."""
    state = _task_states.get(task)
    return None if state is None else state.cancel_scope


def is_shielded(task: "asyncio.Task[Any]", outside: anyio.CancelScope | None) -> bool:
    """Whether a shield inside the scope `outside` is around `task`."""
    scope: Any = innermost_scope(task)
    while scope is not None and scope is not outside:
        if scope.shield:
            return True
        scope = scope._parent_scope
    return False


@functools.cache  # once
def can_be_seen() -> bool:
    """Whether anyio keeps its records as we read them; to be called in a task."""
    task = asyncio.current_task()
    assert task is not None
    try:
        with anyio.CancelScope(shield=True) as shield:
            return is_shielded(task, None) and not is_shielded(task, shield)
    except AttributeError:
        return False
