"""How long `deadline=` lets an exchange take (contract §10)."""

import inspect
import logging
import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Final

from .._options import FOREVER
from .._types import Scope
from . import refusal
from .limits import Refused

logger: logging.Logger = logging.getLogger("asgi_disconnect")

PASSED: Final = Refused(refusal.GATEWAY_TIMEOUT, "deadline")


def seconds_for(deadline: Callable[[Scope], Any], scope: Scope) -> float | None:
    """The seconds that `deadline` gives the exchange of `scope`; None for no limit."""
    try:
        seconds = deadline(scope)
    except Exception:
        logger.exception(
            "deadline= raised for %s; the request runs without a deadline", _name_of(scope)
        )
        return None
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, Real) or math.isnan(seconds):
        logger.error(
            "deadline= returned %r for %s, not a number of seconds or None; the request runs"
            " without a deadline",
            *(seconds, _name_of(scope)),
        )
        if inspect.iscoroutine(seconds):
            seconds.close()
        return None
    if seconds <= 0:
        return 0.0
    return None if seconds > FOREVER else float(seconds)  # type: ignore[operator]


def _name_of(scope: Scope) -> str:
    return f"{scope.get('method', '?')} {scope.get('path', '?')}"
