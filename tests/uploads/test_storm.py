"""Two thousand uploads cut off anywhere leave nothing behind (contract §2, §5)."""

import contextlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..servers.configurations import CONFIGURATIONS, Configuration
from ..servers.running import RunningServer
from .sending import MIB, Upload, wait_until

UPLOADS = 2000
AT_ONCE = 16
SPOOL_THREADS = 8
"""Which wait a while for more to do."""
REMAINS = ("temporary files", "descriptors", "sockets", "threads")

ON = [each for each in CONFIGURATIONS if each.name in ("uvicorn-httptools", "hypercorn-trio")]


@pytest.fixture(params=ON, ids=lambda each: each.name)
def configuration(request: pytest.FixtureRequest) -> Configuration:
    found: Configuration = request.param
    if found.missing:
        pytest.skip(f"not installed: {', '.join(found.missing)}")
    return found


def remains(server: RunningServer) -> tuple[int, int, int, int]:
    """Files without a name, descriptors of files, sockets, threads: what the server holds."""
    client = server.connect()
    client.request(f"/bare/remains/{server.new_key()}", method="GET")
    nameless, files, sockets, threads = map(int, client.response().body.split())
    client.close()
    return nameless, files, sockets, threads


def test_a_storm_of_uploads_cut_off_leaves_nothing(server: RunningServer) -> None:
    wait_until(lambda: remains(server)[0] == 0)  # the warm-up's may be closed a little later
    before = remains(server)
    keys: list[str] = []
    lock = threading.Lock()

    def cut_off(seed: int) -> None:
        draw = random.Random(seed)
        size = draw.choice([100_000, MIB])
        with lock:
            upload = Upload(
                server,
                draw.choice(["reading", "slow", "half", "unread", "late"]),
                size,
                mode=draw.choice(["small", "small", "guarded", "whole"]),
                chunked=draw.random() < 0.3,
            )
        with contextlib.suppress(OSError):
            upload.send(draw.randrange(size))
        upload.client.leave(draw.choice(["fin", "rst"]))
        with lock:
            keys.append(upload.key)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(cut_off, range(UPLOADS)))
    for key in keys:
        # One whose client had left before its head was complete was never called.
        if server.story(key):
            server.end(key, timeout=20)
    bounds = (0, before[1], before[2] + 1, before[3] + SPOOL_THREADS)

    def excess() -> dict[str, int]:
        found = zip(REMAINS, remains(server), bounds, strict=True)
        return {kind: count - most for kind, count, most in found if count > most}

    # One that has had no story yet may still be called.
    wait_until(lambda: not excess(), or_say=excess)
