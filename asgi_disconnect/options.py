"""The middleware's options: their defaults, and what they must be."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from .types import Scope


@dataclass(frozen=True, slots=True)
class Options:
    """What a `DisconnectMiddleware` was asked to do; see there for what each means."""

    cancel: bool = True
    grace: float = 10.0
    only: Callable[[Scope], Any] | None = None
    watch_after: float = 0.005
    cleanup_timeout: float = 10.0

    def __post_init__(self) -> None:
        _check_flag("cancel", self.cancel)
        _check_seconds("grace", self.grace, "math.inf to tell the app and never cancel it")
        _check_seconds("cleanup_timeout", self.cleanup_timeout, "math.inf to wait for it")
        _check_seconds("watch_after", self.watch_after, "math.inf never to read ahead of the app")
        if self.only is not None and not callable(self.only):
            raise TypeError(
                "only must be a callable that takes the scope and says whether to guard the"
                f" exchange, or None to guard them all, not {self.only!r}"
            )


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def _check_seconds(name: str, value: object, infinite: str) -> None:
    expected = f"{name} must be a number of seconds, 0 or more ({infinite})"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{expected}, not {value!r}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{expected}, not {value!r}")
