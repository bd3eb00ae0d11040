"""Requests that are refused, apps that work meanwhile, and how they are answered."""

from typing import Any

import anyio

from ..scripted import LAST, START, Server, http_scope, piece

WATCHING = [0, 0.005, float("inf")]
FOUR = piece(b"four")
END = piece(b"", more_body=False)


def declared(length: object, **changes: Any) -> dict[str, Any]:
    headers = [(b"content-length", str(length).encode())]
    return http_scope(method="POST", headers=headers, **changes)


def status_of(server: Server) -> int | None:
    """The status of a response that is complete and in good order, None if there is none at all."""
    if not server.sent:
        return None
    assert server.types == ["start", "body"]
    start, body = server.sent
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"content-type"].startswith(b"text/plain")
    assert not body.get("more_body")
    status = start["status"]
    assert isinstance(status, int)
    return status


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Reads all, and answers."""
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(LAST)


class Working:
    """An app that never reads, and tells how it ended."""

    def __init__(self, *sends: Any) -> None:
        self.sends = sends
        self.events: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.events.append("called")
        for message in self.sends:
            await send(message)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.events.append("cancelled")
            raise
