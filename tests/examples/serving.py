"""An example, started as its first comment says, and a client for it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

EXAMPLES = Path(__file__).parents[2] / "examples"
HUNG = 30.0
"""Seconds: long enough that only what hangs reaches it."""
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455's own
    "Sec-WebSocket-Version": "13",
}
"""Headers that ask for a WebSocket."""


PORT_OPTIONS = {"uvicorn": ("--port", "0"), "hypercorn": ("--bind", "127.0.0.1:0")}


@contextmanager
def served(
    example: str, folder: Path = EXAMPLES, server_name: str = "uvicorn"
) -> Iterator[httpx.Client]:
    """``uvicorn EXAMPLE:app``, on a free port; or another server."""
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    server = subprocess.Popen(
        [sys.executable, "-m", server_name, f"{example}:app", *PORT_OPTIONS[server_name]],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        lines = []
        for line in server.stderr:
            lines.append(line)
            if running := re.search(r"[Rr]unning on (http://\S+)", line):
                break
        else:
            raise AssertionError("".join(lines))
        with httpx.Client(base_url=running[1], timeout=HUNG, trust_env=False) as client:
            yield client
    finally:
        server.terminate()
        rest = server.communicate()[1]
    assert "ERROR" not in rest, rest


@contextmanager
def abandoned(
    client: httpx.Client, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> Iterator[None]:
    """A request whose client waits for nothing, and leaves at the end of the block."""
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    with socket.create_connection((host, port)) as connection:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield


def until(condition: Callable[[], object]) -> None:
    """Ask again, for the server runs in a process of its own, until it is so."""
    end = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
