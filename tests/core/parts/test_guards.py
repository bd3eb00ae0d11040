"""Which guard serves on asyncio; when it is the slower one, that is said (contract §4.4)."""

import asyncio
import logging
import sys
import types
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._guards import choice as guards
from asgi_disconnect._guards import records, try_out
from asgi_disconnect._guards.fast import FastGuard
from asgi_disconnect._guards.reference import ReferenceGuard

from ...backends import only_asyncio
from ..scripted import REQUEST, Server, ticks

pytestmark = [pytest.mark.anyio, only_asyncio]


def forget() -> None:
    try_out.can_be_read.cache_clear()
    guards._fast_guard_serves.cache_clear()


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """What has been tried out and said once is tried out and said again."""
    forget()
    yield
    forget()


async def cleans_up(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["leave"]()
    with anyio.CancelScope(shield=True):
        await ticks(50)
        scope["events"].append("shielded")
    try:
        await anyio.sleep_forever()
    finally:
        await ticks(5)
        scope["events"].append("cleaned up")


@pytest.mark.fast_guard
async def test_the_fast_guard_serves_with_this_anyio(caplog: pytest.LogCaptureFixture) -> None:
    """If not, a new one keeps its records in another way, and `guards.records` is to be mended."""
    caplog.set_level(logging.INFO)
    assert isinstance(guards.guard_for_caller(), FastGuard)
    assert caplog.messages == []


@pytest.mark.parametrize("record", [None, object()])
@pytest.mark.parametrize("hidden", ["_task_states", "_CancelScope"])
async def test_an_anyio_that_keeps_its_records_otherwise_is_noticed_and_said_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hidden: str,
    record: object,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(records, hidden, {asyncio.current_task(): record})
    assert isinstance(guards.guard_for_caller(), ReferenceGuard)
    server = Server(REQUEST)
    events: list[str] = []
    scope = {"type": "http", "headers": [], "leave": server.leave, "events": events}
    await DisconnectMiddleware(cleans_up, watch_after=0)(scope, server.receive, server.send)
    assert events == ["shielded", "cleaned up"]
    assert [(record.levelname, record.name) for record in caplog.records] == [
        ("INFO", "asgi_disconnect")
    ]


@pytest.mark.parametrize(
    "attribute",
    ["_parent_scope", "_host_task", "_child_scopes", "_pending_uncancellations"],
)
async def test_each_record_is_tried_out(monkeypatch: pytest.MonkeyPatch, attribute: str) -> None:
    """As if the next anyio had another name for it."""

    class Renamed:
        def __init__(self, scope: Any) -> None:
            self._scope = scope

        def __getattr__(self, name: str) -> Any:
            if name == attribute:
                raise AttributeError(name)
            return getattr(self._scope, name)

    innermost = records.innermost_scope
    monkeypatch.setattr(records, "innermost_scope", lambda task: Renamed(innermost(task)))
    assert isinstance(guards.guard_for_caller(), ReferenceGuard)


async def test_a_scope_that_delivers_by_another_method_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Renamed(records._CancelScope):  # type: ignore[misc]
        __slots__ = ()

    monkeypatch.setattr(records, "_Watched", Renamed)
    assert isinstance(guards.guard_for_caller(), ReferenceGuard)


async def test_an_anyio_without_a_scope_around_each_task_of_a_group_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    older = types.SimpleNamespace(CancelScope=anyio.CancelScope)
    monkeypatch.setattr(try_out, "anyio", older)
    caplog.set_level(logging.INFO)
    guards.guard_for_caller()
    guards.guard_for_caller()
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_an_anyio_whose_back_end_is_elsewhere_is_imported_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "anyio._backends._asyncio", None)
    assert records._backend() is None


async def test_a_task_that_keeps_its_complaint_elsewhere_is_left_as_it_is() -> None:
    records.suppress_destroyed_warning(object())  # type: ignore[arg-type]
