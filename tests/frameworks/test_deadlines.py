"""A deadline passes in every framework: one answer, no error, nothing left (contract §10)."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from .apps import Framework
from .connection import Connection, serving
from .generators import left_to_be_collected
from .journal import Journal
from .test_every_framework import check_cleanup, settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence"), left_to_be_collected]

DEADLINE = 0.05
ATTEMPTS = 5
"""In one of so many, the app gets to the point before the deadline passes."""


def where(condition: Callable[[Framework], bool]) -> Any:
    """For the frameworks alone of which `condition` is true."""
    return pytest.mark.parametrize("setting", settings(condition), indirect=True)


@pytest.fixture(params=settings())
def setting(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(setting: tuple[Framework, str]) -> str:
    return setting[1]


@pytest.fixture
def framework(setting: tuple[Framework, str]) -> Framework:
    return setting[0]


def answered_504(connection: Connection) -> bool:
    """There is our answer, and no other."""
    types = [message["type"] for message in connection.sent]
    return types == ["http.response.start", "http.response.body"] and connection.status == 504


@pytest.mark.parametrize("watch_after", [0, 0.005, 1])
async def test_a_handler_is_stopped_and_its_finally_runs(
    framework: Framework, anyio_backend: str, manner: str, watch_after: float
) -> None:
    for _ in range(ATTEMPTS):
        journal = Journal()
        connection = Connection("GET", "/slow", manner=manner)
        app = framework.wrapped(journal, deadline=DEADLINE, watch_after=watch_after)
        async with serving(app, connection):
            await connection.has_ended()
        if journal.notes:
            break
    assert answered_504(connection)
    assert connection.most_receiving <= 1
    check_cleanup(anyio_backend, journal, in_task_group=framework.task_group)


async def test_a_body_that_does_not_arrive_is_answered(framework: Framework, manner: str) -> None:
    connection = Connection("POST", "/echo", body=b"half", complete=False, manner=manner)
    app = framework.wrapped(Journal(), deadline=DEADLINE)
    async with serving(app, connection):
        await connection.has_ended()
    assert answered_504(connection)
    assert connection.most_receiving == 1


async def test_a_stream_is_cut_off(framework: Framework, manner: str) -> None:
    for _ in range(ATTEMPTS):
        journal = Journal()
        connection = Connection("GET", "/stream", manner=manner)
        async with serving(framework.wrapped(journal, deadline=DEADLINE), connection):
            await connection.has_ended()
            if connection.body != b"tick":
                continue
            await journal.noted("finally")
        break
    assert connection.status == 200
    assert connection.body == b"tick"
    assert not connection.complete


@where(lambda framework: framework.background)
async def test_background_work_is_not_touched(framework: Framework, manner: str) -> None:
    for _ in range(ATTEMPTS):
        journal = Journal()
        journal.allow("respond")
        connection = Connection("GET", "/background", manner=manner)
        async with serving(framework.wrapped(journal, deadline=DEADLINE), connection):
            await connection.is_complete_or_over()
            if connection.status == 504 or not connection.complete:
                continue
            await journal.noted("background started")
            await anyio.sleep(2 * DEADLINE)
            journal.allow("finish")
            await journal.noted("background finished")
            await connection.has_ended()
        break
    assert connection.body == b"done"


async def test_a_response_in_time_is_the_unwrapped_one(framework: Framework, manner: str) -> None:
    sent = []
    for wrapped in False, True:
        journal = Journal()
        app = framework.wrapped(journal, deadline=30) if wrapped else framework.bare(journal)
        connection = Connection("POST", "/late", body=[b"a", b"b"], manner=manner)
        async with serving(app, connection):
            await journal.noted("started")
            journal.allow("read")
            await connection.has_ended()
        assert connection.body == b"ab"
        sent.append(connection.sent)
    assert sent[0] == sent[1]
