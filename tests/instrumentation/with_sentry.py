"""The hook for Sentry, with its own integrations for FastAPI and Starlette, around and inside.

`test_sentry.py` runs this in a process of its own: the integrations patch Starlette, FastAPI and
the middlewares that are added, ours too, and never undo it.
"""

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.instrumentation.sentry import SentryHook

from .exchanges import serve, works
from .traced import PATHS, application, visit

pytestmark = pytest.mark.anyio


class Sent(Transport):
    """What would have been sent."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            content = item.payload.json
            if item.type == "transaction":
                self.transactions.append(content)
            elif item.type == "event":
                self.errors.append(content)

    def status(self) -> Any:
        """The status of the one transaction."""
        (transaction,) = self.transactions
        return transaction["contexts"]["trace"].get("status")

    def names(self) -> list[str]:
        """The classes of the errors."""
        return [each["exception"]["values"][-1]["type"] for each in self.errors]

    def tags(self) -> list[Any]:
        """What each of all those says of the cause."""
        return [
            (each.get("tags") or {}).get("asgi_disconnect.cause")
            for each in (*self.transactions, *self.errors)
        ]


@pytest.fixture
def sent() -> Iterator[Sent]:
    transport = Sent()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            "http://key@127.0.0.1/1",
            transport=transport,
            traces_sample_rate=1.0,
            default_integrations=False,
            integrations=[StarletteIntegration(), FastApiIntegration(), DedupeIntegration()],
        )
        yield transport
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
        gc.collect()


def inside(**options: Any) -> Any:
    return DisconnectMiddleware(application(), watch_after=0, **options)


def outside(**options: Any) -> Any:
    app = application()
    app.add_middleware(DisconnectMiddleware, watch_after=0, **options)
    return app


WHERE: list[Callable[..., Any]] = [inside, outside]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sentry_is", WHERE)
async def test_an_abandoned_request_is_cancelled_and_no_error(
    sent: Sent, sentry_is: Any, path: str
) -> None:
    await visit(sentry_is(on_disconnect=SentryHook()), path)
    assert sent.names() == []
    assert sent.status() == "cancelled"
    assert sent.tags() == ["disconnect"]


@pytest.mark.parametrize(
    ("sentry_is", "path", "status", "names"),
    [
        (inside, "/works", "internal_error", []),
        (inside, "/reads", "internal_error", ["ClientDisconnect"]),
        (inside, "/streams", "ok", []),
        (outside, "/works", None, []),
        (outside, "/reads", None, []),
        (outside, "/streams", "ok", []),
        (outside, "/fails", None, []),
    ],
)
async def test_what_is_an_error_without_the_hook(
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
    sentry_is: Any,
    path: str,
    status: str | None,
    names: list[str],
) -> None:
    """Facts of the library, which the guide has in a table."""
    monkeypatch.setattr("asgi_disconnect.instrumentation.sentry.cause_now", lambda: None)
    await visit(sentry_is(), path)
    assert sent.names() == names
    assert sent.status() == status


# Trio cancels Starlette's answer to the error, and it is the cancellation that comes out.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("sentry_is", WHERE)
async def test_a_bug_in_the_cleanup_is_sent_once(sent: Sent, sentry_is: Any) -> None:
    await visit(sentry_is(on_disconnect=SentryHook()), "/fails")
    assert sent.names() == ["ValueError"]
    assert set(sent.tags()) == {"disconnect"}


@pytest.mark.parametrize("cancel", [True, False], ids=["kept-back", "raised"])
@pytest.mark.parametrize("sentry_is", WHERE)
async def test_a_bug_in_an_endpoint_that_is_told_is_sent_once(
    sent: Sent, sentry_is: Any, cancel: bool
) -> None:
    with contextlib.nullcontext() if cancel else pytest.raises(ValueError, match="the bug"):
        await visit(sentry_is(on_disconnect=SentryHook(), cancel=cancel), "/mishandles")
    assert sent.names() == ["ValueError"]


@pytest.mark.parametrize("sentry_is", WHERE)
async def test_a_request_that_was_answered_is_sent_as_it_is(sent: Sent, sentry_is: Any) -> None:
    await visit(sentry_is(on_disconnect=SentryHook()), "/answers")
    assert sent.status() == "ok"
    assert sent.tags() == [None]


async def test_other_events_are_marked_and_sent(sent: Sent) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await works(scope, receive, send)
        finally:
            sentry_sdk.capture_message("cleaned up")

    await serve(app, SentryHook())
    assert [each["message"] for each in sent.errors] == ["cleaned up"]
    assert sent.tags() == ["disconnect"]


async def test_several_hooks_are_no_more_than_one(sent: Sent) -> None:
    from sentry_sdk.scope import global_event_processors

    SentryHook()
    before = len(global_event_processors)
    SentryHook()
    assert len(global_event_processors) == before


async def test_without_sentry_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "asgi_disconnect"):
        await serve(works, SentryHook())
    assert not [each for each in caplog.records if each.levelno >= logging.INFO]
