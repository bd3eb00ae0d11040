"""What became of every request of a storm, and what must have become of it.

Contract §3, §4, §7: a request that ended without a complete response was reported once, one that
was completed for a client that was there not at all; the middleware returned normally; what cleanup
our cancellation began was ended, and every background task after a complete response ran.
"""

import random
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio

from asgi_disconnect import DisconnectReport

OUTCOMES = {"told", "cancelled", "ignored", "finished"}
"""All but "overran": no app of the storm takes so long, unless it is given little time."""

THE_SERVERS_ERROR = "the server's error"


@dataclass
class Record:
    """One request."""

    calls: int = 0
    """How often the middleware was called."""
    ended: str = "running"
    """How it ended: "returned", `THE_SERVERS_ERROR`, or the name of another exception."""
    completed: bool = False
    """A last message was handed to the server, be it that nobody was there."""
    reports: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    """What the app says that it did."""


_current: ContextVar[Record] = ContextVar("storm.record")


class Records:
    """The records of one storm; for the frameworks' apps, a journal that waits for nobody."""

    def __init__(self) -> None:
        self.by_key: dict[str, Record] = {}

    # What `tests.frameworks.apps` expect of a journal

    failure = ValueError("no route of the storm's")

    def note(self, what: str) -> None:
        record = _current.get(None)
        if record is not None:  # a lifespan has none
            record.notes[what] += 1

    async def leave_to(self, what: str) -> None:
        await anyio.sleep(random.choice((0, random.uniform(0, 0.01))))

    # Around the middleware

    def reported(self, report: DisconnectReport) -> None:
        """The middleware's hook."""
        self.by_key[key_of(report.scope)].reports.append(report.outcome)

    def around(self, app: Any) -> Any:
        """What the server calls for `app`, which the middleware is around, or in."""

        async def call(scope: Any, receive: Any, send: Any) -> Any:
            if scope["type"] == "lifespan":
                return await app(scope, receive, send)

            async def noting_send(message: Any) -> None:
                if is_last(message):
                    record.completed = True
                await send(message)

            record = self.by_key.setdefault(key_of(scope), Record())
            record.calls += 1
            token = _current.set(record)
            try:
                result = await app(scope, receive, noting_send)
            except BaseException as error:
                is_servers = comes_of_the_server(error)
                record.ended = THE_SERVERS_ERROR if is_servers else type(error).__name__
                raise
            finally:
                _current.reset(token)
            record.ended = "returned"
            return result

        return call

    def running(self) -> list[str]:
        """The requests that have not ended, or whose background work has not."""
        return [
            key
            for key, record in self.by_key.items()
            if record.ended == "running"
            or (
                record.notes["background started"] > record.notes["background finished"]
                and not record.reports  # or it has been cancelled
            )
        ]

    def as_json(self) -> dict[str, Any]:
        return {key: vars(record) for key, record in self.by_key.items()}


def key_of(scope: Any) -> str:
    query: bytes = scope["query_string"]
    return query.decode().removeprefix("key=")


def is_last(message: Any) -> bool:
    """Whether `message` completes the response, or closes a WebSocket.

    The storm's apps announce no trailers.
    """
    kind = message["type"]
    return kind in ("http.response.pathsend", "websocket.close") or (
        kind == "http.response.body" and not message.get("more_body")
    )


def comes_of_the_server(error: BaseException | None) -> bool:
    """Whether an app raised `error` because the server's `send` did: the server's to hear (§4)."""
    while error is not None and not isinstance(error, OSError):
        error = getattr(error, "exceptions", [error.__cause__ or error.__context__])[0]
    return error is not None


def faults(
    record: Record,
    route: str,
    *,
    cleanup: bool,
    stayed: bool,
    hurries: bool = False,
    blocks: bool = False,
) -> list[str]:
    """What is wrong with a request, as sentences.

    `cleanup` says whether what awaits in `finally` is promised its end there, `stayed` whether the
    client has waited for its response, `hurries` whether the middleware may have refused it or
    given it little time to end, `blocks` whether the server's `send` waits for ever once the client
    has gone.
    """
    if blocks and record.completed and record.ended == "running" and not stayed:
        return []  # in the last `send`, where the bare app would be too
    notes = record.notes
    found = []
    if record.calls != 1:
        found.append(f"called {record.calls} times")
    if record.ended not in ("returned", THE_SERVERS_ERROR):
        found.append(f"ended: {record.ended}")
    if not OUTCOMES.issuperset(record.reports) and not (hurries or blocks):
        found.append(f"outcome: {record.reports}")
    if len(record.reports) > 1:
        found.append(f"reported {len(record.reports)} times")
    if not record.completed and not record.reports:
        found.append("neither completed nor reported")
    if stayed and not hurries and (record.reports or not record.completed):
        found.append("the client stayed, and did not get its response")
    # Not "!=": a generator that is left to be collected has its "finally" in anybody's context.
    if notes["started"] > notes["finally"] and route == "slow":
        found.append("its finally did not run")
    if cleanup and notes["started"] > notes["cleaned up"] and route == "slow":
        found.append("its cleanup was lost")
    if notes["taken"] > notes["released"]:
        found.append("what it had taken was not released")
    # What may begin after a client has left, or in BaseHTTPMiddleware before the last message is on
    # its way, is a part of the app that is cancelled.
    completed = record.completed and not record.reports
    if route == "background" and completed and not hurries and not notes["background finished"]:
        found.append("its background work was not done")
    return found


def websocket_faults(
    record: Record,
    route: str,
    *,
    cleanup: bool,
    stayed: bool,
    hurries: bool = False,
    tells: bool = True,
) -> list[str]:
    """What is wrong with a WebSocket, as sentences (contract §9).

    `cleanup`, `stayed` and `hurries` are as for `faults`; `tells` says whether the framework leaves
    it to the handler to hear of the disconnect.
    """
    notes = record.notes
    found = []
    if record.calls != 1:
        found.append(f"called {record.calls} times")
    # What `send` raises for the app's own close, its last word, is the server's to hear.
    if record.ended != "returned" and not (record.ended == THE_SERVERS_ERROR and record.completed):
        found.append(f"ended: {record.ended}")
    if not OUTCOMES.issuperset(record.reports) and not hurries:
        found.append(f"outcome: {record.reports}")
    if len(record.reports) > 1:
        found.append(f"reported {len(record.reports)} times")
    if not record.completed and not record.reports:
        found.append("neither closed nor reported")
    if stayed and (record.reports or not record.completed):
        found.append("the client stayed, and was not served to the end")
    if route == "pushes" and notes["started"] > notes["finally"]:
        found.append("its finally did not run")
    if route == "pushes" and cleanup and notes["started"] > notes["cleaned up"]:
        found.append("its cleanup was lost")
    # One that hears of it between our decision and its cancellation is both.
    if tells and record.reports == ["told"] and notes["told"] > notes["finished"]:
        found.append("it was told, and cancelled nevertheless")
    return found
