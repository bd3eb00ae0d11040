"""The small responses to exchanges that cannot go on (contract §2, §10).  No I/O."""

from typing import Final

from .._types import Message

CONTENT_TOO_LARGE: Final = 413
REQUEST_TIMEOUT: Final = 408
SERVICE_UNAVAILABLE: Final = 503
GATEWAY_TIMEOUT: Final = 504

_TEXTS = {
    CONTENT_TOO_LARGE: b"The request body is too large.\n",
    REQUEST_TIMEOUT: b"The request body did not arrive in time.\n",
    SERVICE_UNAVAILABLE: b"The request cannot be handled at present.\n",
    GATEWAY_TIMEOUT: b"The response was not ready in time.\n",
}


def messages(status: int, http_version: str) -> list[Message]:
    """The messages of a plain-text response with `status`.

    On HTTP/1 it closes the connection, because the rest of the body is not read; on HTTP/2 and
    later ``connection`` is forbidden (RFC 9113, 8.2.2).
    """
    text = _TEXTS[status]
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
    ]
    if http_version.startswith("1"):
        headers.append((b"connection", b"close"))
    return [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": text, "more_body": False},
    ]
