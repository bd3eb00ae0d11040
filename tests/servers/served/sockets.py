"""What the servers run for the tests of WebSockets: small handlers.

A WebSocket at ``/<mode>/<handler>/<key>`` calls one handler in one mode, and tells the test over
the journal of `app`, which also answers what is no WebSocket.
"""

import asyncio
import functools

import anyio
from app import application as over_http
from app import handlers as http_handlers
from app import journal

from asgi_disconnect import DisconnectMiddleware


class Socket:
    """One call of a handler."""

    def __init__(self, scope, receive, send):
        self.scope = scope
        self.receive = receive
        self.key = scope["path"].split("/")[3]
        self._send = send

    def tell(self, what):
        journal().tell(self.key, what)

    async def send(self, message):
        """Send it; tell what that raises."""
        try:
            await self._send(message)
        except anyio.get_cancelled_exc_class():
            raise
        except Exception as error:
            self.tell(f"send raised {kind_of(error)}")
            raise

    async def accept(self):
        message = await self.receive()
        assert message == {"type": "websocket.connect"}, message
        await self.send({"type": "websocket.accept"})

    async def push(self, text):
        await self.send({"type": "websocket.send", "text": text})

    async def close(self, code=4000):
        await self.send({"type": "websocket.close", "code": code, "reason": "enough"})

    async def text(self):
        """The next text, or None if the client has left."""
        message = await self.receive()
        if message["type"] == "websocket.disconnect":
            self.tell(f"told {message.get('code')}")
            return None
        return message["text"]

    async def work(self, gate="", cleanup=1):
        """Wait at a gate, and tell how that ended; `cleanup` awaits, each of them told."""
        self.tell("working")
        try:
            await journal().gate(self.key + gate)
        except anyio.get_cancelled_exc_class():
            self.tell("cancelled")
            raise
        finally:
            # On trio, cleanup that awaits shields itself.
            with anyio.CancelScope(shield=on_trio()):
                for number in range(cleanup):
                    await anyio.sleep(0.001)
                    self.tell(f"cleaned up {number + 1}")


def on_trio():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def kind_of(error):
    return "OSError" if isinstance(error, OSError) else type(error).__name__


# Handlers that push


async def waits(socket):
    """Waits for something to push; never receives."""
    await socket.accept()
    await socket.work()
    await socket.push("news")
    socket.tell("finished")


async def works(socket):
    """Works for a client who has sent something, perhaps; never receives."""
    await socket.accept()
    await socket.work()
    socket.tell("finished")


async def tidies(socket):
    """Waits for something to push; its cleanup awaits three times."""
    await socket.accept()
    await socket.work(cleanup=3)


async def pushes(socket):
    """Pushes all the time; never receives."""
    await socket.accept()
    socket.tell("working")
    number = 0
    try:
        while True:
            await socket.push(str(number))
            number += 1
            if number == 100:
                socket.tell("pushed")
            await anyio.sleep(0.001)
    except anyio.get_cancelled_exc_class():
        socket.tell("cancelled")
        raise
    finally:
        with anyio.CancelScope(shield=on_trio()):
            await anyio.sleep(0.001)
            socket.tell("cleaned up 1")


async def pushes_bits(socket):
    """The same until its gate opens: it goes on behind the client's departure."""
    await socket.accept()
    socket.tell("working")
    gate = anyio.Event()

    async def wait():
        await journal().gate(socket.key)
        gate.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        while not gate.is_set():
            await socket.push("bit")
            await anyio.sleep(0.001)
    socket.tell("finished")


async def reads_and_writes(socket):
    """A reader and a writer; the reader ends when the client has gone, and so does the writer."""
    await socket.accept()

    async def write():
        try:
            await socket.work()
            await socket.push("news")
        finally:
            socket.tell("writer ended")

    if on_trio():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            while await socket.text() is not None:
                pass
            tasks.cancel_scope.cancel()
        return

    writer = asyncio.create_task(write())

    async def read():
        while await socket.text() is not None:
            pass
        writer.cancel()

    await asyncio.gather(read(), writer, return_exceptions=True)
    socket.tell("finished")


async def reads_and_pushes_on(socket):
    """A reader and a writer, who does not hear of it."""
    await socket.accept()

    async def read():
        while await socket.text() is not None:
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await socket.work()
    socket.tell("finished")


# Handlers that listen


async def listens(socket):
    """Reads texts until the client has gone."""
    await socket.accept()
    socket.tell("working")
    while (text := await socket.text()) is not None:
        socket.tell(f"got {text}")
    socket.tell("finished")


async def listens_at_once(socket):
    """Listens before it has accepted."""
    assert await socket.receive() == {"type": "websocket.connect"}
    socket.tell("working")
    await socket.text()


async def follows_up(socket):
    """Works when the client has gone: a transcript, a bill."""
    await socket.accept()
    socket.tell("listening")
    while await socket.text() is not None:
        pass
    await socket.work()
    socket.tell("finished")


async def catches_up(socket):
    """Works, and then reads what has come meanwhile."""
    await socket.accept()
    await socket.work()
    while (text := await socket.text()) is not None:
        socket.tell(f"got {text}")
    socket.tell("finished")


async def counts(socket):
    """Works, and then reads all that has come meanwhile; tells how much that was."""
    await socket.accept()
    await socket.work()
    messages = size = 0
    while (message := await socket.receive())["type"] == "websocket.receive":
        assert message["bytes"][:4] == messages.to_bytes(4), "out of order"
        messages += 1
        size += len(message["bytes"])
    socket.tell(f"got {messages} of {size} bytes")


async def both(socket):
    """Listens in two places at once."""
    await socket.accept()
    socket.tell("working")

    async def listen():
        await socket.text()
        patience.deadline = anyio.current_time() + 0.5  # for the other one

    with anyio.CancelScope() as patience:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            tasks.start_soon(listen)
    if patience.cancelled_caught:
        socket.tell("listened in vain")


async def hesitates(socket):
    """Receives for a moment, gives up, works, and receives again."""
    await socket.accept()
    with anyio.move_on_after(0.02):
        await socket.receive()
    await socket.work()
    socket.tell(f"got {await socket.text()}")
    socket.tell(f"got {await socket.text()}")


async def again(socket):
    """Asks again when it knows already: first plainly, then in a scope cancelled before."""
    await socket.accept()
    socket.tell("working")
    await socket.text()
    with anyio.move_on_after(0.2) as patience:
        try:
            message = await socket.receive()
        except Exception as error:
            socket.tell(f"receive raised {kind_of(error)}")
            return
        socket.tell(f"told {message['code']} again")
        with anyio.CancelScope() as cancelled:
            cancelled.cancel()
            await socket.receive()
            socket.tell("told without a checkpoint")
    if patience.cancelled_caught:
        socket.tell("asked in vain")


async def answers(socket):
    """Pushes something to a client that has left."""
    await socket.accept()
    socket.tell("working")
    await socket.text()
    await socket.push("news")
    socket.tell("sent")


async def parts(socket):
    """Pushes something when it is cancelled."""
    await socket.accept()
    try:
        await socket.work()
    finally:
        with anyio.CancelScope(shield=True):
            await socket.push("farewell")
            socket.tell("sent")


# Handlers that end it


async def closes(socket):
    """Closes, and then works."""
    await socket.accept()
    await socket.close()
    socket.tell("closed")
    await socket.work()
    socket.tell("finished")


async def closes_and_listens(socket):
    """Closes, and asks what there is then."""
    await socket.accept()
    await socket.close()
    socket.tell("closed")
    await socket.text()


async def closes_and_pushes(socket):
    await socket.accept()
    await socket.close()
    socket.tell("closed")
    await socket.push("more")
    socket.tell("sent")


async def refuses(socket):
    """Closes before it has accepted, and then works."""
    await socket.receive()
    await socket.close()
    socket.tell("closed")
    await socket.work()
    socket.tell("finished")


async def denies(socket):
    """Answers with a response of its own, and then works."""
    await socket.receive()
    headers = [(b"content-length", b"4"), (b"content-type", b"text/plain")]
    await socket.send({"type": "websocket.http.response.start", "status": 402, "headers": headers})
    await socket.send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
    await socket.send({"type": "websocket.http.response.body", "body": b"pe"})
    socket.tell("denied")
    await socket.work()
    socket.tell("finished")


async def talks_nonsense(socket):
    await socket.receive()
    await socket.send({"type": "websocket.nonsense"})


async def returns(socket):
    """Accepts, and returns."""
    await socket.accept()


async def hesitates_to_accept(socket):
    """Works before it has read `websocket.connect`."""
    await socket.work()
    await socket.accept()
    await socket.push("news")
    socket.tell("finished")


async def works_before_it_accepts(socket):
    """Works when it has read `websocket.connect`."""
    assert await socket.receive() == {"type": "websocket.connect"}
    await socket.work()
    await socket.send({"type": "websocket.accept"})
    await socket.push("news")
    socket.tell("finished")


async def describes(socket):
    """Tells what the server says of itself."""
    await socket.accept()
    extensions = socket.scope.get("extensions")
    socket.tell(f"spec_version {socket.scope.get('asgi', {}).get('spec_version')}")
    socket.tell(f"extensions {'missing' if extensions is None else ' '.join(sorted(extensions))}")
    socket.tell(f"state {'state' in socket.scope}")
    await socket.close(1000)


HANDLERS = {
    handler.__name__: handler
    for handler in (
        again,
        answers,
        both,
        catches_up,
        closes,
        closes_and_listens,
        closes_and_pushes,
        counts,
        denies,
        describes,
        follows_up,
        hesitates,
        hesitates_to_accept,
        listens,
        listens_at_once,
        parts,
        pushes,
        pushes_bits,
        reads_and_pushes_on,
        reads_and_writes,
        refuses,
        returns,
        talks_nonsense,
        tidies,
        waits,
        works,
        works_before_it_accepts,
    )
}


async def handlers(scope, receive, send):
    """The application inside the middleware."""
    if scope["type"] != "websocket":
        return await http_handlers(scope, receive, send)
    await HANDLERS[scope["path"].split("/")[2]](Socket(scope, receive, send))


async def application(scope, receive, send):
    """What the server calls: tells how the middleware ends."""
    if scope["type"] != "websocket":
        return await over_http(scope, receive, send)
    _, mode, _, key = scope["path"].split("/")
    journal().tell(key, "called")
    try:
        await MODES[mode](scope, receive, send)
    except BaseException as error:
        journal().tell(key, f"raised {kind_of(error)}")
        raise
    journal().tell(key, "returned")


def report_of(report):
    """The middleware's hook."""
    key = report.scope["path"].split("/")[3]
    journal().tell(f"{key}-report", f"{report.phase} {report.outcome} {report.cause} {report.code}")


guard = functools.partial(DisconnectMiddleware, handlers, on_disconnect=report_of)

MODES = {
    "bare": handlers,
    "guarded": guard(websocket=True, grace=0),
    "patient": guard(websocket=True),
    "impatient": guard(websocket=True, grace=0.05),
    "unasked": guard(),
    "unchosen": guard(websocket=True, only=lambda scope: scope["type"] == "http"),
}
