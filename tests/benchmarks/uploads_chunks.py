"""A body of one-byte chunks that the app reads late: what `uploads.py` runs in a process each.

CONTENDER=asgi_disconnect python tests/benchmarks/uploads_chunks.py COUNT
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from scripted import SCOPE
from uploads_apps import reset_peak, resident, wrap


async def run(count: int) -> dict[str, float]:
    given = 0
    all_given = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given == count:
            all_given.set()
            await asyncio.sleep(60)
        given += 1
        return {"type": "http.request", "body": bytes([given % 251]), "more_body": given < count}

    async def send(message: Any) -> None:
        pass

    async def late(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(TimeoutError):  # one that stops reading ahead
            async with asyncio.timeout(10):
                await all_given.wait()
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        assert len(body) == count
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    reset_peak()
    before, start = resident("VmRSS"), time.monotonic()
    await wrap(late)({**SCOPE}, receive, send)
    peak = resident("VmHWM") - before
    # The app holds a copy of its own.
    return {"seconds": time.monotonic() - start, "peak": (peak - count) / 1e6}


if __name__ == "__main__":
    asyncio.run(run(1000))  # makes what stays
    print(json.dumps(asyncio.run(run(int(sys.argv[1])))))
