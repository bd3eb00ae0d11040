"""The disk that all exchanges of one middleware share (contract §2): who gets how much of it."""

import gc
import logging
import math
import threading
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect._buffer.quota import DiskQuota
from asgi_disconnect._buffer.spool import Spool

from ..scripted import HUNG

pytestmark = pytest.mark.anyio

UNIT = 4096
"""A block of the disk."""


def fill(quota: DiskQuota, held: int = 0) -> int:
    """What one exchange gets that takes all it can, `UNIT` by `UNIT`."""
    while quota.take(UNIT, held):
        held += UNIT
    return held


def test_no_one_takes_all_that_is_left() -> None:
    """However many there are, the next gets something too."""
    quota = DiskQuota(1000 * UNIT)
    assert [fill(quota) // UNIT for _ in range(5)] == [500, 250, 125, 62, 31]
    assert quota.used == 968 * UNIT


def test_those_who_take_in_turn_get_equal_shares() -> None:
    quota = DiskQuota(1000 * UNIT)
    held = [0] * 50
    took = True
    while took:
        took = False
        for number, has in enumerate(held):
            if quota.take(UNIT, has):
                held[number] += UNIT
                took = True
    assert min(held) >= max(held) - UNIT > 17 * UNIT
    assert quota.used == sum(held) <= 1000 * UNIT


@pytest.mark.parametrize("limit", [0, 0.5, 1])
def test_a_limit_too_small_for_anything_gives_nothing(limit: float) -> None:
    quota = DiskQuota(limit)
    assert not quota.take(1, 0)
    assert quota.used == 0


def test_without_a_limit_all_is_given() -> None:
    quota = DiskQuota(math.inf)
    assert quota.take(1 << 60, 1 << 60)


def test_what_is_given_back_is_taken_again_and_those_who_wait_are_told_once() -> None:
    quota = DiskQuota(100 * UNIT)
    first, second = fill(quota), fill(quota)
    told: list[str] = []
    near = quota.call_when_free(UNIT, second, lambda: told.append("near"))
    far = quota.call_when_free(UNIT, first, lambda: told.append("far"))
    dropped = quota.call_when_free(UNIT, 0, lambda: told.append("at once, for there is room"))
    assert told == ["at once, for there is room"]
    del dropped
    quota.give_back(10 * UNIT)
    assert told[1:] == []  # it may have been a finalizer's
    quota.wake_waiters()
    assert told[1:] == ["near"]
    quota.give_back(UNIT * (first - 1))
    quota.wake_waiters()
    quota.wake_waiters()
    assert told[1:] == ["near", "far"]
    del near, far


def test_nobody_is_told_who_does_not_wait_any_more() -> None:
    """A loop that is dropped leaves nothing here."""
    quota = DiskQuota(10 * UNIT)
    held = fill(quota)
    told: list[str] = []
    waiter = quota.call_when_free(UNIT, held, lambda: told.append("told"))
    del waiter
    gc.collect()
    quota.give_back(held)
    quota.wake_waiters()
    assert told == []


def test_it_counts_well_from_many_threads() -> None:
    quota = DiskQuota(40 * UNIT)
    most = []

    def work() -> None:
        for _ in range(300):
            held = 0
            while held < 5 * UNIT and quota.take(UNIT, held):
                held += UNIT
            most.append(quota.used)
            quota.give_back(held)
            quota.wake_waiters()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert quota.used == 0
    assert max(most) <= 40 * UNIT


def test_giving_back_works_in_the_midst_of_taking() -> None:
    """As the garbage collector's does, in the very thread that holds the lock."""
    quota = DiskQuota(10 * UNIT)
    assert quota.take(UNIT, 0)
    with quota._lock:
        quota.give_back(UNIT)
    assert quota.used == 0


def test_a_disk_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    quota = DiskQuota(math.inf)
    for number in range(3):
        quota.report_failure(OSError(number, "No space left on device"))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "No space left on device" in caplog.records[0].getMessage()


# What a spool takes


async def put(spool: Spool, size: int) -> bool:
    if not spool.take(size):
        return False
    assert await spool.put([bytes(size)]) == size
    return True


async def test_a_spool_takes_what_its_file_occupies_until_all_has_been_got() -> None:
    quota = DiskQuota(100 * UNIT)
    spool = Spool(quota)
    for size in (10, 20):
        assert await put(spool, size * UNIT)
    assert quota.used == 30 * UNIT
    await spool.get(29 * UNIT)
    assert not await put(spool, 21 * UNIT)  # what has been read is in the file still
    assert quota.used == 30 * UNIT
    await spool.get(UNIT)
    assert await put(spool, 30 * UNIT)  # and now used again
    assert quota.used == 30 * UNIT
    await spool.aclose()
    assert quota.used == 0


async def test_a_spool_takes_whole_blocks_because_the_disk_gives_no_less() -> None:
    quota = DiskQuota(4 * UNIT)
    spool = Spool(quota)
    for size, blocks in ((1, 1), (UNIT - 1, 1), (1, 2)):
        assert await put(spool, size)
        assert quota.used == blocks * UNIT
    other = Spool(quota)
    assert not await put(other, UNIT + 1)  # two blocks of the two that are free: none for the next
    assert await put(other, UNIT)
    assert quota.used == 3 * UNIT
    for each in (spool, other):
        await each.aclose()
    assert quota.used == 0


async def test_the_space_of_a_large_file_is_given_back_once_all_has_been_got() -> None:
    quota = DiskQuota(math.inf)
    spool = Spool(quota)
    size = 1 << 21
    assert await put(spool, size)
    await spool.get(size - 1)
    await spool.give_back()
    assert quota.used == size
    await spool.get(1)
    await spool.give_back()
    assert quota.used == 0
    assert await put(spool, 5)
    assert await spool.get(5) == bytes(5)
    await spool.aclose()
    assert quota.used == 0


async def test_what_a_failed_write_was_to_take_is_not_taken_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> int:
        raise OSError("no")

    quota = DiskQuota(100 * UNIT)
    spool = Spool(quota)
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "_write", fail)
            assert spool.take(40 * UNIT)
            with pytest.raises(OSError, match="no"):
                await spool.put([bytes(40 * UNIT)])
    assert quota.used == 40 * UNIT
    await spool.aclose()
    assert quota.used == 0


async def test_a_spool_that_nobody_closes_gives_back_what_it_has() -> None:
    """A loop that is dropped, a coroutine that somebody closes."""
    quota = DiskQuota(100 * UNIT)
    spool = Spool(quota)
    assert await put(spool, 40 * UNIT)
    file = spool._storage.file
    assert file is not None
    del spool
    with anyio.fail_after(HUNG):
        while quota.used:  # the thread that wrote may hold it for a moment still
            await checkpoint()
            gc.collect()
    assert file.closed
