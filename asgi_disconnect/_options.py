"""The middleware's options: their defaults, and what they must be."""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final, Literal

from ._buffer.quota import DiskQuota
from ._types import Scope

SECONDS: Final = "seconds"
BYTES: Final = "bytes"

FOREVER: Final = 1e9
"""Seconds (some thirty years) beyond which there is no deadline: clocks do not take any number."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a `DisconnectMiddleware`, which documents them."""

    cancel: bool = True
    grace: float = 10.0
    only: Callable[[Scope], Any] | None = None
    watch_after: float = 0.005
    cleanup_timeout: float = 10.0
    max_memory: float = 1048576
    max_disk: float = 268435456
    max_body_size: float | None = None
    body_timeout: float | None = None
    buffer: Literal["ahead", "whole"] = "ahead"
    seconds: float | None = None
    """A deadline that is the same for all exchanges."""
    deadline: Callable[[Scope], Any] | None = None
    """One that is chosen for each exchange."""
    websocket: bool = False
    on_disconnect: tuple[Callable[[Any], Any], ...] = ()
    disk_quota: DiskQuota = field(init=False, repr=False, compare=False)
    """Made here, because all exchanges of a middleware share its options."""
    leave_hooks: tuple[Callable[[Scope], Any], ...] = field(init=False, repr=False, compare=False)
    """The `on_leave` methods of the hooks that have one, looked up once."""
    stop_hooks: tuple[Callable[[Scope], Any], ...] = field(init=False, repr=False, compare=False)
    """Their `on_stop` methods."""
    end_hooks: tuple[Callable[[Scope, float, bool], Any], ...] = field(
        init=False, repr=False, compare=False
    )
    """Their `on_end` methods."""
    bounds_body: bool = field(init=False, repr=False, compare=False)
    """Whether to check each piece of a body before the app gets it."""

    def __post_init__(self) -> None:
        _check_flag("cancel", self.cancel)
        _check_number("grace", self.grace, SECONDS, "math.inf to tell the app and never cancel it")
        _check_number("watch_after", self.watch_after, SECONDS, "math.inf never to read ahead")
        _check_number("cleanup_timeout", self.cleanup_timeout, SECONDS, "math.inf for no limit")
        _check_number("max_memory", self.max_memory, BYTES, "math.inf never to use the disk")
        _check_number("max_disk", self.max_disk, BYTES, "math.inf for no limit")
        object.__setattr__(self, "disk_quota", DiskQuota(self.max_disk))
        for name in ("leave", "stop", "end"):
            methods = _methods(f"on_{name}", self.on_disconnect)
            object.__setattr__(self, f"{name}_hooks", methods)
        bounds_body = self.max_body_size is not None or self.body_timeout is not None
        object.__setattr__(self, "bounds_body", bounds_body)
        if self.max_body_size is not None:
            _check_number("max_body_size", self.max_body_size, BYTES, "None for no limit")
        if self.body_timeout is not None:
            _check_number("body_timeout", self.body_timeout, SECONDS, "None for no limit")
        _check_flag("websocket", self.websocket)
        if self.seconds is not None:
            or_else = "None for no limit; or a callable that takes the scope and returns them"
            check_seconds("deadline", self.seconds, or_else)
            seconds = float(self.seconds) if self.seconds < FOREVER else None
            object.__setattr__(self, "seconds", seconds)
        _check_choice("buffer", self.buffer, ("ahead", "whole"))
        if self.only is not None and not callable(self.only):
            raise TypeError(
                "only must be a callable that takes the scope and says whether to guard the"
                f" exchange, or None to guard them all, not {self.only!r}"
            )


def _methods(name: str, hooks: Iterable[object]) -> tuple[Callable[..., Any], ...]:
    """The methods called `name` of the hooks that have one."""
    found = [method for hook in hooks if callable(method := getattr(hook, name, None))]
    for method in found:
        if inspect.iscoroutinefunction(method):
            raise TypeError(f"{name}() of an on_disconnect= hook must be sync, not {method!r}")
    return tuple(found)


def as_hooks(value: Any) -> tuple[Callable[[Any], Any], ...]:
    """What `on_disconnect=` was given, as a tuple of callables."""
    if value is None:
        return ()
    if callable(value):
        return (value,)
    try:
        hooks: tuple[Any, ...] = tuple(value)
    except TypeError:
        raise _not_hooks(value) from None
    if not all(callable(hook) for hook in hooks):
        raise _not_hooks(value)
    return hooks


def _not_hooks(value: object) -> TypeError:
    return TypeError(
        "on_disconnect must be a callable that takes a DisconnectReport, or several of them, or"
        f" None, not {value!r}"
    )


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def _check_number(name: str, value: object, unit: str, or_else: str) -> None:
    expected = f"{name} must be a number of {unit}, 0 or more ({or_else})"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{expected}, not {value!r}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{expected}, not {value!r}")


def check_seconds(name: str, value: object, or_else: str) -> None:
    """Raise an error that names `name`, unless `value` is a number of seconds, 0 or more."""
    _check_number(name, value, SECONDS, or_else)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    expected = f"{name} must be {' or '.join(map(repr, choices))}"
    if not isinstance(value, str):
        raise TypeError(f"{expected}, not {value!r}")
    if value not in choices:
        raise ValueError(f"{expected}, not {value!r}")
