"""The clock that all requests of a loop share on asyncio: each is watched in its own time."""

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._guards.clock import Alarms, Clock, alarms_of, start_clock

from ..scripted import HUNG, REQUEST, Server, http_scope

pytestmark = pytest.mark.anyio

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # on trio each has a task that sleeps


class Waiting:
    """Notes what is called, and in whose context."""

    def __init__(self, name: str, calls: list[tuple[str, str]]) -> None:
        self.name = name
        self.calls = calls
        self.called = asyncio.Event()
        self.added = 0.0

    def due(self) -> None:
        self.calls.append((self.name, VARIABLE.get()))
        self.called.set()


async def test_each_is_told_once_in_order_and_in_its_own_context() -> None:
    loop = asyncio.get_running_loop()
    calls: list[tuple[str, str]] = []
    names = ("first", "second", "third")
    all_waiting = [Waiting(name, calls) for name in names]
    with anyio.fail_after(HUNG):
        for waiting in all_waiting:
            VARIABLE.set(waiting.name)
            start_clock(waiting, loop, 0.02)
            await asyncio.sleep(0.005)
        VARIABLE.set("somebody else")
        await all_waiting[-1].called.wait()
        # The timer has run out by now, and starts anew.
        start_clock(all_waiting[0], loop, 0.02)
        all_waiting[0].called.clear()
        await all_waiting[0].called.wait()
    assert calls == [*((name, name) for name in names), ("first", "somebody else")]


async def test_none_is_told_before_its_time() -> None:
    """Though the timer is the first one's; by a millisecond, for a coarse clock."""
    loop = asyncio.get_running_loop()
    told: list[float] = []

    class Noting(Waiting):
        def due(self) -> None:
            told.append(loop.time() - self.added)
            super().due()

    with anyio.fail_after(HUNG):
        all_waiting = [Noting(str(number), []) for number in range(3)]
        for waiting in all_waiting:
            waiting.added = loop.time()
            start_clock(waiting, loop, 0.03)
            await asyncio.sleep(0.01)
        await all_waiting[-1].called.wait()
    assert min(told) >= 0.028


async def test_who_is_gone_is_not_told_nor_kept_and_the_others_are() -> None:
    loop = asyncio.get_running_loop()
    calls: list[tuple[str, str]] = []
    gone, stays = Waiting("gone", calls), Waiting("stays", calls)
    clock = start_clock(gone, loop, 0.01)
    start_clock(stays, loop, 0.01)
    del clock.waiting[gone]
    reference = weakref.ref(gone)
    del gone
    assert reference() is None
    with anyio.fail_after(HUNG):
        await stays.called.wait()
    assert calls == [("stays", "unset")]


async def test_one_that_fails_harms_no_other() -> None:
    class Failing(Waiting):
        def due(self) -> None:
            raise LookupError("of its own")

    loop, failures = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: failures.append(str(context["exception"])))
    fails, stays = Failing("fails", []), Waiting("stays", [])
    start_clock(fails, loop, 0.001)
    start_clock(stays, loop, 0.001)
    with anyio.fail_after(HUNG):
        await stays.called.wait()
    assert failures == ["of its own"]


def clock_of(loop: asyncio.AbstractEventLoop, seconds: float) -> Clock:
    waiting = Waiting("gone", [])
    clock = start_clock(waiting, loop, seconds)
    del clock.waiting[waiting]
    return clock


async def test_a_loop_has_one_clock_for_each_time_and_is_not_kept_by_them() -> None:
    loop = asyncio.get_running_loop()
    short = clock_of(loop, 1.0)
    others: list[Any] = []

    async def look() -> None:
        others.extend((asyncio.get_running_loop(), clock_of(asyncio.get_running_loop(), 1.0)))

    thread = threading.Thread(target=lambda: asyncio.run(look()))
    thread.start()
    thread.join()
    assert clock_of(loop, 1.0) is short
    assert clock_of(loop, 2.0) is not short
    assert clock_of(loop, 2.0) is clock_of(loop, 2.0)
    other_loop, other_clock = others
    assert other_clock is not short
    reference = weakref.ref(other_loop)
    del other_loop, other_clock
    others.clear()
    gc.collect()
    assert reference() is None


async def test_requests_that_are_watched_together_are_each_watched_in_their_own_context() -> None:
    seen: dict[str, str] = {}
    both_watched = asyncio.Event()

    class Looking(Server):
        async def receive(self) -> Any:
            seen[name_of[self]] = VARIABLE.get()
            if len(seen) == len(name_of):
                both_watched.set()
            return await super().receive()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()  # nobody but the watcher asks for messages

    async def serve(server: Looking) -> None:
        VARIABLE.set(name_of[server])
        await middleware(http_scope(), server.receive, server.send)

    middleware = DisconnectMiddleware(app, watch_after=0.001)
    name_of = {Looking(REQUEST): "one", Looking(REQUEST): "another"}
    with anyio.fail_after(HUNG):
        tasks = [asyncio.ensure_future(serve(server)) for server in name_of]
        await both_watched.wait()
        for server in name_of:
            server.leave()
        await asyncio.gather(*tasks)
    assert seen == {"one": "one", "another": "another"}


# Alarms


async def test_alarms_go_off_in_order_in_their_own_contexts_and_not_before_their_time() -> None:
    loop = asyncio.get_running_loop()
    alarms, calls, late = Alarms(), list[tuple[str, str]](), list[float]()
    done = asyncio.Event()

    def set_alarm(name: str, seconds: float) -> None:
        when = loop.time() + seconds

        def go_off() -> None:
            calls.append((name, VARIABLE.get()))
            late.append(loop.time() - when)
            if len(calls) == 4:
                done.set()

        VARIABLE.set(f"of {name}")
        alarms.set(loop, seconds, go_off)

    for name, seconds in (("third", 0.09), ("first", 0), ("fourth", 0.12), ("second", 0.05)):
        set_alarm(name, seconds)
    with anyio.fail_after(HUNG):
        await done.wait()
    assert calls == [(name, f"of {name}") for name in ("first", "second", "third", "fourth")]
    assert min(late) >= -0.002


async def test_an_alarm_that_is_taken_back_is_neither_called_nor_kept() -> None:
    loop = asyncio.get_running_loop()
    alarms, calls, done = Alarms(), list[tuple[str, str]](), asyncio.Event()
    gone, stays = Waiting("gone", calls), Waiting("stays", calls)
    take_back = alarms.set(loop, 0.03, gone.due)
    alarms.set(loop, 0.03, stays.due)
    alarms.set(loop, 0.06, done.set)
    take_back()
    take_back()
    reference = weakref.ref(gone)
    del gone
    assert reference() is None
    with anyio.fail_after(HUNG):
        await done.wait()
    assert [name for name, _ in calls] == ["stays"]
    take_back()


async def test_with_the_last_alarm_the_timer_goes() -> None:
    loop, alarms = asyncio.get_running_loop(), Alarms()
    for seconds in (1000.0, 2000.0, 1e300):
        alarms.set(loop, seconds, asyncio.Event().set)()
        assert alarms._timer is None
        assert not alarms._waiting
        assert not alarms._slots
    first = alarms.set(loop, 2000, asyncio.Event().set)
    second = alarms.set(loop, 1000, asyncio.Event().set)
    second()
    assert alarms._timer is not None
    first()
    assert alarms._timer is None


async def test_an_alarm_sooner_than_the_others_is_not_late() -> None:
    loop, alarms, called = asyncio.get_running_loop(), Alarms(), asyncio.Event()
    later = alarms.set(loop, 1000, asyncio.Event().set)
    sooner = alarms.set(loop, 500, asyncio.Event().set)
    sooner()  # its slot stays in the heap
    alarms.set(loop, 0.01, called.set)
    with anyio.fail_after(HUNG):
        await called.wait()
    assert alarms._timer is not None
    later()


async def test_a_loop_has_its_own_alarms_and_is_not_kept_by_them() -> None:
    others: list[Any] = []

    async def look() -> None:
        others.extend((asyncio.get_running_loop(), alarms_of(asyncio.get_running_loop())))

    thread = threading.Thread(target=lambda: asyncio.run(look()))
    thread.start()
    thread.join()
    loop = asyncio.get_running_loop()
    assert alarms_of(loop) is alarms_of(loop)
    assert others[1] is not alarms_of(loop)
    reference = weakref.ref(others[0])
    others.clear()
    gc.collect()
    assert reference() is None
