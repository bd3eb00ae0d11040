"""The request to the app, what a client that stays sees, and whether that shows anything."""

import http
import urllib.parse
from dataclasses import dataclass
from typing import Final

from .probe import HEADER

AT_ONCE: Final = 0.1
"""A response within this many seconds leaves nothing to abandon."""

_SAFE_IN_PATHS: Final = "/?&=+%:@!$'()*,;~-._[]"


class CannotAsk(Exception):
    """This request does not show what becomes of abandoned ones; the message says which would."""


def quoted(path: str) -> str:
    """`path` as it is sent."""
    return urllib.parse.quote(path, safe=_SAFE_IN_PATHS)


@dataclass(frozen=True)
class Request:
    """The request that the app is checked with."""

    method: str
    path: str
    headers: tuple[str, ...] = ()
    data: bytes = b""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.method} {self.path}"

    def head(self, mark: str, port: int) -> bytes:
        """The request line and the headers."""
        path = quoted(self.path)
        lines = [
            f"{self.method} {path} HTTP/1.1",
            f"{HEADER}: {mark}",
            "connection: close",
            *self.headers,
        ]
        if not self.has("host"):
            lines.append(f"host: 127.0.0.1:{port}")
        if self.data:
            lines.append(f"content-length: {len(self.data)}")
        return "\r\n".join([*lines, "", ""]).encode()

    def has(self, name: str) -> bool:
        """Whether a header of this name is given."""
        return name in {header.partition(":")[0].strip().lower() for header in self.headers}


@dataclass(frozen=True)
class Stay:
    """What a client that stays sees; times are in seconds from the call of the app."""

    status: int | None
    started: float | None
    complete: float | None
    answer: bytes = b""
    """The beginning of the answer."""

    @property
    def streams(self) -> bool:
        """Whether a client can leave during the response."""
        if self.started is None:
            return False
        return self.complete is None or self.complete - self.started > AT_ONCE

    @property
    def waits(self) -> bool:
        """Whether a client can leave before the response."""
        return self.started is None or self.started > AT_ONCE

    @property
    def refused(self) -> bool:
        """Whether the app refused the request."""
        return self.status is not None and self.status >= 400

    def header(self, name: str) -> str:
        """The value of a header of the response."""
        for line in self.answer.partition(b"\r\n\r\n")[0].decode(errors="replace").splitlines():
            found, _, value = line.partition(":")
            if found.strip().lower() == name:
                return value.strip()
        return ""

    @property
    def body(self) -> str:
        """The beginning of the response's body, on one line."""
        body = self.answer.partition(b"\r\n\r\n")[2][:2000]
        if self.header("transfer-encoding").lower() == "chunked":
            body = b"".join(body.split(b"\r\n")[1::2])
        text = body.decode(errors="replace")
        return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def require_work(request: Request, stay: Stay) -> None:
    """Raise `CannotAsk` if there is nothing to abandon."""
    if not stay.refused and (stay.waits or stay.streams):
        return
    said = f"{request.method} {request.path} answers {stay.status}"
    advice = _advice(request, stay)
    if stay.refused:
        name = phrase_of(stay.status or 0)
        body = f" It says: {stay.body[:200]}" if stay.body else ""
        raise CannotAsk(f"{said} {name}: there is no work to abandon.{body}{advice}")
    took = f"{(stay.complete or 0) * 1000:.0f} ms"
    raise CannotAsk(
        f"{said} within {took}: there is nothing to abandon.{advice} Choose a path that takes"
        " some time: --path /report, with --method and --data if it needs them."
    )


def require_late_answer(request: Request, stay: Stay, deadline: float) -> None:
    """Raise `CannotAsk` if the response starts too early for a deadline to prevent it."""
    if stay.started is None or stay.started > deadline + AT_ONCE:
        return
    raise CannotAsk(
        f"{request.method} {request.path} begins to answer after {stay.started:.2f} s: a deadline"
        f" of {deadline:g} s comes too late to show anything. Choose a smaller --deadline."
    )


def phrase_of(status: int) -> str:
    """The name of a status, or ""."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _advice(request: Request, stay: Stay) -> str:
    """How to get a better answer."""
    status, where = stay.status or 0, stay.header("location")
    kind = "" if request.has("content-type") else " --header 'Content-Type: application/json'"
    if status in (301, 302, 303, 307, 308) and where:
        if where.startswith("https:"):
            return (
                " It redirects to https: say what your proxy says, --header 'X-Forwarded-Proto:"
                " https', and for a Host of your own --header 'Host: example.org'."
            )
        return f" It redirects to {where}: --path {where}"
    if status in (400, 421) and "host" in stay.body.lower():
        return " Give it a Host that it serves: --header 'Host: example.org'."
    body = f"body right? --data '...'{kind}" if request.data else "path right, with its query?"
    advice = {
        400: f" Is the {body}",
        401: " Say who you are: --header 'Authorization: ...' or --header 'Cookie: ...'.",
        403: " Say who you are: --header 'Authorization: ...' or --header 'Cookie: ...'; a CSRF"
        " check needs its token, too.",
        404: " Is the path right?",
        405: f" Is the method right? --method; it allows {stay.header('allow') or 'others'}.",
        406: " Say what you accept: --header 'Accept: application/json, text/event-stream'.",
        415: f" Say what the body is:{kind or ' --header'}.",
        422: f" Does the body fit? --data '...'{kind}",
        429: " That is the app's own limit: raise it for the check.",
    }
    return advice.get(status, "")
