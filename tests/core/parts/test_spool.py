"""The temporary file: first in, first out, without blocking (contract §2)."""

import asyncio
import contextlib
import errno
import math
import os
import resource
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect._buffer.quota import DiskQuota
from asgi_disconnect._buffer.spool import Spool

from ...backends import only_asyncio
from ..scripted import HUNG, ticks

pytestmark = pytest.mark.anyio

only_posix = pytest.mark.skipif(os.name != "posix", reason="says how it is on POSIX")
open_temporary = tempfile.TemporaryFile


async def test_what_is_put_first_is_got_first() -> None:
    spool = Spool(DiskQuota(math.inf))
    assert await spool.put([b"abc", bytearray(b"de"), memoryview(b"f")]) == 6
    assert await spool.get(2) == b"ab"
    assert await spool.put([b"ghi"]) == 3
    assert await spool.get(5) == b"cdefg"
    assert await spool.get(2) == b"hi"
    await spool.aclose()


async def test_no_file_is_made_before_there_is_something_to_put(files: list[Any]) -> None:
    spool = Spool(DiskQuota(math.inf))
    await spool.aclose()
    assert files == []


async def test_space_is_used_again_once_all_has_been_got(files: list[Any]) -> None:
    spool = Spool(DiskQuota(math.inf))
    for _ in range(5):
        for _ in range(3):
            await spool.put([bytes(10_000)])
        for _ in range(3):
            await spool.get(10_000)
    assert os.fstat(files[0].fileno()).st_size == 30_000
    await spool.put([b"x"])
    assert os.fstat(files[0].fileno()).st_size == 1  # given back
    assert await spool.get(1) == b"x"
    await spool.aclose()
    assert len(files) == 1


@only_posix
async def test_the_file_has_no_name_and_is_its_owners_alone(files: list[Any]) -> None:
    spool = Spool(DiskQuota(math.inf))
    await spool.put([b"secret"])
    status = os.fstat(files[0].fileno())
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_nlink == 0
    assert not os.get_inheritable(files[0].fileno())
    await spool.aclose()


async def test_the_file_is_in_the_folder_that_tempfile_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[Any]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spool = Spool(DiskQuota(math.inf))
    await spool.put([b"x"])
    assert os.fstat(files[0].fileno()).st_dev == os.stat(tmp_path).st_dev
    if sys.platform == "linux":
        assert os.readlink(f"/proc/self/fd/{files[0].fileno()}").startswith(str(tmp_path))
    await spool.aclose()
    assert os.listdir(tmp_path) == []


async def test_closing_closes_the_file(files: list[Any]) -> None:
    spool = Spool(DiskQuota(math.inf))
    await spool.put([b"x"])
    await spool.aclose()
    assert files[0].closed
    await spool.aclose()  # twice does no harm
    with pytest.raises(OSError, match="closed"):
        await spool.put([b"x"])
    with pytest.raises(OSError, match="closed"):
        await spool.get(1)


class SlowFile:
    """A file each of whose reads and writes waits until it is let through."""

    def __init__(self) -> None:
        self.file = open_temporary(buffering=0)
        self.entered = threading.Semaphore(0)
        self.let_through = threading.Event()

    def _wait(self) -> None:
        self.entered.release()
        assert self.let_through.wait(HUNG)

    def write(self, piece: Any) -> int:
        self._wait()
        return self.file.write(piece)

    def read(self, size: int) -> bytes:
        self._wait()
        return self.file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowFile]:
    file = SlowFile()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: file)
    yield file
    file.let_through.set()
    file.close()


async def in_thread(wait: Callable[[], Any]) -> None:
    """Wait for a thread of the spool's, in another thread than its own."""
    await anyio.to_thread.run_sync(wait)


async def test_a_get_whose_scope_is_cancelled_takes_nothing_or_returns(slow: SlowFile) -> None:
    """What a thread has read is returned: a cancellation is delivered at the next await."""
    spool = Spool(DiskQuota(math.inf))
    slow.let_through.set()
    await spool.put([b"abc"])
    slow.let_through.clear()
    got = b""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def get() -> None:
                nonlocal got
                got += await spool.get(2)

            tasks.start_soon(get)
            await in_thread(slow.entered.acquire)
            await in_thread(slow.entered.acquire)
            scope.cancel()
            slow.let_through.set()
    got += await spool.get(3 - len(got))
    assert got == b"abc"
    await spool.aclose()


@only_asyncio
async def test_a_get_whose_task_is_cancelled_takes_nothing(slow: SlowFile) -> None:
    """Though its thread goes on, for which the next call waits."""
    spool = Spool(DiskQuota(math.inf))
    slow.let_through.set()
    await spool.put([b"abc"])
    slow.let_through.clear()
    await in_thread(slow.entered.acquire)
    for _ in range(3):
        task = asyncio.create_task(spool.get(2))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    slow.let_through.set()
    assert await spool.get(3) == b"abc"
    await spool.aclose()


@only_asyncio
async def test_closing_waits_for_the_thread_of_a_cancelled_put(slow: SlowFile) -> None:
    spool = Spool(DiskQuota(math.inf))
    put = asyncio.create_task(spool.put([b"abc"]))
    await in_thread(slow.entered.acquire)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    close = asyncio.create_task(spool.aclose())
    await asyncio.sleep(0.01)
    assert not close.done()
    slow.let_through.set()
    await close
    assert slow.closed


@only_asyncio
async def test_a_thread_that_begins_after_the_closing_makes_no_file(files: list[Any]) -> None:
    spool = Spool(DiskQuota(math.inf))
    await spool.aclose()
    with pytest.raises(OSError, match="closed"):
        await spool.put([b"abc"])
    assert files == []


async def test_it_works_while_all_of_anyios_threads_are_busy() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    spool = Spool(DiskQuota(math.inf))
    release = threading.Event()
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            try:
                for _ in range(int(limiter.total_tokens)):
                    tasks.start_soon(anyio.to_thread.run_sync, release.wait)
                await ticks(5)
                assert not limiter.available_tokens
                await spool.put([b"abc"])
                assert await spool.get(3) == b"abc"
                await spool.aclose()
            finally:
                release.set()


async def test_it_does_not_block_the_loop(slow: SlowFile) -> None:
    spool = Spool(DiskQuota(math.inf))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spool.put, [b"abc"])
        await in_thread(slow.entered.acquire)
        await checkpoint()  # we run while it waits for the disk
        slow.let_through.set()
    await spool.aclose()


@pytest.mark.parametrize("kind", ["nonexistent", "no folder"])
async def test_no_place_for_a_file_is_an_os_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = tmp_path / "place"
    if kind == "no folder":
        place.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    spool = Spool(DiskQuota(math.inf))
    with pytest.raises(OSError, match="place"):
        await spool.put([b"x"])
    await spool.aclose()


async def test_no_permission_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may run as root, whom no mode stops."""

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    spool = Spool(DiskQuota(math.inf))
    with pytest.raises(PermissionError):
        await spool.put([b"x"])
    monkeypatch.undo()
    await spool.aclose()


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The operating system refuses to make files of this process larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@only_posix
@pytest.mark.parametrize("size", [3000, 30_000, 300_000])
async def test_no_room_is_an_os_error_and_closing_is_none(size: int, files: list[Any]) -> None:
    """Whether the bytes are on the disk, or in the file's buffer still."""
    spool = Spool(DiskQuota(math.inf))
    await spool.put([bytes(size)])
    with file_size_limit(2 * size + size // 2):
        await spool.put([bytes(size)])
        with pytest.raises(OSError, match="too large"):
            await spool.put([bytes(size)])
        await spool.aclose()
    assert files[0].closed


@only_posix
async def test_a_file_that_has_shrunk_is_an_os_error(files: list[Any]) -> None:
    """Never silently less than was put."""
    spool = Spool(DiskQuota(math.inf))
    await spool.put([bytes(100_000)])
    os.ftruncate(files[0].fileno(), 1000)
    with pytest.raises(OSError, match="1000 of 50000"):
        await spool.get(50_000)
    await spool.aclose()
