"""Quart, which listens itself, and cancels the handler's task once."""

from typing import Any

from quart import Quart

from .work import note_of_request, pieces, work


async def handler() -> str:
    await work()
    return ""


async def stream() -> Any:
    return pieces()


def app(handler: Any) -> Quart:
    app = Quart(__name__)
    app.get("/")(handler)

    @app.errorhandler(Exception)
    async def answer_500(error: Exception) -> Any:
        note_of_request.get()(f"error: a 500 for {error!r}")
        return "", 500

    return app


STACKS = {"quart": lambda: app(handler), "quart-stream": lambda: app(stream)}
