"""Django Channels: a consumer that pushes from a channel layer (contract §9).

Channels waits in `receive` beside its channel layer, also while a consumer handles an event of that
layer: it is told then, and ends in its own way.  While it handles a message of the client's, nobody
receives.
"""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

pytest.importorskip("channels", reason="channels is not installed")

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers
from django_app import handler_for  # noqa: F401 - it configures Django

from asgi_disconnect import DisconnectMiddleware, DisconnectReport
from tests.frameworks.connection import serving
from tests.frameworks.journal import Journal
from tests.frameworks.websocket_connection import CODE, WebSocketConnection

pytestmark = [pytest.mark.anyio]


@pytest.fixture
async def layer(anyio_backend: Any) -> AsyncIterator[InMemoryChannelLayer]:
    found = InMemoryChannelLayer()
    channel_layers.set("default", found)
    yield found
    channel_layers.set("default", None)


class Prices(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Pushes what its group is sent."""

    journal: Journal

    async def connect(self) -> None:
        await self.channel_layer.group_add("prices", self.channel_name)
        await self.accept()
        self.journal.note("connected")

    async def price(self, event: dict[str, Any]) -> None:
        if event["text"] == "slow":
            self.journal.note("working")
            await self.journal.leave_to("go on")
        await self.send(event["text"])

    async def receive(self, text_data: str = "", bytes_data: bytes = b"") -> None:
        self.journal.note(f"got {text_data}")
        try:
            await self.journal.leave_to("go on")
        finally:
            await anyio.lowlevel.checkpoint()
            self.journal.note("handled")

    async def disconnect(self, code: int) -> None:
        self.journal.note(f"told {code}")
        await self.channel_layer.group_discard("prices", self.channel_name)
        self.journal.note("group left")


class Consumed:
    """A consumer in the middleware, and what that reports."""

    def __init__(self, **options: Any) -> None:
        self.journal = Journal()
        self.reports: list[DisconnectReport] = []
        kind = type("Prices", (Prices,), {"journal": self.journal})
        options = {"grace": 0, "on_disconnect": self.reports.append, **options}
        self.app = DisconnectMiddleware(kind.as_asgi(), websocket=True, **options)

    @property
    def outcome(self) -> str:
        (report,) = self.reports
        return report.outcome


async def push(layer: InMemoryChannelLayer, text: str) -> None:
    await layer.group_send("prices", {"type": "price", "text": text})


async def test_a_consumer_that_pushes_is_told_and_leaves_its_group(
    layer: InMemoryChannelLayer, manner: str
) -> None:
    consumed, connection = Consumed(), WebSocketConnection("/", manner=manner)
    async with serving(consumed.app, connection):
        await consumed.journal.noted("connected")
        await push(layer, "42")
        await connection.has_been_pushed("42")
        connection.leave()
        await connection.has_ended()
    assert consumed.journal.notes == ["connected", f"told {CODE}", "group left"]
    assert consumed.outcome == "told"
    assert not layer.groups


async def test_a_consumer_at_work_on_an_event_is_told_and_finishes_it(
    layer: InMemoryChannelLayer, manner: str
) -> None:
    consumed, connection = Consumed(), WebSocketConnection("/", manner=manner)
    async with serving(consumed.app, connection):
        await consumed.journal.noted("connected")
        await push(layer, "slow")
        await consumed.journal.noted("working")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        consumed.journal.allow("go on")
        await connection.is_over()
    assert consumed.outcome == "told"
    assert connection.error is None
    told = [] if manner == "repeats" else [f"told {CODE}", "group left"]  # `send` may raise
    assert consumed.journal.notes == ["connected", "working", *told]


async def test_a_consumer_at_work_on_a_message_is_cancelled_after_grace(
    layer: InMemoryChannelLayer, manner: str
) -> None:
    consumed, connection = Consumed(grace=0.05), WebSocketConnection("/", manner=manner)
    async with serving(consumed.app, connection):
        await consumed.journal.noted("connected")
        connection.say("hello")
        await consumed.journal.noted("got hello")
        connection.leave()
        await connection.has_ended()
    assert consumed.journal.notes == ["connected", "got hello", "handled"]
    assert consumed.outcome == "cancelled"


async def test_a_consumer_that_finishes_its_message_within_grace_is_told(
    layer: InMemoryChannelLayer, manner: str
) -> None:
    consumed, connection = Consumed(grace=10), WebSocketConnection("/", manner=manner)
    async with serving(consumed.app, connection):
        await consumed.journal.noted("connected")
        connection.say("hello")
        await consumed.journal.noted("got hello")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        consumed.journal.allow("go on")
        await connection.has_ended()
    assert consumed.journal.notes == [
        *("connected", "got hello", "handled"),
        *(f"told {CODE}", "group left"),
    ]
    assert consumed.outcome == "told"
