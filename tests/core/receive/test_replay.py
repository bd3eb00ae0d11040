"""Any schedule of messages, reads and cancellations, against a model (contract §2).

What the app gets is what the server gave: a prefix of it, in order, all of it if it reads to the
end; one end; the disconnect after that for ever; never more in memory than `max_memory`, and one
message beyond where the disk has no room; never more on the disk than `max_disk`.  A long
search: ``pytest tests/core/receive/test_replay.py --hypothesis-profile fuzz --timeout 0``.
"""

import asyncio
import errno
import functools
import os
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._buffer.body import Body
from asgi_disconnect._buffer.pieces import OVERHEAD
from asgi_disconnect._buffer.spool import Spool
from asgi_disconnect._exchange import body_watcher

from ..scripted import DISCONNECT, HUNG, Server, http_scope, piece, ticks

BYTES = random.Random(0).randbytes(1 << 22)
KINDS: list[Callable[[bytes], Any]] = [bytes, bytearray, memoryview]
FLOOR = 4096
UNKNOWN_COSTS = 700
BACKENDS = [("asyncio", {}), ("trio", {})]

sizes = st.one_of(st.integers(0, 3), st.integers(0, 300), st.integers(900, 5000), st.just(20_000))
steps = st.one_of(
    st.tuples(st.just("give"), sizes, st.integers(1, 3), st.sampled_from(KINDS)),
    st.tuples(st.just("give"), st.integers(0, 30), st.integers(10, 60), st.sampled_from(KINDS)),
    st.tuples(st.just("give unknown")),
    st.tuples(st.just("tick"), st.integers(1, 12)),
    st.tuples(st.just("sleep"), st.sampled_from([0, 0.001])),
    st.tuples(st.just("read"), st.integers(1, 5)),
    st.tuples(st.just("read"), st.integers(1, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("cancel natively"), st.integers(0, 9)),
)
rare = st.one_of(
    st.tuples(st.just("break the disk")),
    st.tuples(st.just("mend the disk")),
    st.tuples(st.just("lose what is stored")),
    st.tuples(st.just("others take"), st.integers(0, 20_000)),
    st.tuples(st.just("others give back")),
    st.tuples(st.just("tick"), st.just(1)),
)
schedules = st.lists(st.one_of(steps, steps, steps, steps, steps, steps, steps, rare), max_size=40)
ends = st.sampled_from([("end",), ("end", "leave"), ("leave",)])
options = st.fixed_dictionaries(
    {
        "watch_after": st.sampled_from([0, 0, 0, 0.001, float("inf")]),
        "max_memory": st.sampled_from([0, FLOOR, FLOOR, 6000, 20_000, float("inf")]),
        "max_disk": st.sampled_from([0, 10_000, 50_000, 1 << 28, 1 << 28, float("inf")]),
        "max_body_size": st.one_of(st.none(), st.none(), st.integers(0, 40_000)),
        "body_timeout": st.sampled_from([None, None, None, 0.001, 1000]),
        "buffer": st.sampled_from(["ahead", "ahead", "ahead", "whole"]),
    }
)


class Model:
    """What was sent, and what may be made of it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []  # bytes joined, other messages as they are
        self.size = 0

    @staticmethod
    def joined(messages: list[Any]) -> list[Any]:
        out: list[Any] = []
        for message in messages:
            if message["type"] != "http.request":
                out.append(id(message))
            elif out and isinstance(out[-1], bytes):
                out[-1] += message["body"]
            elif message["body"]:
                out.append(bytes(message["body"]))
        return out

    def allows(self, got: list[Any]) -> bool:
        """Whether `got` is a prefix of what was sent."""
        mine, theirs = self.joined(self.sent), self.joined(got)
        if not theirs:
            return True
        *whole, last = theirs
        if mine[: len(whole)] != whole or len(mine) <= len(whole):
            return False
        other = mine[len(whole)]
        if isinstance(last, bytes) and isinstance(other, bytes):
            return other.startswith(last)
        return bool(last == other)


class CountedBody(Body):
    """A body that knows how much it has ever held."""

    __slots__ = ("held",)
    peak = 0
    paused = 0

    async def wait_for_room(self, *arguments: Any) -> None:
        CountedBody.paused += 1
        await super().wait_for_room(*arguments)

    @property
    def memory(self) -> int:  # type: ignore[override]
        return self.held

    @memory.setter
    def memory(self, size: int) -> None:
        self.held = size
        CountedBody.peak = max(CountedBody.peak, size)


class Read:
    """One call of the app's `receive`, in a task of its own."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._task: asyncio.Task[None] | None = None
        if play.on_asyncio:
            self._task = asyncio.create_task(self._run())
        else:
            play.tasks.start_soon(self._run)

    async def _run(self) -> None:
        try:
            with self._scope:
                self._play.got.append(await self._play.receive())
        finally:
            self._ended.set()

    async def cancel(self, *, natively: bool = False) -> None:
        if natively and self._task is not None:
            self._task.cancel()
        else:
            self._scope.cancel()

    async def end(self) -> None:
        if self._task is None:
            await self._ended.wait()
        else:  # which, cancelled before it began, never runs
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()


class Play:
    """One schedule, played."""

    tasks: Any

    def __init__(self, on_asyncio: bool, chosen: dict[str, Any]) -> None:
        self.on_asyncio = on_asyncio
        self.chosen = chosen
        self.server = Server()
        self.model = Model()
        self.got: list[Any] = []
        self.receive: Any = None
        self.called = self.returned = False
        self.news = anyio.Event()
        self.over = anyio.Event()
        self.reads: list[Read] = []
        self.unknown = self.largest = 0
        self.disk_broken = self.disk_failed = self.spilled = False
        self.lost = self.lost_any = self.ended = self.whole = False
        self.file_size = self.others = 0
        self.quota: Any = None

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.receive = receive
        self.called = True
        left = [message["type"] for message in self.server.messages]
        self.whole = self.ended and set(left) <= {"http.disconnect"}
        self.news.set()
        await self.over.wait()

    async def serve(self) -> None:
        middleware = DisconnectMiddleware(self.app, cancel=False, **self.chosen)
        self.quota = middleware._options.disk_quota
        await middleware(http_scope(), self.server.receive, self.server.send)
        self.returned = True
        self.news.set()

    def give(self, size: int, kind: Callable[[bytes], Any] = bytes, more: bool = True) -> None:
        body = BYTES[self.model.size : self.model.size + size]
        self.model.size += size
        self.largest = max(self.largest, size)
        self.ended = not more
        message = piece(kind(body), more)
        self.model.sent.append(message)
        self.server.give(message)

    async def step(self, name: str, *arguments: Any) -> None:
        if name == "give":
            size, count, kind = arguments
            for _ in range(count):
                self.give(size, kind)
        elif name == "give unknown":
            message = {"type": "http.of_tomorrow", "body": b"nothing that we know"}
            self.unknown += 1
            self.model.sent.append(message)
            self.server.give(message)
        elif name == "tick":
            await ticks(*arguments)
        elif name == "sleep":
            await anyio.sleep(*arguments)
        elif name == "break the disk":
            self.disk_broken = True
        elif name == "mend the disk":
            self.disk_broken = False
        elif name == "lose what is stored":
            self.lost = True
        elif name == "others take":
            if self.quota is not None and self.quota.take(*arguments, 0):
                self.others += arguments[0]
        elif name == "others give back":
            if self.others:
                self.quota.give_back(self.others)
                self.quota.wake_waiters()
            self.others = 0
        elif self.called and name == "read":
            self.reads += [Read(self) for _ in range(*arguments)]
        elif self.reads and name.startswith("cancel"):
            which = self.reads[arguments[0] % len(self.reads)]
            await which.cancel(natively=name == "cancel natively")

    async def play(self, schedule: list[Any], end: tuple[str, ...]) -> None:
        with anyio.fail_after(HUNG):
            async with anyio.create_task_group() as self.tasks:
                self.tasks.start_soon(self.serve)
                for step in schedule:
                    await self.step(*step)
                if "end" in end:
                    self.give(7, more=False)
                if "leave" in end:
                    self.server.leave()
                for read in self.reads:
                    await read.cancel()
                for read in self.reads:
                    await read.end()
                await self.news.wait()
                if self.called:
                    await self.read_to_the_end("leave" in end)
                self.over.set()
        self.check(end)

    async def read_to_the_end(self, left: bool) -> None:
        """And beyond: the disconnect, for ever, without a checkpoint."""
        while not self.got or self.got[-1]["type"] == "http.of_tomorrow" or self.more():
            self.got.append(await self.receive())
        if self.got[-1]["type"] != "http.disconnect":
            if not left:
                with anyio.CancelScope() as patience:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self.receive)
                        await ticks(5)
                        patience.cancel()
                assert patience.cancelled_caught, "something came after the end"
                self.server.leave()
            self.got.append(await self.receive())
        for _ in range(2):
            with anyio.CancelScope() as scope:
                scope.cancel()
                self.got.append(await self.receive())

    def more(self) -> bool:
        return self.got[-1]["type"] == "http.request" and self.got[-1]["more_body"]

    def check(self, end: tuple[str, ...]) -> None:
        messages = [m for m in self.got if m["type"] != "http.disconnect"]
        finals = [m for m in messages if m["type"] == "http.request" and not m["more_body"]]
        limit = self.chosen["max_body_size"]
        status = self.server.sent[0]["status"] if self.server.sent else None
        event(f"status {status}, {'called' if self.called else 'never called'}")
        event("spilled" if self.spilled else "never spilled")
        event("paused" if CountedBody.paused else "never paused")
        assert self.model.allows(messages), "not what was sent"
        assert self.got == messages + [DISCONNECT] * (len(self.got) - len(messages))
        assert finals in ([], messages[-1:]), "an end that is not the end"
        if finals:
            assert self.model.joined(messages) == self.model.joined(self.model.sent)
        bound = max(FLOOR, self.chosen["max_memory"]) + self.unknown * UNKNOWN_COSTS
        if self.chosen["max_disk"] < 1 << 28 or self.disk_failed:
            bound += self.largest + OVERHEAD  # what was read when there was no room
        assert CountedBody.peak <= bound, "too much in memory"
        if status is None:
            assert not limit or self.model.size <= limit
            assert self.lost_any or bool(finals) is (self.called and "end" in end), "incomplete"
        elif status == 413:
            assert self.model.size > limit
        elif status == 408:
            assert self.chosen["body_timeout"] == 0.001
        else:
            assert status == 503
            assert self.lost_any
        assert self.file_size <= self.chosen["max_disk"], "too much on the disk"
        assert self.quota.used == self.others, "not given back"
        if limit is not None:
            assert sum(len(m["body"]) for m in messages if m["type"] == "http.request") <= limit
        if not self.called:
            assert self.chosen["buffer"] == "whole"
            assert status or "end" not in end
        elif self.chosen["buffer"] == "whole" and not CountedBody.paused:
            assert self.whole, "called before the body's end"


@pytest.mark.parametrize("backend", BACKENDS, ids=["asyncio", "trio"])
@given(schedule=schedules, end=ends, chosen=options)
def test_the_app_gets_what_the_server_gave(
    backend: Any, schedule: list[Any], end: tuple[str, ...], chosen: dict[str, Any]
) -> None:
    note(f"{chosen}")
    with pytest.MonkeyPatch.context() as patch:
        play: Play | None = None

        def write(self: Spool, *arguments: Any) -> int:
            assert play is not None
            play.spilled = True
            if play.disk_broken:
                play.disk_failed = True
                raise OSError(errno.ENOSPC, "No space left on device")
            written: int = original_write(self, *arguments)
            file = self._storage.file
            assert file is not None
            play.file_size = max(play.file_size, os.fstat(file.fileno()).st_size)
            return written

        def read(self: Spool, *arguments: Any) -> bytes:
            if play is not None and play.lost:
                play.lost_any = True
                raise OSError(errno.EIO, "Input/output error")
            data: bytes = original_read(self, *arguments)
            return data

        original_write: Any = Spool._write
        original_read: Any = Spool._read
        patch.setattr(Spool, "_write", write)
        patch.setattr(Spool, "_read", read)
        patch.setattr(body_watcher, "Body", CountedBody)
        CountedBody.peak = CountedBody.paused = 0

        async def main() -> None:
            nonlocal play
            play = Play(backend[0] == "asyncio", chosen)
            await play.play(schedule, end)

        anyio.run(functools.partial(main), backend=backend[0], backend_options=backend[1])
