"""The nine servers: how each is started, and what it is known to do and not to do.

The facts are asserted by `test_server_facts.py` on the bare app, so that a server's new version
that changes one is noticed; the other tests take from here what cannot be promised (contract §8).
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec

APP = "app:application"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One server."""

    name: str
    needs: tuple[str, ...]
    """The modules without which it cannot be started."""
    command: tuple[str, ...]
    """The arguments to ``python -m``; ``{port}`` stands for the port."""
    graceful: tuple[str, ...] = ()
    """More arguments: what cuts short the time that requests get after a SIGTERM."""
    http2: bool = False

    calls_on_partial_upload: bool = True
    """The app is called before the body is complete."""
    half_close_delivers: bool = False
    """A client that half-closes gets the response, although the app is told that it has left."""
    continues_on_headers: bool = False
    """`100 Continue` is sent before the app's first `receive()`."""
    repeats_disconnect: bool = True
    """`receive()` after the disconnect returns it again, instead of waiting for ever."""
    sees_past_pipelined: bool = False
    """A close behind a second request is seen, if that request came before the first's watcher."""
    sees_past_pipelined_late: bool = False
    """The same if the second request came when the watcher already waited."""
    send_waits_when_gone: bool = False
    """`send()` waits for ever once the connection is gone."""
    wakes_all: bool = True
    """Of two `receive()` calls at once, a disconnect wakes both."""
    tells_of_completion: bool = True
    """`receive()` returns a disconnect at the end of the response, though the client is there."""
    cancels_by_itself: tuple[str, ...] = ()
    """Arguments that make it cancel the app one second after the client has left.  By default it
    does so after ten seconds (daphne) or three (gunicorn); the others never do."""
    poll_tells: bool = False
    """A `receive()` cancelled after the body's end makes the next one return the disconnect."""
    poll_hears: bool = True
    """A poll, a `receive()` in a scope that is cancelled already, hears of a disconnect."""
    answers_for_silent_app: bool = True
    """An app that returns without a response makes a 500, instead of a client that hangs."""
    cuts_off: bool = True
    """A response that the app does not end is cut off; else its client hears nothing of that."""
    heeds_close: bool = True
    """The connection is closed when the app's response says ``connection: close``, and not only
    when it has been idle for too long."""
    spec_version: str | None = "2.3"
    extensions: tuple[str, ...] | None = None
    state: bool = True
    sigterm: str = "waits"
    """What SIGTERM does to a running app: the server "waits" for it, or "cancels" it."""
    sigterm_overdue: str = "kills"
    """What becomes of an app that still runs when the time that `graceful` gives is over:
    the server "cancels" it, "cancels and hangs" then, "kills" the process, or "waits" on.
    "kills or cancels": two processes count the time, and the first to be done does its own."""

    @property
    def ways(self) -> tuple[str, ...]:
        """In what ways a client can leave it."""
        return ("fin", "rst", "rst-stream") if self.http2 else ("fin", "rst", "half-close")

    @property
    def missing(self) -> list[str]:
        """What has to be installed for it."""
        return [module for module in self.needs if find_spec(module) is None]


def _uvicorn(http: str, loop: str) -> tuple[str, ...]:
    return ("uvicorn", APP, "--port", "{port}", "--http", http, "--loop", loop)


def _hypercorn(worker_class: str) -> tuple[str, ...]:
    return (
        *("hypercorn", APP, "--bind", "127.0.0.1:{port}", "--worker-class", worker_class),
        # By default it cancels what still runs 3 s after SIGTERM: a stall may be that long.  Of an
        # option given twice, the last wins.
        *("--graceful-timeout", "30"),
    )


# It closes its listener before it cancels, and that waits for all connections since Python 3.12.
_CLOSE_WAITS = sys.version_info >= (3, 12)

CONFIGURATIONS = (
    Configuration(
        name="uvicorn-h11",
        needs=("uvicorn", "h11"),
        command=_uvicorn("h11", "asyncio"),
        graceful=("--timeout-graceful-shutdown", "1"),
        sigterm_overdue="cancels",
        sees_past_pipelined=True,
    ),
    Configuration(
        name="uvicorn-httptools",
        needs=("uvicorn", "httptools"),
        command=_uvicorn("httptools", "asyncio"),
        graceful=("--timeout-graceful-shutdown", "1"),
        sigterm_overdue="cancels",
    ),
    Configuration(
        name="uvicorn-uvloop",
        needs=("uvicorn", "httptools", "uvloop"),
        command=_uvicorn("httptools", "uvloop"),
        graceful=("--timeout-graceful-shutdown", "1"),
        sigterm_overdue="cancels",
    ),
    Configuration(
        name="hypercorn-asyncio",
        needs=("hypercorn",),
        command=_hypercorn("asyncio"),
        graceful=("--graceful-timeout", "1"),
        half_close_delivers=True,
        continues_on_headers=True,
        repeats_disconnect=False,
        spec_version="2.1",
        extensions=(),
        sigterm_overdue="waits" if _CLOSE_WAITS else "cancels",
        wakes_all=False,
    ),
    Configuration(
        name="hypercorn-trio",
        needs=("hypercorn", "trio"),
        command=_hypercorn("trio"),
        graceful=("--graceful-timeout", "1"),
        half_close_delivers=True,
        continues_on_headers=True,
        repeats_disconnect=False,
        poll_hears=False,
        spec_version="2.1",
        extensions=(),
        sigterm_overdue="cancels",
        wakes_all=False,
    ),
    Configuration(
        name="hypercorn-h2c",
        needs=("hypercorn", "h2"),
        command=_hypercorn("asyncio"),
        graceful=("--graceful-timeout", "1"),
        http2=True,
        repeats_disconnect=False,
        cuts_off=False,
        send_waits_when_gone=True,
        spec_version="2.1",
        extensions=(
            "http.response.early_hint",
            "http.response.push",
            "http.response.trailers",
        ),
        sigterm_overdue="waits" if _CLOSE_WAITS else "cancels and hangs",
        wakes_all=False,
    ),
    Configuration(
        name="daphne",
        needs=("daphne",),
        command=("daphne", "-b", "127.0.0.1", "-p", "{port}", APP),
        calls_on_partial_upload=False,
        continues_on_headers=True,
        repeats_disconnect=False,
        sees_past_pipelined=True,
        sees_past_pipelined_late=True,
        answers_for_silent_app=False,
        cuts_off=False,
        heeds_close=False,
        spec_version=None,
        state=False,
        sigterm="cancels",
        sigterm_overdue="cancels",
        wakes_all=False,
        cancels_by_itself=("--application-close-timeout", "1"),
    ),
    Configuration(
        name="granian",
        needs=("granian",),
        command=("granian", "--interface", "asgi", "--port", "{port}", APP),
        graceful=("--workers-kill-timeout", "1"),
        extensions=("http.response.pathsend", "websocket.http.response"),
    ),
    Configuration(
        name="gunicorn",
        needs=("gunicorn.asgi",),
        command=(
            *("gunicorn", APP, "--worker-class", "asgi", "--bind", "127.0.0.1:{port}"),
            "--no-control-socket",
            # By default it cancels an app 3 s after its client has left, and closes a connection
            # that is idle for 2 s: a stall may be that long.
            *("--asgi-disconnect-grace-period", "60", "--keep-alive", "60"),
        ),
        graceful=("--graceful-timeout", "1"),
        heeds_close=False,
        sigterm_overdue="kills or cancels",  # the arbiter kills the worker, which itself cancels
        poll_tells=True,
        sees_past_pipelined=True,
        sees_past_pipelined_late=True,
        spec_version="2.4",
        wakes_all=False,
        tells_of_completion=False,
        cancels_by_itself=("--asgi-disconnect-grace-period", "1"),
    ),
)
