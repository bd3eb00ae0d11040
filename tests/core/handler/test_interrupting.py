"""`interrupting`: a thread's work is interrupted, only while it is the handler's (contract §6)."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import current_disconnect, interrupting

from ..scripted import HUNG, REQUEST, Server, ticks

pytestmark = pytest.mark.anyio


class Connection:
    """Anything whose work another thread can make end."""

    def __init__(self) -> None:
        self.interruptions = 0
        self.interrupted = threading.Event()

    def cancel(self) -> None:
        self.interruptions += 1
        self.interrupted.set()

    def work(self) -> None:
        """A query that runs until it is interrupted."""
        assert self.interrupted.wait(HUNG)


async def served(handler: Callable[[Server], None], **options: Any) -> None:
    """One exchange whose `handler` runs in a thread; what it raises is raised."""
    server = Server(REQUEST)
    failures: list[Exception] = []

    def called() -> None:
        try:
            handler(server)
        except Exception as error:  # nobody would hear of it, since the client has left
            failures.append(error)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await anyio.to_thread.run_sync(called)

    await server.run(app, **options)
    for error in failures:
        raise error


def leave(server: Server) -> None:
    """Have the client leave, as seen from a thread; return once that is known."""
    gone = threading.Event()
    current_disconnect().add_callback(gone.set)
    anyio.from_thread.run_sync(server.leave)
    assert gone.wait(HUNG)


@pytest.mark.parametrize("name", ["cancel_safe", "interrupt", "cancel"])
async def test_what_has_a_way_to_be_interrupted_is(name: str) -> None:
    connection = Connection()
    way = type("Way", (), {name: staticmethod(connection.cancel)})

    def handler(server: Server) -> None:
        with interrupting(way()):
            leave(server)
            connection.work()

    await served(handler)
    assert connection.interruptions >= 1


@pytest.mark.parametrize("wrap", [lambda way: way, functools.partial])
async def test_a_function_is_called(wrap: Callable[[Any], Any]) -> None:
    connection = Connection()

    def handler(server: Server) -> None:
        with interrupting(wrap(connection.cancel)):
            leave(server)
            connection.work()

    await served(handler)


async def test_it_is_repeated_since_the_first_call_may_come_too_early() -> None:
    connection = Connection()

    def handler(server: Server) -> None:
        with interrupting(connection):
            leave(server)
            connection.work()
            connection.interrupted.clear()  # as if the query had begun only now
            connection.work()

    await served(handler)
    assert connection.interruptions >= 2


async def test_nothing_is_interrupted_after_the_block() -> None:
    connection = Connection()

    def handler(server: Server) -> None:
        with interrupting(connection):
            pass
        leave(server)

    await served(handler)
    assert connection.interruptions == 0


async def test_the_end_of_the_block_waits_for_a_call_that_is_under_way() -> None:
    begun, story = threading.Event(), []

    def interrupt() -> None:
        begun.set()
        story.append("begun")
        ended.wait(0.2)  # the block is about to end, and must not
        story.append("done")

    ended = threading.Event()

    def handler(server: Server) -> None:
        with interrupting(interrupt):
            leave(server)
            assert begun.wait(HUNG)
        story.append("after the block")
        ended.set()

    await served(handler)
    assert story == ["begun", "done", "after the block"]


async def test_a_critical_block_is_not_interrupted() -> None:
    connection = Connection()

    def handler(server: Server) -> None:
        with interrupting(connection):
            with current_disconnect().critical():
                leave(server)
                assert not connection.interrupted.wait(0.25)  # longer than until the next call
            connection.work()

    await served(handler)


async def test_a_critical_block_begins_after_a_call_that_is_under_way() -> None:
    begun, story = threading.Event(), []

    def interrupt() -> None:
        begun.set()
        critical.wait(0.2)
        story.append("interrupted")

    critical = threading.Event()

    def handler(server: Server) -> None:
        with interrupting(interrupt):
            leave(server)
            assert begun.wait(HUNG)
            with current_disconnect().critical():
                story.append("critical")
                critical.set()

    await served(handler)
    assert story == ["interrupted", "critical"]


async def test_what_is_not_to_be_cancelled_is_not_interrupted() -> None:
    connection = Connection()

    def handler(server: Server) -> None:
        with interrupting(connection):
            leave(server)
            assert not connection.interrupted.wait(0.25)

    def ignoring(server: Server) -> None:
        current_disconnect().ignore()
        handler(server)

    await served(ignoring)
    await served(handler, cancel=False)


async def test_an_async_function_is_awaited() -> None:
    server = Server(REQUEST)
    interrupted = anyio.Event()

    async def interrupt() -> None:
        await ticks(1)
        interrupted.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with interrupting(interrupt), anyio.CancelScope(shield=True):
            server.leave()
            await interrupted.wait()

    await server.run(app)


async def test_outside_an_exchange_the_block_runs_like_any_other() -> None:
    connection = Connection()
    with interrupting(connection):
        pass
    assert connection.interruptions == 0


async def test_what_cannot_be_interrupted_is_an_error_that_says_what_can() -> None:
    names = r"cancel_safe\(\), interrupt\(\) or cancel\(\)"
    with pytest.raises(TypeError, match=names), interrupting("a connection"):
        pass
