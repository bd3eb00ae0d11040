"""The test's end of the line to the served app: what happened to each request, in order."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable


class Journal:
    """Listens on a free port, keeps what it is told, and opens gates."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self._lines: list[socket.socket] = []
        self._open_gates: list[str] = []
        self._stories: dict[str, list[str]] = {}
        self._news = threading.Condition()
        self._readers: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with self._news:
                self._lines.append(line)
                for key in self._open_gates:
                    line.sendall(f"{key}\n".encode())
            self._readers.append(threading.Thread(target=self._read, args=[line]))
            self._readers[-1].start()

    def _read(self, line: socket.socket) -> None:
        try:
            with line.makefile() as texts:
                for text in texts:
                    key, what = text.rstrip("\n").split(" ", 1)
                    with self._news:
                        self._stories.setdefault(key, []).append(what)
                        self._news.notify_all()
        except OSError:
            return

    def story(self, key: str) -> list[str]:
        """What has happened to a request so far."""
        with self._news:
            return list(self._stories.get(key, ()))

    def wait(self, key: str, what: str, *, timeout: float = 10) -> list[str]:
        """What has happened to a request, once `what` has."""
        return self._wait(key, what, lambda each: each == what, timeout)

    def first(self, key: str, *, timeout: float = 10) -> str:
        """What happens first."""
        return self._wait(key, "anything", lambda each: True, timeout)[0]

    def end(self, key: str, *, timeout: float = 10) -> list[str]:
        """The whole story of a request, once it is over."""
        return self._wait(
            key, "the end", lambda each: each == "returned" or each.startswith("raised"), timeout
        )

    def _wait(self, key: str, name: str, is_it: Callable[[str], bool], timeout: float) -> list[str]:
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                story = self._stories.get(key, [])
                if any(map(is_it, story)):
                    return list(story)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not {name} within {timeout} s; so far: {story}")
                self._news.wait(left)

    def open_gate(self, key: str) -> None:
        """Let a handler that works, or will work, go on."""
        with self._news:
            self._open_gates.append(key)
            for line in self._lines:
                with contextlib.suppress(ConnectionError):  # its server has ended
                    line.sendall(f"{key}\n".encode())

    def read_up(self) -> None:
        """Wait for the end of all that is told; the server has exited."""
        for reader in self._readers:
            reader.join(10)

    def close(self) -> None:
        for each in (self._listener, *self._lines):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._accepting.join(10)
        self.read_up()
