"""What the servers of the storm run: every framework, guarded, and what became of the requests.

``/<framework>/<route>?key=<number>`` is a request of the storm, or a WebSocket; ``/storm/remains``
says what is there that should not outlive a request, and ``/storm/records`` what became of all.
"""

import asyncio
import functools
import json
import logging
import os
import sys
import threading
from typing import Any

from asgi_disconnect import DisconnectMiddleware
from tests.frameworks.apps import FRAMEWORKS
from tests.storm import more_apps
from tests.storm.records import Records, key_of

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

# Quart logs the departures from WebSockets that it notices itself, bare too.
logging.getLogger("tests.frameworks.apps.on_quart").addFilter(
    lambda record: not record.getMessage().startswith("Exception on websocket ")
)

OPTIONS: tuple[dict[str, Any], ...] = (
    {"grace": 2.0},
    {"grace": 2.0, "watch_after": 0, "max_memory": 3000},
)
WEBSOCKET_OPTIONS: tuple[dict[str, Any], ...] = (
    {"grace": 0},
    {"grace": 0.02, "watch_after": 0, "max_memory": 10_000},
)

records = Records()


@functools.cache
def app_of(name: str, kind: str, variant: int) -> Any:
    own = OPTIONS if kind == "http" else WEBSOCKET_OPTIONS
    options = {"on_disconnect": records.reported, "websocket": True, **own[variant]}
    if name == "fastapi-threads":
        app: Any = DisconnectMiddleware(more_apps.fastapi_with_threads(records), **options)
    else:
        (framework,) = (each for each in FRAMEWORKS if each.name == name)
        app = framework.wrapped(records, **options)  # type: ignore[arg-type]
    return records.around(app)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    _, name, route = scope["path"].split("/")
    if name == "storm":
        body = json.dumps(remains() if route == "remains" else records.as_json()).encode()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})
        return
    path = f"/{route}"
    await app_of(name, scope["type"], int(key_of(scope)) % len(OPTIONS))(
        {**scope, "path": path, "raw_path": path.encode()}, receive, send
    )


def remains() -> dict[str, Any]:
    """What there is now."""
    # Idle threads of the pools are kept for the next who need one.  What is called Dummy was not
    # started in Python: it is one of granian's own, in which some Python code has asked for a name.
    pools = ("AnyIO worker", "Trio thread", "asyncio_", "ThreadPoolExecutor", "OTWorker", "Dummy")
    running = records.running()
    sending = [key for key in running if records.by_key[key].completed]
    return {
        "running": [key for key in running if key not in sending],
        "running, completed": sending,
        "tasks": tasks(),
        "threads": sorted(
            thread.name for thread in threading.enumerate() if not thread.name.startswith(pools)
        ),
        "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
    }


def tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        import trio

        return trio.lowlevel.current_statistics().tasks_living
