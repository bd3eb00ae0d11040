"""What the servers of `tests/servers` run: small applications, guarded and bare.

A request to ``/<mode>/<handler>/<key>`` calls one handler in one mode.  What happens to it is told
to the test at once, as lines ``<key> <what>`` over a socket that the test listens on (``JOURNAL``);
the test opens the handler's gate over the same socket.  So neither side has to sleep or to poll.
"""

import asyncio
import functools
import json
import logging
import os
import socket
import sys
import threading

import anyio

from asgi_disconnect import DisconnectMiddleware, current_disconnect

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


class Journal:
    """The socket to the test."""

    def __init__(self) -> None:
        host, port = os.environ["JOURNAL"].rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._lock = threading.Lock()
        self._open_gates = set()
        self._waiting = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, key, what):
        # Synchronous on purpose: it is told even by a task that is being cancelled.
        self._socket.sendall(f"{key} {what}\n".encode())

    async def gate(self, key):
        """Wait until the test opens the gate."""
        opened = anyio.Event()
        with self._lock:
            if key in self._open_gates:
                opened.set()
            self._waiting[key] = functools.partial(_call_soon(), opened.set)
        await opened.wait()

    def gate_in_thread(self, key):
        """The same for a thread, which nobody can cancel."""
        opened = threading.Event()
        with self._lock:
            if key in self._open_gates:
                opened.set()
            self._waiting[key] = opened.set
        opened.wait(20)

    def is_open(self, key):
        with self._lock:
            return key in self._open_gates

    def _listen(self):
        with self._socket.makefile() as lines:
            for line in lines:
                key = line.strip()
                with self._lock:
                    self._open_gates.add(key)
                    wake = self._waiting.get(key)
                if wake is not None:
                    try:
                        wake()
                    except RuntimeError:  # the loop is closed already
                        return


def _call_soon():
    """What runs a function in the loop that this runs in."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon


@functools.cache
def journal():
    """Of this process: gunicorn and granian start others to do the work."""
    return Journal()


class Request:
    """One call of a handler."""

    def __init__(self, scope, receive, send):
        self.scope = scope
        self.receive = receive
        self.send = send
        self.key = scope["path"].split("/")[3]

    def tell(self, what):
        journal().tell(self.key, what)

    async def read(self):
        """The body, or None if the client left before its end."""
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.tell("told")
                return None
            body += message.get("body", b"")
            if not message.get("more_body"):
                self.tell(f"read {len(body)}")
                return bytes(body)

    async def work(self, gate=""):
        """Wait at a gate, and tell how that ended."""
        self.tell("working")
        try:
            await journal().gate(self.key + gate)
        except anyio.get_cancelled_exc_class():
            self.tell("cancelled")
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
                self.tell("cleaned up")

    async def start(self, *headers):
        await self.send({"type": "http.response.start", "status": 200, "headers": list(headers)})

    async def respond(self, body=b"done"):
        await self.start((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.body", "body": body})


async def slow(request):
    """Reads, works, responds; does not listen."""
    if await request.read() is not None:
        await request.work()
        await request.respond()
        request.tell("finished")


async def unread(request):
    """Never reads."""
    await request.work()
    await request.respond()
    request.tell("finished")


async def late(request):
    """Works, then reads."""
    await request.work()
    body = await request.read()
    if body is not None:
        await request.respond(b"%d" % len(body))
        request.tell("finished")


async def upload(request):
    """Tells when the first piece is there, reads the rest; does not listen."""
    await request.receive()
    request.tell("read a piece")
    if await request.read() is not None:
        await request.respond()
        request.tell("finished")


async def piecemeal(request):
    """Reads one message, works, reads the others, and sends the body back."""
    first = await request.receive()
    assert first["type"] == "http.request"
    await request.work()
    rest = await request.read() if first.get("more_body") else b""
    if rest is not None:
        await request.respond(first.get("body", b"") + rest)
        request.tell("finished")


async def hesitant(request):
    """Works, reads for a moment, gives up, reads again."""
    await request.work()
    with anyio.move_on_after(0.02) as patience:
        await request.receive()
    request.tell("gave up" if patience.cancelled_caught else "got something")
    body = await request.read()
    await request.respond(body)
    request.tell("finished")


async def stream(request):
    """Sends a piece, works, sends another."""
    await request.read()
    await request.start()
    await request.send({"type": "http.response.body", "body": b"first", "more_body": True})
    await request.work()
    await request.send({"type": "http.response.body", "body": b"last"})
    request.tell("finished")


async def thread(request):
    """Works in a thread."""
    request.tell("working")
    try:
        await anyio.to_thread.run_sync(journal().gate_in_thread, request.key)
    finally:
        request.tell("thread ended")
    await request.respond()


async def pour(request):
    """Sends without an end."""
    await request.read()
    await request.start()
    piece = {"type": "http.response.body", "body": bytes(65536), "more_body": True}
    request.tell("working")
    try:
        while True:
            await request.send(piece)
            await anyio.sleep(0.001)
    except anyio.get_cancelled_exc_class():
        request.tell("cancelled")
        raise


async def tick(request):
    """Sends a small piece now and then, until its gate is opened."""
    await request.read()
    await request.start()
    piece = {"type": "http.response.body", "body": b"tick\n", "more_body": True}
    request.tell("working")
    try:
        async with anyio.create_task_group() as ticking:

            async def stop():
                await journal().gate(request.key)
                ticking.cancel_scope.cancel()

            ticking.start_soon(stop)
            while True:
                await request.send(piece)
                await anyio.sleep(0.01)
    except anyio.get_cancelled_exc_class():
        request.tell("cancelled")
        raise
    await request.send({"type": "http.response.body"})
    request.tell("finished")


async def ignoring(request):
    """Opts out, and works."""
    current_disconnect().ignore()
    await slow(request)


async def listen(request):
    """Waits for the client to leave, and ends in its own way."""
    await request.read()
    request.tell("working")
    message = await request.receive()
    assert message["type"] == "http.disconnect"
    request.tell("told")
    try:
        await anyio.sleep(0.05)
    except anyio.get_cancelled_exc_class():
        request.tell("cancelled")
        raise
    request.tell("finished")


async def deaf(request):
    """Is told by a child task, and goes on nevertheless."""
    await request.read()

    async def listener():
        await request.receive()
        request.tell("told")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener)
        await request.work()


async def again(request):
    """Asks again when it knows already: first plainly, then in a scope cancelled before."""
    await request.read()
    request.tell("working")
    await request.receive()
    request.tell("told")
    with anyio.move_on_after(0.2) as patience:
        await request.receive()
        request.tell("told again")
        with anyio.CancelScope() as cancelled:
            cancelled.cancel()
            await request.receive()
            request.tell("told without a checkpoint")
    if patience.cancelled_caught:
        request.tell("asked in vain")


async def both(request):
    """Listens in two places at once."""
    await request.read()
    request.tell("working")

    async def listener():
        message = await request.receive()
        request.tell("told" if message["type"] == "http.disconnect" else "got something")
        patience.deadline = anyio.current_time() + 0.5  # for the other one

    with anyio.CancelScope() as patience:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener)
            tasks.start_soon(listener)
    if patience.cancelled_caught:
        request.tell("listened in vain")


async def listen_on(request):
    """Listens when it has responded."""
    await request.read()
    await request.respond()
    request.tell("responded")
    with anyio.move_on_after(0.3) as patience:
        message = await request.receive()
        request.tell("told" if message["type"] == "http.disconnect" else "got something")
    if patience.cancelled_caught:
        request.tell("listened in vain")


async def polling(request):
    """Asks now and then, without waiting for the answer, as Starlette's `is_disconnected` does.

    It ends when its gate is open, for a server that never tells.
    """
    await request.read()
    message = {}
    while not message and not journal().is_open(request.key):
        with anyio.CancelScope() as at_once:
            at_once.cancel()
            message = await request.receive()
        request.tell("polled")
        await anyio.sleep(0.002)
    if message:
        request.tell("told" if message["type"] == "http.disconnect" else f"got {message['type']}")


async def polled_once(request):
    """Asks once, at the start, without waiting for the answer, and works."""
    await request.read()
    with anyio.CancelScope() as at_once:
        at_once.cancel()
        await request.receive()
        request.tell("told")
    await request.work()
    await request.respond()
    request.tell("finished")


async def polite(request):
    """Responds to a client that has left."""
    await request.read()
    request.tell("working")
    await request.receive()
    request.tell("told")
    try:
        await request.respond()
        request.tell("sent")
    except anyio.get_cancelled_exc_class():
        request.tell("cancelled")
        raise


async def parting(request):
    """Responds when it is cancelled."""
    await request.read()
    try:
        await request.work()
    finally:
        with anyio.CancelScope(shield=True):
            await request.respond()
            request.tell("sent")


async def background(request):
    """Responds, and then works."""
    await request.read()
    await request.respond()
    request.tell("responded")
    await request.work()
    request.tell("finished")


async def slow_background(request):
    """Works, responds, and works."""
    await request.read()
    await request.work()
    await request.respond()
    request.tell("responded")
    await request.work("-background")
    request.tell("finished")


async def silent(request):
    """Ends without a response."""
    await request.read()


async def quick(request):
    """Responds at once."""
    await request.respond()


async def scope(request):
    """What the server says of itself."""
    told = {
        "asgi": request.scope.get("asgi"),
        "extensions": sorted(request.scope["extensions"])
        if "extensions" in request.scope
        else None,
        "state": "state" in request.scope,
    }
    await request.respond(json.dumps(told).encode())


HANDLERS = {
    handler.__name__: handler
    for handler in (
        again,
        background,
        both,
        deaf,
        hesitant,
        ignoring,
        late,
        listen,
        listen_on,
        parting,
        piecemeal,
        polite,
        polled_once,
        polling,
        pour,
        quick,
        scope,
        silent,
        slow,
        slow_background,
        stream,
        thread,
        tick,
        unread,
        upload,
    )
}


async def handlers(scope, receive, send):
    """The application inside the middleware."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await HANDLERS[scope["path"].split("/")[2]](Request(scope, receive, send))


guarded = DisconnectMiddleware(handlers)

MODES = {
    "bare": handlers,
    "guarded": guarded,
    "impatient": DisconnectMiddleware(handlers, grace=0.05),
    "deadline": DisconnectMiddleware(handlers, deadline=0.25),
    "long-deadline": DisconnectMiddleware(handlers, deadline=30),
}


async def application(scope, receive, send):
    """What the server calls: tells how the middleware ends."""
    if scope["type"] != "http":
        return await guarded(scope, receive, send)
    _, mode, _, key = scope["path"].split("/")
    journal().tell(key, "called")
    try:
        await MODES[mode](scope, receive, send)
    except BaseException as error:
        journal().tell(key, f"raised {type(error).__name__}")
        raise
    journal().tell(key, "returned")
