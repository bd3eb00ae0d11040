"""Reads what asyncio and anyio privately record of a task; no other module does.

These are private: the future that a task waits for (asyncio's ``_fut_waiter``, which anyio reads,
too), and whether asyncio complains about a task that never ends (``_log_destroy_pending``); which
cancel scope a task is in (anyio's ``_task_states``); how those scopes are nested, whose they are,
and how often they have cancelled (``_parent_scope``, ``_child_scopes``, ``_host_task``,
``_pending_uncancellations``); and the method by which a cancelled scope cancels what is in it
(``_deliver_cancellation``).  They are the same in anyio 4.7, the oldest that we support, and in
4.16.

`try_out` tests all of them before any is used.  If it says no, the guard in `reference` takes over,
which needs none of them.
"""

import asyncio
import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, ref


def _backend() -> Any:
    try:
        return importlib.import_module("anyio._backends._asyncio")
    except ImportError:
        return None


_task_states: WeakKeyDictionary[asyncio.Task[Any], Any] = getattr(
    _backend(), "_task_states", WeakKeyDictionary()
)
_CancelScope: Final[Any] = getattr(_backend(), "CancelScope", object)

_BY_REFERENCE: Final[tuple[type, ...]] = (WeakKeyDictionary,)

Scope = Any
"""An anyio cancel scope, with its private attributes."""


_PAUSE: Final = 0.005
"""Seconds after which we look again at a task whose future will not call us back."""


class Delivers(Protocol):
    """Decides how a scope delivers a cancellation."""

    def deliver(self, scope: Scope, origin: Scope) -> bool:
        """Deliver the cancellation of `origin` to what is in `scope`; true to be asked again."""
        ...


# What a task waits for


def awaited_by(task: "asyncio.Task[Any]") -> "asyncio.Future[Any] | None":
    """The future that `task` waits for; None if it has just yielded, or runs."""
    future = getattr(task, "_fut_waiter", None)
    return future if asyncio.isfuture(future) else None


def is_about_to_run(task: "asyncio.Task[Any]") -> bool:
    """Whether what `task` waits for has come: a cancellation now would lose it."""
    future = awaited_by(task)
    return future is not None and future.done()


def call_after_step(task: "asyncio.Task[Any]", callback: Callable[[Any], object]) -> None:
    """Call `callback` right after `task` has run again, and before anything else can.

    The loop calls back in order, and the task's own turn is scheduled already.  A future that is
    not asyncio's own, such as granian's, may hold only one callback, the task's: while the task
    waits for one of those, `callback` is called after a pause instead.
    """
    future = awaited_by(task)
    if isinstance(future, asyncio.Future):
        future.add_done_callback(callback)
    elif future is None or is_about_to_run(task):
        task.get_loop().call_soon(callback, None)
    else:
        task.get_loop().call_later(_PAUSE, callback, None)


def suppress_destroyed_warning(task: "asyncio.Task[Any]") -> None:
    """Keep asyncio from complaining if `task` never ends because its loop was dropped."""
    if hasattr(task, "_log_destroy_pending"):
        setattr(task, "_log_destroy_pending", False)  # noqa: B010 - unknown to type checkers


# Which scopes a task is in


def innermost_scope(task: "asyncio.Task[Any]") -> Scope | None:
    """The cancel scope that `task` is in, if it is in any.

    This is on the path of every request, so it reads the dictionary inside anyio's, whose own `get`
    takes twice as long.
    """
    states: Any = _task_states
    if type(states) in _BY_REFERENCE:
        state: Any = states.data.get(ref(task)) if states.data else None
    else:  # anyio 4.7
        state = states.get(task)
    return None if state is None else state.cancel_scope


def scopes_inside(task: "asyncio.Task[Any]", outside: Scope | None) -> Iterator[Scope]:
    """The scopes that `task` is in, from the innermost outwards, up to `outside`."""
    scope = innermost_scope(task)
    while scope is not None and scope is not outside:
        yield scope
        scope = scope._parent_scope


def is_shielded(task: "asyncio.Task[Any]", outside: Scope | None) -> bool:
    """Whether a shield inside the scope `outside` is around `task`."""
    return any(scope.shield for scope in scopes_inside(task, outside))


def is_cancelled(scope: Scope | None) -> bool:
    """Whether `scope`, or one around it that it is not shielded from, has been cancelled."""
    while scope is not None:
        if scope.cancel_called:
            return True
        if scope.shield:
            return False
        scope = scope._parent_scope
    return False


def cancellations_by_scopes(task: "asyncio.Task[Any]", outside: Scope | None) -> int:
    """How many of the cancellations that `task` counts come from scopes inside `outside`."""
    return sum(scope._pending_uncancellations or 0 for scope in scopes_inside(task, outside))


def task_of_group(scope: Scope) -> "asyncio.Task[Any] | None":
    """The task around which a task group has put `scope` (anyio 4.14 and later), or None."""
    parent = scope._parent_scope
    task: asyncio.Task[Any] | None = scope._host_task
    return None if parent is None or parent._host_task is task else task


def is_active(scope: Scope) -> bool:
    """Whether `scope` has been entered and not left."""
    return scope._host_task is not None


# How a scope cancels


class _Watched(_CancelScope):  # type: ignore[misc]
    """Somebody's scope, while we decide how it delivers a cancellation."""

    __slots__ = ()

    def _deliver_cancellation(self, origin: Scope) -> bool:
        decider = _deciders.get(self)
        # None in a turn of the loop that was scheduled while we decided.
        return deliver(self, origin) if decider is None else decider.deliver(self, origin)


class _Listener(_CancelScope):  # type: ignore[misc]
    """An empty scope that calls a function when one around it is cancelled."""

    __slots__ = ("callback",)
    callback: Callable[[], object]

    def _deliver_cancellation(self, origin: Scope) -> bool:
        self.callback()
        return False


_deciders: Final[dict[Scope, Delivers]] = {}


def watch(scope: Scope, decider: Delivers) -> bool:
    """Ask `decider` whenever `scope` has to deliver a cancellation, until `unwatch`.

    False if it is of a subclass, or watched already.
    """
    if type(scope) is not _CancelScope:
        return False
    _deciders[scope] = decider
    scope.__class__ = _Watched
    return True


def unwatch(scope: Scope) -> None:
    """Let `scope` deliver cancellations in its own way again."""
    scope.__class__ = _CancelScope
    del _deciders[scope]


def deliver(scope: Scope, origin: Scope) -> bool:
    """Deliver the cancellation of `origin` as `scope` does by itself."""
    return bool(_CancelScope._deliver_cancellation(scope, origin))


def scopes_in(scope: Scope) -> tuple[Scope, ...]:
    """The scopes directly inside `scope`."""
    return tuple(scope._child_scopes)


def listen(scope: Scope, callback: Callable[[], object]) -> Scope:
    """Call `callback` when `scope` is cancelled, until `stop_listening`."""
    listener = _Listener()
    listener.callback = callback
    listener._parent_scope = scope
    scope._child_scopes.add(listener)
    return listener


def stop_listening(listener: Scope) -> None:
    """Remove what `listen` returned from its scope.  Do not call this from its callback."""
    listener._parent_scope._child_scopes.discard(listener)
