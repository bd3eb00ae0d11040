"""Large bodies on their way to a server: none of whose megabytes is like another."""

import contextlib
import dataclasses
import hashlib
import random
import time
from collections.abc import Callable, Iterator

from ..servers.configurations import Configuration
from ..servers.http1 import Http1Client
from ..servers.running import RunningServer

MIB = 1 << 20
PATIENCE = 30.0
"""Seconds: long enough that only what hangs reaches it."""

_BLOCK = random.Random(0).randbytes(MIB)


def serving_uploads(configuration: Configuration) -> Configuration:
    """The same server with our application."""
    command = tuple(
        part.replace("app:application", "uploading:application") for part in configuration.command
    )
    return dataclasses.replace(configuration, command=command)


def pieces(size: int) -> Iterator[bytes]:
    """A body of `size` bytes, in pieces of up to a megabyte."""
    for number, start in enumerate(range(0, size, MIB)):
        yield (b"%08d" % number + _BLOCK[8:])[: size - start]


def digest(size: int) -> bytes:
    """What an app that has read a body of `size` bytes responds."""
    whole = hashlib.sha256()
    for piece in pieces(size):
        whole.update(piece)
    return whole.hexdigest().encode()


def wait_until(
    condition: Callable[[], object], or_say: Callable[[], object] = lambda: None
) -> None:
    """Look again and again: the server runs in a process of its own."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, or_say()
        time.sleep(0.05)


class Upload:
    """One request with a large body, by a client of its own."""

    def __init__(
        self,
        server: RunningServer,
        handler: str,
        size: int,
        *,
        mode: str = "guarded",
        chunked: bool = False,
        expect: bool = False,
    ) -> None:
        self.server = server
        self.size = size
        self.key = server.new_key()
        self.client = server.connect()
        self._chunked = chunked
        path = f"/{mode}/{handler}/{self.key}"
        if chunked:
            assert isinstance(self.client, Http1Client)
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            self.client.send(head.encode())
        elif expect:
            self.client.request(path, length=size, expect=True)
        else:
            self.client.request(path, length=size)

    def send(self, size: int | None = None) -> None:
        """Send the body: all of it, or its first `size` bytes."""
        left = self.size if size is None else size
        for piece in pieces(self.size):
            if left <= 0:
                return
            self._send(piece[:left])
            left -= len(piece)
        if self._chunked:
            self.client.send(b"0\r\n\r\n")

    def send_until_refused(self, size: int) -> None:
        """Send the first `size` bytes, or as much as the server takes before it has closed."""
        with contextlib.suppress(ConnectionError):
            self.send(size)

    def _send(self, piece: bytes) -> None:
        if self._chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        for start in range(0, len(piece), 65536):
            self.client.send(piece[start : start + 65536])

    def peak(self) -> int:
        """By how many bytes the server's memory has grown at most, once the request is over."""
        story = self.server.end(self.key)
        (peak,) = (int(what.split()[1]) for what in story if what.startswith("peak "))
        return peak
