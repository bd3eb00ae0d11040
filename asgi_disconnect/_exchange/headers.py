"""The request's headers, which may be good for one pass only.

ASGI HTTP specification, "HTTP Connection Scope": ``headers`` is an iterable of two-item iterables.
So reading them here leaves the app a list of pairs (contract §1).
"""

import math
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .._types import Scope

PLAIN: Final[tuple[type, ...]] = (list, tuple)
"""Types of headers, and of their pairs, that can be read twice."""
_DIGITS: Final = sys.int_info.str_digits_check_threshold
"""`int()` reads this many digits whatever its limit is set to."""


def make_readable(scope: Scope) -> bool:
    """Replace headers that cannot be read twice by a list of pairs; true if that was needed.

    `scope` is our copy.  Servers give lists of tuples or lists, which stay as they are: a look at
    the first pair is enough, and cheaper than a pass.
    """
    headers: Any = scope.get("headers", ())
    if type(headers) in PLAIN and (not headers or type(headers[0]) in PLAIN):
        return False
    scope["headers"] = [tuple(pair) for pair in headers]
    return True


def expects_continue(headers: Iterable[Any]) -> bool:
    """Whether the client waits for ``100 Continue`` before it sends the body (RFC 9110, 10.1.1)."""
    return any(value.lower() == b"100-continue" for value in _values(headers, b"expect"))


def content_length(headers: Iterable[Any]) -> float | None:
    """The body's announced length, if there is one and it is a number (RFC 9110, 8.6).

    `math.inf` if the number is so long that Python may refuse to read it.
    """
    for value in _values(headers, b"content-length"):
        if value.isdigit():
            digits = value.lstrip(b"0") or b"0"
            return int(digits) if len(digits) <= _DIGITS else math.inf
    return None


def announces_body(headers: Iterable[Any]) -> bool:
    """Whether the headers say that there is a body (RFC 9112, 6)."""
    return bool(content_length(headers)) or any(_values(headers, b"transfer-encoding"))


def _values(headers: Iterable[Any], wanted: bytes) -> Iterator[bytes]:
    for pair in headers:
        if type(pair) in PLAIN and len(pair) == 2 and pair[0].lower() == wanted:
            yield pair[1].strip()
