"""A client that floods a handler that only pushes: it is held back, and nothing is lost (§9)."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Start
from .running import RunningServer
from .websocket_clients import WebSocketClient
from .websocket_configurations import WEBSOCKET_CONFIGURATIONS, WebSocketConfiguration

SERVERS = WEBSOCKET_CONFIGURATIONS
MB = 1_000_000
FLOOD = 200 * MB
MAX_MEMORY = 1 << 20
"""The option's default."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def peak_of(server: RunningServer) -> dict[Path, int]:
    """The most memory that each process of the server has had so far, in bytes."""
    found = {}
    for process in processes(server):
        with contextlib.suppress(OSError):
            for line in (process / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    found[process] = int(line.split()[1]) * 1024
    return found


def processes(server: RunningServer) -> Iterator[Path]:
    """Those of the session that the server began: granian and gunicorn start others to work."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(process.name)) == server.process.pid:
                yield process


def on_its_way(client: WebSocketClient) -> int:
    """The bytes between client and server: the kernel enlarges its buffers as it sees fit."""
    port = f"{client.socket.getsockname()[1]:04X}"
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        unsent, unread = (int(queue, 16) for queue in queues.split(":"))
        held += unsent * local.endswith(f":{port}") + unread * remote.endswith(f":{port}")
    return held


def flood(server: RunningServer, mode: str, piece: int) -> tuple[int, int]:
    """What the server took of a flood, and by how much its memory grew, in bytes."""
    for _ in range(2):  # what is made once is not the flood's
        key = server.new_key()
        client = server.open_websocket(f"/{mode}/listens/{key}")
        server.wait(key, "working")
        client.send(bytes(piece).decode())
        client.leave("fin")
        server.end(key)
    key = server.new_key()
    client = server.open_websocket(f"/{mode}/tidies/{key}")
    server.wait(key, "working")
    before = peak_of(server)
    taken = client.flood(FLOOD, piece=piece, ask=server.watching_has_begun)
    taken -= on_its_way(client)
    after = peak_of(server)
    client.leave("rst")
    return taken, max(after[process] - before[process] for process in before)


@on_linux
@pytest.mark.parametrize("piece", [1_000, 65_536])
def test_a_flood_costs_no_more_than_max_memory(
    configuration: WebSocketConfiguration, start_server: Start, piece: int
) -> None:
    if not configuration.holds_back:
        pytest.skip("the server holds nobody back, and keeps it all itself")
    taken, grown = {}, {}
    for mode in ("bare", "guarded"):
        server = start_server(configuration)
        taken[mode], grown[mode] = flood(server, mode, piece)
        server.stop(patience=0.1)
    assert taken["guarded"] <= taken["bare"] + 10 * MB < FLOOD, taken
    assert grown["guarded"] <= grown["bare"] + MAX_MEMORY + 2 * MB, grown


def test_nothing_of_a_flood_is_lost(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/patient/counts/{key}")
    server.wait(key, "working")
    sender = threading.Thread(target=send_and_close, args=[server, client, 30 * MB])
    sender.start()
    server.watching_has_begun()
    server.open_gate(key)
    story = server.end(key, timeout=30)
    sender.join(10)
    messages = -(-30 * MB // 65_536)
    assert story[-2:] == [f"got {messages} of {messages * 65_536} bytes", "returned"]


def send_and_close(server: RunningServer, client: WebSocketClient, size: int) -> None:
    client.flood(size, patience=10, ask=server.watching_has_begun)
    client.send_close()
    client.read_close()
    if not server.configuration.http2:  # a window update that fails may cost the last message
        client.close()
