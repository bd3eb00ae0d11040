"""A server in a subprocess, as a user would start it, and the line to the app that it runs."""

import contextlib
import http.client
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import asgi_disconnect
from asgi_disconnect._check.running import free_port

from .configurations import Configuration
from .http1 import Http1Client
from .journal import Journal

if TYPE_CHECKING:
    from .tls import Certificate
    from .websocket_clients import WebSocketClient

Client = Http1Client

SERVED = Path(__file__).parent / "served"

COMPLAINT = re.compile(
    r"\b(WARNING|ERROR|CRITICAL)\b|Traceback|Warning:|never awaited|never retrieved"
    r"|Exception ignored|Task was destroyed"
)

# asyncio's transport says so from the fifth write on that falls between the loss of the connection
# and its report: an app that sends all the time can be that quick on hypercorn, bare or guarded.
NOISE = "WARNING asyncio: socket.send() raised exception."
# uvicorn says so of `--ws websockets`, once.
DEPRECATED = "UvicornDeprecationWarning: "


class RunningServer:
    """One server process, from `start()` to `stop()`."""

    def __init__(
        self, configuration: Configuration, *options: str, tls: "Certificate | None" = None
    ) -> None:
        self.configuration = configuration
        self._tls = tls
        self.journal = Journal()
        self.story = self.journal.story
        self.wait = self.journal.wait
        self.end = self.journal.end
        self.open_gate = self.journal.open_gate
        self._keys = map("r{}".format, itertools.count())
        self._clients: list[Client | WebSocketClient] = []
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._read_up_to = 0
        self.complaints_expected = False
        self._until_stopped = contextlib.ExitStack()
        self.address = ("127.0.0.1", self._until_stopped.enter_context(free_port()))
        command = [part.format(port=self.address[1]) for part in configuration.command]
        package = str(Path(asgi_disconnect.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command, *options],
            cwd=SERVED,
            env={
                **os.environ,
                "JOURNAL": self.journal.address,
                "PYTHONPATH": path,
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_until_up(self) -> None:
        """Wait until it accepts connections."""
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(self.address).close()
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"not up:\n{self.log()}") from None
                time.sleep(0.02)
            else:
                return

    def new_key(self) -> str:
        """A name for a request."""
        return next(self._keys)

    def report(self, key: str) -> str:
        """What the middleware reports of a WebSocket."""
        return self.journal.first(f"{key}-report")

    def connect(self) -> Client:
        """A new client, closed by `close_clients()`."""
        if self.configuration.http2:
            from .http2 import Http2Client

            tls = self._tls and self._tls.trusted("h2")
            client: Client = Http2Client(self.address, tls)  # type: ignore[assignment]
        else:
            client = Http1Client(self.address, self._tls and self._tls.trusted("http/1.1"))
        self._clients.append(client)
        return client

    def open_websocket(self, path: str, *, accepted: bool = True) -> "WebSocketClient":
        """A new WebSocket, closed by `close_clients()`; once it is accepted, if that is awaited."""
        from .websocket_clients import WebSocketClient

        client = WebSocketClient(self.address, path, http2=self.configuration.http2)
        self._clients.append(client)
        if accepted:
            assert client.status() == (200 if self.configuration.http2 else 101)
        return client

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def watching_has_begun(self) -> None:
        """Return when every request made before has been watched if it is to be watched at all.

        An abandoned request that started later has been noticed by its watcher then, and so its
        `watch_after` has passed, which is the same for all.
        """
        key = self.new_key()
        client = self.connect()
        client.request(f"/guarded/slow/{key}")
        self.wait(key, "working")
        client.leave("rst")
        assert "cancelled" in self.end(key)

    def log(self) -> str:
        """What the server has written, from the start."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    def complaints(self) -> list[str]:
        """The lines at WARNING or above since the last call."""
        text = os.pread(self._log.fileno(), 1 << 20, self._read_up_to).decode(errors="replace")
        self._read_up_to += len(text.encode())
        return [
            line
            for line in text.splitlines()
            if COMPLAINT.search(line) and line != NOISE and DEPRECATED not in line
        ]

    def wait_for_complaints(self) -> list[str]:
        """The lines at WARNING or above since the last call, once there are any."""
        deadline = time.monotonic() + 10
        while not (found := self.complaints()):
            assert time.monotonic() < deadline, "nothing was logged"
            time.sleep(0.02)  # a log has no event
        return found

    def expect_complaints(self) -> None:
        """The server has a right to what it has logged, or logs soon."""
        self.complaints_expected = True

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.terminate()

    def wait_until_deaf(self) -> None:
        """Wait until it answers no new connection any more."""
        while True:
            try:
                client = Http1Client(self.address)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # it was in the queue of a socket that has just been closed
            self._clients.append(client)
            # Where another process holds the listening socket, nothing but silence tells.
            client.socket.settimeout(0.5)
            try:
                client.request(f"/bare/quick/{self.new_key()}")
                client.response()
            except http.client.IncompleteRead:
                continue  # it had been accepted, and was cut off in mid-answer: ask again
            except OSError:
                return

    def wait_for_exit(self) -> None:
        """Wait until it has exited by itself."""
        self.process.wait(20)
        self.journal.read_up()

    def stop(self, patience: float = 10) -> None:
        """Stop it and whatever it has started, if need be by force after `patience` seconds."""
        self.close_clients()
        try:
            self.terminate()
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.journal.close()
            self._log.close()
            self._until_stopped.close()
