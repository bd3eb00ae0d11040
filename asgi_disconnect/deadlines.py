"""Deadlines that clients and proxies state themselves (contract §10).

    DisconnectMiddleware(app, deadline=client_deadline(at_most=30))

A caller that says how long it waits saves you any work after that.  Anybody can write a header, so
headers only shorten the time, which is never more than `at_most`.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, Final

from ._options import check_seconds

__all__ = ["client_deadline"]

_MILLISECONDS: Final = {b"": 0.001}

# name: (pattern of the value, seconds of each unit)
_HEADERS: Final[dict[bytes, tuple[re.Pattern[bytes], dict[bytes, float]]]] = {
    # gRPC over HTTP2, "Requests": a positive integer of at most 8 digits, and a unit.
    b"grpc-timeout": (
        re.compile(rb"([0-9]{1,8})([HMSmun])"),
        {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9},
    ),
    # Connect protocol, "Unary-Request": a positive integer of at most 10 digits.
    b"connect-timeout-ms": (re.compile(rb"([0-9]{1,10})()"), _MILLISECONDS),
    # Envoy's router filter; its counter has 64 bits.
    b"x-envoy-expected-rq-timeout-ms": (re.compile(rb"([0-9]{1,20})()"), _MILLISECONDS),
}


def client_deadline(at_most: float = 60.0) -> Callable[[MutableMapping[str, Any]], float]:
    """For `deadline=`: give a request the time that its client or a proxy states.

    It reads ``grpc-timeout`` (gRPC over HTTP2), ``connect-timeout-ms`` (the Connect protocol) and
    ``x-envoy-expected-rq-timeout-ms`` (Envoy's router), and takes the smallest of what it finds.  A
    value that is not a positive integer in the specified form is skipped.

    Since 0.2.

    :param at_most: seconds (default 60) for a request without such a header, and the most that a
        header can ask for; `math.inf` for no limit.
    :raises TypeError: if `at_most` is not a number.
    :raises ValueError: if it is negative or NaN.
    """
    check_seconds("at_most", at_most, "math.inf for no limit")
    return functools.partial(_read_deadline, at_most)


def _read_deadline(at_most: float, scope: MutableMapping[str, Any]) -> float:
    return min((at_most, *_stated_seconds(scope.get("headers") or ())))


def _stated_seconds(headers: Iterable[Any]) -> Iterator[float]:
    for name, value in _pairs_of_bytes(headers):
        known = _HEADERS.get(name.lower())
        if known is None:
            continue
        pattern, seconds_of = known
        match = pattern.fullmatch(value.strip(b" \t"))
        if match is not None and (amount := int(match[1])):
            yield amount * seconds_of[match[2]]


def _pairs_of_bytes(headers: Iterable[Any]) -> Iterator[tuple[bytes, bytes]]:
    for pair in headers:
        try:
            name, value = pair
        except (TypeError, ValueError):
            continue
        if isinstance(name, bytes) and isinstance(value, bytes):
            yield name, value
