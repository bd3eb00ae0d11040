"""FastAPI: dependencies, threads, and the bodies that it parses itself."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .connection import Connection, exchange, serving
from .generators import left_to_be_collected
from .journal import Journal

pytest.importorskip("fastapi")

from fastapi import BackgroundTasks, Depends, FastAPI, Form, HTTPException, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("silence"),
    left_to_be_collected,
]

Place = Callable[..., Any]


def outermost(app: FastAPI, **options: Any) -> Any:
    return DisconnectMiddleware(app, **options)


def in_the_stack(app: FastAPI, **options: Any) -> Any:
    app.add_middleware(DisconnectMiddleware, **options)
    return app


@pytest.fixture(params=[outermost, in_the_stack])
def around(request: pytest.FixtureRequest) -> Place:
    place: Place = request.param
    return place


@pytest.fixture
def on_asyncio(anyio_backend: Any) -> bool:
    return bool(anyio_backend[0] == "asyncio")


def dependent(journal: Journal) -> FastAPI:
    """An app whose endpoints have dependencies with cleanup, async and sync."""
    app = FastAPI()

    async def connected() -> AsyncIterator[str]:
        journal.note("async in")
        try:
            yield "connection"
        finally:
            journal.note("async out")
            await anyio.sleep(0.001)
            journal.note("async released")

    def opened() -> Iterator[str]:
        journal.note("sync in")
        try:
            yield "file"
        finally:
            journal.note("sync out")

    @app.get("/async")
    async def async_endpoint(
        one: Annotated[str, Depends(connected)], two: Annotated[str, Depends(opened)]
    ) -> str:
        journal.note("started")
        await journal.leave_to("respond")
        return one + two

    @app.get("/sync")
    def sync_endpoint(
        one: Annotated[str, Depends(connected)], two: Annotated[str, Depends(opened)]
    ) -> str:
        journal.note("started")
        journal.block()
        journal.note("finished")
        return one + two

    @app.get("/stream")
    async def stream(one: Annotated[str, Depends(connected)]) -> StreamingResponse:
        async def ticks() -> AsyncIterator[bytes]:
            yield b"tick"
            journal.note("started")
            await journal.leave_to("respond")

        return StreamingResponse(ticks())

    return app


@pytest.mark.parametrize("path", ["/async", "/stream"])
async def test_dependencies_of_an_abandoned_endpoint_clean_up(
    around: Place, manner: str, path: str, on_asyncio: bool
) -> None:
    journal = Journal()
    connection = Connection("GET", path, manner=manner)
    async with serving(around(dependent(journal)), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert "async out" in journal.notes
    if on_asyncio:  # on trio cleanup that awaits has to shield itself
        assert "async released" in journal.notes
    assert journal.notes.count("sync in") == journal.notes.count("sync out")


async def test_dependencies_of_a_complete_endpoint_clean_up(around: Place, manner: str) -> None:
    journal = Journal()
    journal.allow("respond")
    connection = Connection("GET", "/async", manner=manner)
    await exchange(around(dependent(journal), watch_after=0), connection)
    assert connection.body == b'"connectionfile"'
    assert journal.notes[:2] == ["async in", "sync in"]
    assert journal.notes[-3:] == ["sync out", "async out", "async released"]


async def test_a_sync_endpoint_runs_to_its_end_and_is_waited_for(
    around: Place, manner: str
) -> None:
    journal = Journal()
    connection = Connection("GET", "/sync", manner=manner)
    async with serving(around(dependent(journal)), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over
        journal.release()
        await connection.has_ended()
        assert "finished" in journal.notes
    assert "async out" in journal.notes
    assert "sync out" in journal.notes


async def test_background_tasks_async_and_sync_finish(around: Place, manner: str) -> None:
    journal = Journal()
    app = FastAPI()

    async def mail() -> None:
        journal.note("mail started")
        await journal.leave_to("mail")
        journal.note("mail sent")

    def report() -> None:
        journal.note("report started")
        journal.block()
        journal.note("report written")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(mail)
        tasks.add_task(report)
        return "done"

    connection = Connection(manner=manner)
    async with serving(around(app, watch_after=0), connection):
        await journal.noted("mail started")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.allow("mail")
        await journal.noted("report started")
        journal.release()
        await connection.has_ended()
    assert journal.notes == ["mail started", "mail sent", "report started", "report written"]


# Bodies


class Item(BaseModel):
    name: str
    number: int


def parser() -> FastAPI:
    app = FastAPI()

    @app.post("/json")
    async def json(item: Item) -> Item:
        return item

    @app.post("/json-in-a-thread")
    def json_in_a_thread(item: Item) -> Item:
        return item

    @app.post("/form")
    async def form(name: Annotated[str, Form()], number: Annotated[int, Form()]) -> Item:
        return Item(name=name, number=number)

    @app.post("/file")
    async def file(upload: UploadFile) -> dict[str, Any]:
        content = await upload.read()
        return {"name": upload.filename, "size": len(content), "sum": sum(content)}

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.post("/refused")
    async def refused() -> None:
        raise HTTPException(403, "no")

    return app


JSON = b'{"name": "spam", "number": 42}'
FORM = b"name=spam&number=42"
FILE = (
    b'--cut\r\nContent-Disposition: form-data; name="upload"; filename="spam.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
    + bytes(range(256)) * 2000
    + b"\r\n--cut--\r\n"
)
BODIES = {
    "json": ("/json", b"application/json", JSON),
    "json-in-a-thread": ("/json-in-a-thread", b"application/json", JSON),
    "not-json": ("/json", b"application/json", b"{"),
    "not-an-item": ("/json", b"application/json", b"{}"),
    "form": ("/form", b"application/x-www-form-urlencoded", FORM),
    "file": ("/file", b"multipart/form-data; boundary=cut", FILE),
    "raw": ("/raw", b"application/octet-stream", FILE),
    "refused": ("/refused", b"application/octet-stream", FILE),
}


@pytest.fixture(params=BODIES)
def posted(request: pytest.FixtureRequest) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
    path, kind, body = BODIES[request.param]
    return path, [(b"content-type", kind)], body


async def test_bodies_are_parsed_as_unwrapped(around: Place, manner: str, posted: Any) -> None:
    path, headers, body = posted
    third = len(body) // 3
    pieces = [body[:third], body[third:-third], body[-third:]]
    sent = []
    for app in parser(), around(parser(), watch_after=0):
        connection = Connection("POST", path, headers=headers, body=pieces, manner=manner)
        await exchange(app, connection)
        sent.append(connection.sent)
    assert sent[0] == sent[1]
    assert connection.complete


async def test_bodies_that_come_slowly_are_parsed_as_unwrapped(
    around: Place, manner: str, posted: Any
) -> None:
    path, headers, body = posted
    third = len(body) // 3
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    sent = []
    for app in parser(), around(parser(), watch_after=0):
        connection = Connection(
            "POST", path, headers=headers, body=body[:third], complete=False, manner=manner
        )
        async with serving(app, connection):
            for piece, more in (body[third:-third], True), (body[-third:], False):
                await connection.is_listened_to_or_over()
                connection.upload(piece, more=more)
            await connection.has_ended()
        sent.append(connection.sent)
    assert sent[0] == sent[1]
    assert connection.complete


async def test_an_upload_that_is_cut_off_ends_silently(
    around: Place, manner: str, posted: Any
) -> None:
    path, headers, body = posted
    connection = Connection(
        "POST", path, headers=headers, body=body[: len(body) // 2], complete=False, manner=manner
    )
    async with serving(around(parser()), connection):
        await connection.is_listened_to_or_over()
        connection.leave()
        await connection.has_ended()
