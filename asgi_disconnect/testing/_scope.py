"""Makes the connection scope of an exchange and its headers, as the server would."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

Headers = (
    Mapping[str, str | bytes]
    | Mapping[bytes, str | bytes]
    | Iterable[tuple[str | bytes, str | bytes]]
)
"""A mapping, or pairs if a name comes more than once; ``str`` or ``bytes``."""

Raw = list[tuple[bytes, bytes]]
"""Headers as a scope has them."""


def make_scope(target: str, headers: Raw, **fields: Any) -> dict[str, Any]:
    """What both kinds of scope have in common, and `fields`."""
    raw_path, _, query = target.partition("?")
    return {
        "asgi": {"version": "3.0"},
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "server": ("127.0.0.1", 8000),
        **fields,
    }


def make_headers(
    given: Headers,
    *,
    before: Iterable[tuple[str, str]] = (),
    after: Iterable[tuple[str, str]] = (),
) -> Raw:
    """The test's headers, among those of the client's that they do not replace.

    :raises TypeError: if they are neither a mapping nor pairs, of ``str`` or ``bytes``.
    """
    raw = [_encode(pair) for pair in _pairs_of(given)]
    names = {name for name, _ in raw}

    def unless_given(headers: Iterable[tuple[str, str]]) -> Raw:
        return [pair for pair in map(_encode, headers) if pair[0] not in names]

    return [*unless_given([("host", "testserver"), *before]), *raw, *unless_given(after)]


def _pairs_of(given: Any) -> Any:
    if hasattr(given, "items"):
        return given.items()
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise _refusal(given)
    return given


def _encode(pair: Any) -> tuple[bytes, bytes]:
    if isinstance(pair, str | bytes):  # two letters are not a pair
        raise _refusal(pair)
    try:
        name, value = pair
    except (TypeError, ValueError):
        raise _refusal(pair) from None
    return _as_bytes(name, pair).lower(), _as_bytes(value, pair)


def _as_bytes(text: Any, pair: Any) -> bytes:
    if isinstance(text, str):
        return text.encode("latin-1")
    if isinstance(text, bytes):
        return text
    raise _refusal(pair)


def _refusal(wrong: Any) -> TypeError:
    return TypeError(
        'headers= takes a mapping, such as {"accept": "text/plain"}, or pairs, such as'
        f' [("accept", "text/plain")], of str or bytes; {wrong!r} is neither'
    )
