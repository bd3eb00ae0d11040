"""The pieces of a request's body: what they bring, and what they cost.  No I/O."""

from typing import Any, Final

from .._types import Message

OVERHEAD: Final = 512
"""The bytes that a message costs besides its body: a dict of three, a bytes object, the allocator's
rounding (CPython 3.10 to 3.13: 300 to 400)."""

_PLAIN_KEYS: Final = frozenset({"type", "body", "more_body"})
_BYTES: Final[tuple[type, ...]] = (bytes, bytearray, memoryview)
Bytes = Any  # one of them


def size_of_body(message: Message) -> int:
    """How many bytes of the body `message` brings."""
    body: Any = message.get("body")
    return size_of(body) if _is_bytes(body) else 0


def plain_body_of(message: Message) -> Bytes:
    """The body of a message that brings nothing else, or None."""
    if message.get("type") != "http.request" or not message.keys() <= _PLAIN_KEYS:
        return None
    body: Any = message.get("body", b"")
    return body if _is_bytes(body) else None


def size_of(body: Bytes) -> int:
    """How many bytes `body` has."""
    return body.nbytes if isinstance(body, memoryview) else len(body)


def cost_of(message: Message) -> int:
    """How many bytes of memory `message` takes."""
    return OVERHEAD + size_of_body(message)


def piece_with(body: bytes) -> Message:
    """A message that brings `body`, and is not the last."""
    return {"type": "http.request", "body": body, "more_body": True}


def _is_bytes(value: object) -> bool:
    return isinstance(value, _BYTES)
