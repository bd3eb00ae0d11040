"""Fifty clients who upload without end to handlers that never read (contract §2: `max_disk`)."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..servers.configurations import CONFIGURATIONS, Configuration
from ..servers.running import RunningServer
from .sending import MIB, PATIENCE, Upload, digest, wait_until

CLIENTS = 50
MAX_DISK = 32 * MIB
"""What `bounded` in `served/uploading.py` has."""
EACH_IN_MEMORY = 2 * MIB
"""What `bounded` has for each of them (256 KiB), a message beyond it, and what the server holds."""
BLOCK = 4096
WITHOUT_END = 1 << 40

ON = [each for each in CONFIGURATIONS if each.name in ("uvicorn-httptools", "granian")]


@pytest.fixture(params=ON, ids=lambda each: each.name)
def configuration(request: pytest.FixtureRequest) -> Configuration:
    found: Configuration = request.param
    if found.missing:
        pytest.skip(f"not installed: {', '.join(found.missing)}")
    return found


@dataclass
class Usage:
    """What the server's processes hold, in bytes."""

    files: int
    """In files without a name, in whole blocks: what the file system keeps for itself beside them
    (extents, space set aside) is not of the body."""
    memory: int


@contextlib.contextmanager
def halted(server: RunningServer) -> Iterator[None]:
    """Have the server's processes stand still, so that what they hold is of one moment."""
    halting = list(processes(server))
    try:
        for process in halting:
            os.kill(int(process.name), signal.SIGSTOP)
        wait_until(lambda: all(stands_still(process) for process in halting))
        yield
    finally:
        for process in halting:
            os.kill(int(process.name), signal.SIGCONT)


def stands_still(process: Path) -> bool:
    try:
        return all(status_of(thread)[0] == "T" for thread in (process / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):  # a thread ended meanwhile
        return False


def usage(server: RunningServer) -> Usage:
    log = os.fstat(server._log.fileno()).st_ino
    files = memory = 0
    for process in processes(server):
        pages = (process / "statm").read_text().split()[1]
        memory += int(pages) * os.sysconf("SC_PAGESIZE")
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if str(descriptor.readlink()).endswith("(deleted)"):
                    status = descriptor.stat()
                    if status.st_ino != log:
                        files += -(-status.st_size // BLOCK) * BLOCK
    return Usage(files, memory)


def processes(server: RunningServer) -> Iterator[Path]:
    """Those of the session that the server began: granian starts others to do the work."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(status_of(process)[3]) == server.process.pid:
                yield process


def status_of(process: Path) -> list[str]:
    """What Linux says of a process or a thread, after its name: the state comes first."""
    return (process / "stat").read_text().rpartition(")")[2].split()


class Flooder:
    """One client who sends as long as anybody takes it."""

    def __init__(self, server: RunningServer) -> None:
        self.upload = Upload(server, "unread", WITHOUT_END, mode="bounded")
        self.upload.client.socket.settimeout(0.1)
        self.sent = 0
        self.stopped = False

    def flood(self) -> None:
        block = os.urandom(65536)
        while not self.stopped:
            with contextlib.suppress(TimeoutError):  # nobody takes it now
                self.sent += self.upload.client.socket.send(block)


def test_a_flood_of_uploads_that_nobody_reads_stays_within_its_bounds(
    server: RunningServer,
) -> None:
    wait_until(lambda: usage(server).files == 0)  # the warm-up's may be closed a little later
    before = usage(server)
    flooders = [Flooder(server) for _ in range(CLIENTS)]
    samples: list[Usage] = []
    measuring = True

    def measure() -> None:
        while measuring:
            with halted(server):
                samples.append(usage(server))
            time.sleep(0.01)

    def at_rest() -> bool:
        sent = [flooder.sent for flooder in flooders]
        time.sleep(1)
        return sent == [flooder.sent for flooder in flooders]

    watch = threading.Thread(target=measure)
    watch.start()
    with ThreadPoolExecutor(CLIENTS) as threads:
        try:
            for flooder in flooders:
                threads.submit(flooder.flood)
            wait_until(at_rest)
            assert min(flooder.sent for flooder in flooders) > 0
            # Beside them: one who reads as it comes, and one whose body meets a full disk.
            reading = Upload(server, "reading", 16 * MIB, mode="bounded")
            reading.send()
            assert reading.client.response().body == digest(16 * MIB)
            late = Upload(server, "late", 16 * MIB, mode="bounded")
            sending = threading.Thread(target=late.send)
            sending.start()
            server.wait(late.key, "working")
            server.open_gate(late.key)
            assert late.client.response().body == digest(16 * MIB)
            sending.join(PATIENCE)
        finally:
            measuring = False
            for flooder in flooders:
                flooder.stopped = True
    watch.join(PATIENCE)
    assert max(sample.files for sample in samples) > MAX_DISK // 2, "there was no flood"
    assert max(sample.files for sample in samples) <= MAX_DISK
    grown = max(sample.memory for sample in samples) - before.memory
    assert grown <= CLIENTS * EACH_IN_MEMORY, f"{grown / MIB:.1f} MiB"
    for flooder in flooders:
        flooder.upload.client.leave("rst")
        server.open_gate(flooder.upload.key)  # that they have left, nobody may see
    for flooder in flooders:
        server.end(flooder.upload.key)
    wait_until(lambda: usage(server).files == 0)
