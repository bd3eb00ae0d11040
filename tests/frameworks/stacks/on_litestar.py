"""Litestar."""

from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from .work import note_of_request, pieces, work, work_afterwards


def answer_500(request: Request[Any, Any, Any], error: Exception) -> Response[None]:
    note_of_request.get()(f"error: a 500 for {error!r}")
    return Response(None, status_code=500)


@get("/")
async def handler() -> None:
    await work()


@get("/")
async def stream() -> Stream:
    return Stream(pieces())


@get("/")
async def stream_with_background() -> Stream:
    return Stream(pieces(), background=BackgroundTask(work_afterwards))


def app(handler: Any) -> Litestar:
    return Litestar(
        [handler],
        exception_handlers={Exception: answer_500},
        openapi_config=None,
        logging_config=None,  # its own would take the place of pytest's
    )


STACKS = {
    "litestar": lambda: app(handler),
    "litestar-stream": lambda: app(stream),
    "litestar-stream-background": lambda: app(stream_with_background),
}
