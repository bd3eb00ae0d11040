"""The unread body in memory, and in what order it leaves (contract §2): no server, no app."""

import tracemalloc
from typing import Any

import pytest

from asgi_disconnect._buffer.body import Body
from asgi_disconnect._buffer.pieces import OVERHEAD, size_of_body
from asgi_disconnect._buffer.quota import DiskQuota

from ..scripted import piece

pytestmark = pytest.mark.anyio

MIB = 1 << 20
FLOOR = 4096
"""What `max_memory` cannot be less than."""

UNBOUNDED = DiskQuota(float("inf"))
END = piece(b"", more_body=False)


async def keep(body: Body, *messages: Any) -> None:
    for message in messages:
        if not body.append(message):
            assert await body.spill(message, UNBOUNDED)


async def read(body: Body) -> Any:
    message = body.pop()
    if message is None:
        await body.load()
        message = body.pop()
    assert message is not None
    return message


async def read_all(body: Body) -> list[Any]:
    messages = []
    while body:
        messages.append(await read(body))
    return messages


def joined(messages: list[Any]) -> bytes:
    return b"".join(message["body"] for message in messages)


def numbered(count: int, size: int) -> list[Any]:
    """Messages none of which is like another."""
    return [piece((b"%08d" % number) * (size // 8)) for number in range(count)]


async def test_few_messages_leave_as_the_objects_that_came() -> None:
    body = Body(MIB)
    given = [piece(b"a"), {"type": "http.request", "more_body": True}, piece(b"b" * 5000), END]
    await keep(body, *given)
    assert [id(message) for message in await read_all(body)] == [id(each) for each in given]
    assert not body
    assert body.memory == 0


async def test_nothing_unread_is_an_error_to_take() -> None:
    with pytest.raises(IndexError):
        Body(MIB).pop()


@pytest.mark.parametrize("max_memory", [0, FLOOR, MIB, float("inf")])
@pytest.mark.parametrize("size", [8, 800, 8000, 80000])
async def test_the_bytes_leave_in_order_and_the_end_once_and_last(
    max_memory: float, size: int
) -> None:
    body = Body(max_memory)
    given = [*numbered(20, size), piece(b"last", more_body=False)]
    await keep(body, *given)
    got = await read_all(body)
    await body.aclose()
    assert joined(got) == joined(given)
    assert [message["more_body"] for message in got] == [True] * (len(got) - 1) + [False]
    assert {message["type"] for message in got} == {"http.request"}
    assert body.memory == 0


@pytest.mark.parametrize("max_memory", [0, FLOOR, MIB, float("inf")])
async def test_what_is_put_in_while_it_is_taken_out_leaves_in_order(max_memory: float) -> None:
    """Behind what is on the disk, in memory, and behind that on the disk again."""
    body = Body(max_memory)
    given = numbered(300, 8000)
    got: list[Any] = []
    for number, message in enumerate(given):
        await keep(body, message)
        if number % 40 > 25:  # the app lags behind for a while, and catches up a little
            got += [await read(body), await read(body)]
    await keep(body, END)
    got += await read_all(body)
    await body.aclose()
    assert joined(got) == joined(given)
    assert [message["more_body"] for message in got].count(False) == 1
    assert got[-1]["more_body"] is False


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("max_memory", [0, FLOOR, MIB])
async def test_bytearrays_and_memoryviews_are_bodies_too(
    kind: Any, count: int, max_memory: float
) -> None:
    body = Body(max_memory)
    given = [piece(kind(message["body"])) for message in numbered(count, 2000)]
    assert sum(size_of_body(message) for message in given) == 2000 * count
    await keep(body, *given, END)
    assert body.memory <= max(max_memory, FLOOR)
    got = await read_all(body)
    await body.aclose()
    assert joined(got) == joined(given)


async def test_a_memoryview_counts_in_bytes() -> None:
    view = memoryview(bytes(4000)).cast("I")
    body = Body(MIB)
    await keep(body, piece(view))  # type: ignore[arg-type]
    assert size_of_body(piece(view)) == 4000  # type: ignore[arg-type]
    assert body.memory == 4000 + OVERHEAD


@pytest.mark.parametrize("size", [1, 800, 40000])
@pytest.mark.parametrize("max_memory", [0, 50_000, MIB])
async def test_unknown_messages_and_keys_leave_as_they_came_between_joined_and_stored_bytes(
    size: int, max_memory: float
) -> None:
    odd: list[Any] = [
        {"type": "http.of_tomorrow", "body": b"not a body"},
        {"type": "http.request", "body": b"x", "more_body": True, "extra": 1},
        {"type": "http.request", "body": None, "more_body": True},
        {"body": b"y"},
    ]
    plain = [numbered(40, size) if size >= 8 else [piece(b"1")] * 40 for _ in odd]
    body = Body(max_memory)
    for messages, message in zip(plain, odd, strict=True):
        await keep(body, *messages, message)
    await keep(body, END)
    got = await read_all(body)
    await body.aclose()
    at = [[id(each) for each in got].index(id(message)) for message in odd]
    assert at == sorted(at)
    start = 0
    for messages, place in zip(plain, at, strict=True):
        assert joined(got[start:place]) == joined(messages)
        start = place + 1
    assert got[start:] == [END]


def test_a_million_one_byte_chunks_cost_about_what_one_chunk_of_a_million_bytes_costs() -> None:
    count = 1_000_000
    body = Body(float("inf"))
    chunks = [piece(bytes([number % 251])) for number in range(251)]
    tracemalloc.start()
    try:
        for number in range(count):
            assert body.append(chunks[number % 251])
        held, peak = tracemalloc.get_traced_memory()
        assert peak <= 2 * count + MIB, f"{peak} bytes for {count}"
        assert held <= body.memory
    finally:
        tracemalloc.stop()
    assert body.memory <= 2 * count
    assert body.append(END)
    got = []
    while body:
        got.append(body.pop())
    assert joined(got) == bytes(range(251)) * (count // 251) + bytes(range(count % 251))


@pytest.mark.parametrize("size", [0, 1, 100, 511, 1024, 4096, 4097, 65536, 65537, 300000])
async def test_what_is_counted_is_at_least_what_is_held(size: int) -> None:
    body = Body(MIB)
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        for number in range(100):
            if not body.append(piece(bytes([number]) * size)):
                break
        held = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert held <= body.memory + 16384  # the list, and what tracing itself makes


@pytest.mark.parametrize("max_memory", [0, 1000, FLOOR, 20_000, 200_000])
@pytest.mark.parametrize("sizes", [(1,), (100, 3000), (5000,), (70_000, 1), (300, 400_000, 2)])
async def test_the_bound_is_never_exceeded(max_memory: float, sizes: tuple[int, ...]) -> None:
    """Neither by what waits, nor by what comes back from the disk, nor by both at a time."""
    body = Body(max_memory)
    bound = max(max_memory, FLOOR)
    held = []

    async def fill(count: int) -> None:
        while count > 0:
            for size in sizes:
                await keep(body, piece(bytes(size)))
                held.append(body.memory)
                count -= size + 1

    await fill(2 * bound)
    for _ in range(20):
        if body and body.pop() is None:
            await body.load()
            held.append(body.memory)
            await fill(bound // 4)  # behind the piece that has come from the disk
    await keep(body, END)
    assert max(*held, body.memory) <= bound
    await body.aclose()


async def test_an_app_that_keeps_up_never_touches_the_disk() -> None:
    body = Body(100_000)
    for message in numbered(1000, 16384):
        await keep(body, message)
        assert await read(body) is message
    assert not body.spooled


async def test_single_bytes_are_written_to_the_disk_by_the_block() -> None:
    body = Body(100_000)
    spills = 0
    for _ in range(300_000):
        if not body.append(piece(b"x")):
            await body.spill(piece(b"x"), UNBOUNDED)
            spills += 1
    assert 0 < spills <= 300_000 // 10_000
    await body.aclose()
