"""What the servers of `tests/uploads` run: apps that read a body, or do not, and tell its digest.

The request's path and the line to the test are those of `tests/servers/served/app.py`, which this
needs on the module search path.  Each request tells as well by how much the process's resident
memory has peaked above where it stood when the request began: ``peak <bytes>``.
"""

import ctypes
import hashlib
import os
import re
import tempfile
import threading

import anyio
from app import Request, journal

from asgi_disconnect import DisconnectMiddleware

HALF = 4 << 20

# Not TMPDIR, for whose folder Python takes another if it does not exist.
tempfile.tempdir = os.environ.get("ASGI_DISCONNECT_TESTS_FOLDER")


async def read_on(request, digest, *, until=None, pause=None):
    """Read `until` so many bytes have come, or all; whether the client is still there."""
    count = 0
    while until is None or count < until:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            request.tell("told")
            return False
        digest.update(message.get("body", b""))
        count += len(message.get("body", b""))
        if pause is not None:
            await anyio.sleep(pause)
        if not message.get("more_body"):
            break
    return True


async def finish(request, digest):
    request.tell("finished")
    await request.respond(digest.hexdigest().encode())


async def reading(request):
    """Reads all of it, as fast as it comes."""
    digest = hashlib.sha256()
    if await read_on(request, digest):
        await finish(request, digest)


async def slow(request):
    """Reads a little, works until the client has sent all, and reads on with pauses."""
    digest = hashlib.sha256()
    if await read_on(request, digest, until=1):
        await request.work()
        if await read_on(request, digest, pause=0.001):
            await finish(request, digest)


async def half(request):
    """Reads a half, works, and responds without the rest."""
    digest = hashlib.sha256()
    if await read_on(request, digest, until=HALF):
        await request.work()
        await finish(request, digest)


async def unread(request):
    """Reads nothing at all."""
    await request.work()
    await finish(request, hashlib.sha256())


async def late(request):
    """Works, then reads all of it."""
    await request.work()
    await reading(request)


async def refusing(request):
    """Refuses on the headers alone."""
    body = b"not here"
    await request.send(
        {
            "type": "http.response.start",
            "status": 417,
            "headers": [(b"content-length", b"%d" % len(body)), (b"connection", b"close")],
        }
    )
    await request.send({"type": "http.response.body", "body": body})
    request.tell("finished")


async def remains(request):
    """What the process holds: descriptors of files without a name, all descriptors, threads."""
    links = []
    for descriptor in set(os.listdir("/proc/self/fd")) - {"0", "1", "2"}:  # the log
        try:
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:  # the one that lists them
            continue
    nameless = [link for link in links if link.endswith("(deleted)")]
    sockets = [link for link in links if link.startswith("socket:")]
    told = f"{len(nameless)} {len(links) - len(sockets)} {len(sockets)} {threading.active_count()}"
    await request.respond(told.encode())


HANDLERS = {
    handler.__name__: handler for handler in (half, late, reading, refusing, remains, slow, unread)
}


async def handlers(scope, receive, send):
    """The application inside the middleware."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    request = Request(scope, receive, send)
    request.tell("reached")
    await HANDLERS[scope["path"].split("/")[2]](request)


def resident(name):
    """A figure of the process's memory, in bytes."""
    with open("/proc/self/status") as status:
        return int(re.search(rf"{name}:\s+(\d+)", status.read())[1]) << 10


def reset_peak():
    """Give back what is free, and let the peak begin where the memory stands."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    return resident("VmRSS")


guarded = DisconnectMiddleware(handlers)

MODES = {
    "bare": handlers,
    "guarded": guarded,
    "whole": DisconnectMiddleware(handlers, buffer="whole"),
    "bounded": DisconnectMiddleware(handlers, max_memory=1 << 18, max_disk=1 << 25),
    "small": DisconnectMiddleware(handlers, max_memory=16384),
    "limited": DisconnectMiddleware(handlers, max_body_size=1 << 20),
    "impatient": DisconnectMiddleware(handlers, body_timeout=0.2),
}


async def application(scope, receive, send):
    """What the server calls: tells what the request has cost, and how the middleware ends."""
    if scope["type"] != "http":
        return await guarded(scope, receive, send)
    _, mode, _, key = scope["path"].split("/")
    before = reset_peak()
    journal().tell(key, "called")
    try:
        await MODES[mode](scope, receive, send)
    except BaseException as error:
        journal().tell(key, f"raised {type(error).__name__}")
        raise
    journal().tell(key, f"peak {resident('VmHWM') - before}")
    journal().tell(key, "returned")
