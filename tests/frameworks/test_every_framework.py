"""What the contract promises to every framework, each on every back end that it has."""

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from ..conftest import cleanup_in_groups_finishes
from .apps import FRAMEWORKS, Framework
from .connection import Connection, exchange, serving
from .generators import left_to_be_collected
from .journal import Journal

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("silence"),
    left_to_be_collected,
]

PIECES = [bytes([number]) * 1000 * number for number in range(1, 6)]


def settings(where: Callable[[Framework], bool] = lambda framework: True) -> Any:
    return [
        pytest.param((framework, backend), id=f"{framework.name}-{backend}")
        for framework in FRAMEWORKS
        if where(framework)
        for backend in framework.backends
    ]


@pytest.fixture(params=settings())
def setting(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(setting: tuple[Framework, str]) -> str:
    return setting[1]


@pytest.fixture
def framework(setting: tuple[Framework, str]) -> Framework:
    return setting[0]


def where(condition: Callable[[Framework], bool]) -> Any:
    """For the frameworks alone of which `condition` is true."""
    return pytest.mark.parametrize("setting", settings(condition), indirect=True)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/quick"), ("GET", "/count"), ("GET", "/missing"), ("POST", "/echo")],
)
async def test_the_response_is_the_unwrapped_one_message_for_message(
    framework: Framework, method: str, path: str
) -> None:
    sent = []
    for app in framework.bare(Journal()), framework.wrapped(Journal(), watch_after=0):
        body = b"ping" if method == "POST" else b""
        connection = await exchange(app, Connection(method, path, body=body))
        assert connection.complete
        sent.append(connection.sent)
    assert sent[0] == sent[1]


@pytest.mark.parametrize("spec_version", ["2.1", "2.3", "2.5"])
async def test_a_response_with_the_watcher_at_work_is_the_unwrapped_one(
    framework: Framework, manner: str, spec_version: str
) -> None:
    sent = []
    for wrapped in False, True:
        journal = Journal()
        app = framework.wrapped(journal) if wrapped else framework.bare(journal)
        connection = Connection(
            "POST", "/late", body=PIECES, manner=manner, spec_version=spec_version
        )
        async with serving(app, connection):
            await journal.noted("started")
            if wrapped:
                await connection.is_listened_to()
            journal.allow("read")
            await connection.has_ended()
        assert connection.body == b"".join(PIECES)
        assert connection.most_receiving == 1
        sent.append(connection.sent)
    assert sent[0] == sent[1]


async def test_a_body_that_comes_in_pieces_arrives_to_the_byte(
    framework: Framework, manner: str
) -> None:
    connection = Connection("POST", "/echo", body=b"", complete=False, manner=manner)
    async with serving(framework.wrapped(Journal(), watch_after=0), connection):
        for piece in PIECES:
            await connection.is_listened_to()
            connection.upload(piece)
        await connection.is_listened_to()
        connection.upload(b"", more=False)
        await connection.has_ended()
    assert connection.body == b"".join(PIECES)
    assert connection.most_receiving == 1


async def test_a_body_that_is_not_read_changes_nothing(framework: Framework, manner: str) -> None:
    connection = Connection("GET", "/quick", body=PIECES, manner=manner)
    await exchange(framework.wrapped(Journal()), connection)
    assert connection.status == 200
    assert connection.complete


async def test_an_abandoned_handler_is_stopped_and_its_finally_runs(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/slow", manner=manner)
    async with serving(framework.wrapped(journal), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=framework.task_group)
    assert connection.most_receiving == 1
    assert not connection.sent


async def test_a_client_that_leaves_before_watching_is_due_is_noticed(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/slow", manner=manner)
    async with serving(framework.wrapped(journal), connection):
        await journal.noted("started")
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=framework.task_group)


async def test_a_client_that_leaves_in_mid_upload_is_noticed(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = Connection("POST", "/slow", body=PIECES, complete=False, manner=manner)
    async with serving(framework.wrapped(journal), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=framework.task_group)


async def test_a_client_that_leaves_at_once_leaves_nothing_behind(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/slow", manner=manner)
    connection.leave()
    async with serving(framework.wrapped(journal, watch_after=0), connection):
        await connection.has_ended()
    assert journal.notes.count("started") == journal.notes.count("finally")


async def test_a_stream_stops(framework: Framework, manner: str) -> None:
    journal = Journal()
    connection = Connection("GET", "/stream", manner=manner)
    async with serving(framework.wrapped(journal), connection):
        await connection.has_sent(b"tick")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
        await journal.noted("finally")
    assert connection.body == b"tick"
    assert not connection.complete


@where(lambda framework: framework.background)
@pytest.mark.parametrize("watch_after", [0, 0.005])
async def test_background_work_finishes_though_the_server_says_disconnect(
    framework: Framework, manner: str, watch_after: float
) -> None:
    journal = Journal()
    connection = Connection("GET", "/background", manner=manner)
    async with serving(framework.wrapped(journal, watch_after=watch_after), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        journal.allow("respond")
        await connection.has_completed()
        connection.leave()
        await journal.noted("background started")
        await anyio.wait_all_tasks_blocked()
        journal.allow("finish")
        await journal.noted("background finished")
        await connection.has_ended()
    assert connection.body == b"done"
    assert not connection.dropped


@where(lambda framework: framework.background)
async def test_background_work_of_a_quick_response_finishes(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    journal.allow("respond")
    connection = Connection("GET", "/background", manner=manner)
    async with serving(framework.wrapped(journal, watch_after=0.001), connection):
        await connection.has_completed()
        await journal.noted("background started")
        await anyio.sleep(0.01)  # watching would be due now
        journal.allow("finish")
        await journal.noted("background finished")
        await connection.has_ended()


async def test_an_error_of_the_app_comes_out_as_it_does_unwrapped(
    framework: Framework, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = []
    failure = ValueError("the app's own")
    for wrapped in False, True:
        journal = Journal()
        journal.failure = failure
        app = framework.wrapped(journal, watch_after=0) if wrapped else framework.bare(journal)
        caplog.clear()
        connection = Connection("GET", "/fails")
        async with serving(app, connection):
            await connection.is_over()
        logged = [record.name for record in caplog.records]
        outcomes.append((connection.error, connection.sent, logged))
    caplog.clear()  # the frameworks' own lines
    (error, sent, logged), outcome = outcomes
    assert outcome[0] is error
    assert outcome[1:] == (sent, logged)


@where(lambda framework: framework.polls)
async def test_a_handler_that_asks_is_told_when_nothing_is_cancelled(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/polls", manner=manner)
    async with serving(framework.wrapped(journal, cancel=False), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert "noticed" in journal.notes


@where(lambda framework: framework.polls)
async def test_a_handler_that_asks_without_being_watched_is_told(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/polls", manner=manner)
    app = framework.wrapped(journal, cancel=False, watch_after=math.inf)
    async with serving(app, connection):
        await journal.noted("started")
        connection.leave()
        await connection.has_ended()
    assert "noticed" in journal.notes


@where(lambda framework: framework.polls)
async def test_a_handler_that_asks_is_stopped_with_the_rest(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/polls", manner=manner)
    async with serving(framework.wrapped(journal), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()


async def test_nothing_is_cancelled_where_the_predicate_says_no(
    framework: Framework, manner: str
) -> None:
    journal = Journal()
    connection = Connection("POST", "/late", body=b"x", manner=manner)
    app = framework.wrapped(journal, only=lambda scope: scope["path"] != "/late")
    async with serving(app, connection):
        await journal.noted("started")
        await anyio.sleep(0.02)  # watching would be due now
        if not framework.listens:
            assert not connection.receiving
        journal.allow("read")
        await connection.has_ended()
    assert connection.body == b"x"


async def test_a_second_instance_further_in_does_nothing(
    framework: Framework, anyio_backend: str, manner: str
) -> None:
    journal = Journal()
    connection = Connection("POST", "/slow", body=PIECES, manner=manner)
    async with serving(DisconnectMiddleware(framework.wrapped(journal)), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    check_cleanup(anyio_backend, journal, in_task_group=framework.task_group)
    assert connection.most_receiving == 1


@where(lambda framework: not framework.listens)
async def test_unwrapped_the_handler_would_work_on(framework: Framework) -> None:
    """What all this is for; and whether the tests above can fail."""
    journal = Journal()
    connection = Connection("GET", "/slow")
    async with serving(framework.bare(journal), connection):
        await journal.noted("started")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over
        assert "finally" not in journal.notes


def check_cleanup(backend: str, journal: Journal, *, in_task_group: bool) -> None:
    expected = ["started", "finally"]
    if backend == "asyncio" and (not in_task_group or cleanup_in_groups_finishes()):
        expected.append("cleaned up")
    assert journal.notes == expected
