"""A WebSocket whose client has gone, in every framework (contract §9).

`BaseHTTPMiddleware` passes WebSockets on as they are: no task group of its own is around them.
"""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport

from .apps import Framework
from .connection import serving
from .generators import left_to_be_collected
from .journal import Journal
from .test_every_framework import check_cleanup, settings, where
from .websocket_connection import CODE, WebSocketConnection

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("silence"),
    left_to_be_collected,
]

reads_itself = where(lambda framework: framework.listens)
leaves_it_to_the_handler = where(lambda framework: not framework.listens)


@pytest.fixture(params=settings())
def setting(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(setting: tuple[Framework, str]) -> str:
    return setting[1]


@pytest.fixture
def framework(setting: tuple[Framework, str]) -> Framework:
    return setting[0]


def guarded(framework: Framework, journal: Journal, **options: Any) -> Any:
    return framework.wrapped(journal, **{"websocket": True, "grace": 0, **options})


async def test_a_handler_that_only_pushes_is_stopped_and_its_finally_runs(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/pushes", manner=manner)
    async with serving(guarded(framework, journal), connection):
        await connection.has_been_pushed("tick")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=False)
    assert connection.most_receiving == 1


async def test_a_client_that_leaves_before_watching_is_due_is_noticed(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/pushes", manner=manner)
    async with serving(guarded(framework, journal), connection):
        await connection.has_been_pushed("tick")
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=False)


async def test_messages_that_it_does_not_read_do_not_hide_the_departure(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/pushes", manner=manner)
    async with serving(guarded(framework, journal), connection):
        await connection.has_been_pushed("tick")
        for number in range(100):
            connection.say(str(number))
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=False)


async def test_what_was_abandoned_is_reported_with_its_close_code(
    framework: Framework, manner: str
) -> None:
    reports: list[DisconnectReport] = []
    connection = WebSocketConnection("/pushes", manner=manner)
    app = guarded(framework, Journal(), on_disconnect=reports.append)
    async with serving(app, connection):
        await connection.has_been_pushed("tick")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    (report,) = reports
    assert (report.phase, report.code, report.cause) == ("connected", CODE, "disconnect")
    assert report.outcome == ("told" if framework.listens else "cancelled")


@leaves_it_to_the_handler
async def test_a_handler_that_listens_is_told_and_what_follows_is_finished(
    framework: Framework, manner: str
) -> None:
    """A transcript, a bill: not cancelled, though there is no grace."""
    journal = Journal()
    connection = WebSocketConnection("/listens", manner=manner)
    async with serving(guarded(framework, journal), connection):
        connection.say("one")
        await journal.noted("one")
        await connection.is_listened_to()
        connection.leave()
        await journal.noted("told")
        await anyio.wait_all_tasks_blocked()
        journal.allow("finish")
        await connection.has_ended()
    assert journal.notes == ["one", "told", "finished"]


@leaves_it_to_the_handler
async def test_a_handler_that_comes_back_within_grace_reads_all_that_came(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/catches-up", manner=manner)
    async with serving(guarded(framework, journal, grace=10), connection):
        await journal.noted("started")
        connection.say("one")
        await connection.is_listened_to()
        connection.say("two")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.allow("read")
        journal.allow("finish")
        await connection.has_ended()
    assert journal.notes == ["started", "one", "two", "told", "finished"]


@leaves_it_to_the_handler
async def test_a_handler_that_does_not_come_back_is_cancelled_after_grace(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/catches-up", manner=manner)
    async with serving(guarded(framework, journal, grace=0.05), connection):
        await journal.noted("started")
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["started"]


@reads_itself
async def test_a_framework_that_reads_itself_ends_its_handlers_in_its_own_way(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/pushes", manner=manner)
    async with serving(guarded(framework, journal, cancel=False), connection):
        await connection.has_been_pushed("tick")
        connection.leave()
        await connection.has_ended()
    assert journal.notes[:2] == ["started", "finally"]


async def test_a_client_that_stays_notices_nothing(framework: Framework, manner: str) -> None:
    sent = []
    for wrapped in False, True:
        journal = Journal()
        app = guarded(framework, journal) if wrapped else framework.bare(journal)
        connection = WebSocketConnection("/socket", manner=manner)
        async with serving(app, connection):
            await connection.is_listened_to()
            if wrapped:
                await anyio.sleep(0.02)  # watching is due
            connection.say("hello")
            await connection.has_been_pushed("hello")
            await connection.soon(lambda connection=connection: connection.closed, "a close")
            connection.leave()
            await connection.has_ended()
        assert connection.texts == ["hello"]
        sent.append(connection.sent)
    assert sent[0] == sent[1]


@leaves_it_to_the_handler
@pytest.mark.parametrize(
    "options", [{"websocket": False}, {"only": lambda scope: scope["type"] != "websocket"}]
)
async def test_without_being_asked_for_it_works_on(
    framework: Framework, options: dict[str, Any]
) -> None:
    journal = Journal()
    connection = WebSocketConnection("/pushes")
    async with serving(guarded(framework, journal, **options), connection):
        await connection.has_been_pushed("tick")
        await anyio.sleep(0.02)  # watching would be due now
        assert not connection.receiving
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over


@leaves_it_to_the_handler
async def test_unwrapped_the_handler_would_work_on(framework: Framework) -> None:
    """What all this is for; and whether the tests above can fail."""
    journal = Journal()
    connection = WebSocketConnection("/pushes")
    async with serving(framework.bare(journal), connection):
        await connection.has_been_pushed("tick")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over
        assert journal.notes == ["started"]
