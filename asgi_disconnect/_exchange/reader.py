"""Who reads the server's `receive`.  No I/O.

Contract §2: at most one call of the server's `receive` is under way at any time, the app's own or
the watcher's, and none that nobody needs.  ``TABLE`` is the whole of it: a pair that it does not
name cannot happen.

A request that ends before `watch_after` leaves IDLE only for its own reads.  If the app is inside
`receive()` when watching is due, that call does what a watcher would.  So the watcher waits for it
to end (APP_THEN_WATCHER), and a tick longer (BETWEEN): an app that only reads watches for itself,
at half the cost.  A watcher without room for more pauses (PAUSED) until the app has read some of
what is buffered.  A request with ``Expect: 100-continue`` waits for the app's first call (HELD),
because reading makes a server send ``100 Continue``.
"""

import enum
from typing import Final


class Reader(enum.IntEnum):
    """Who is inside the server's `receive`, and who will be next."""

    IDLE = 0
    """Nobody; the app's next call goes straight to the server."""
    HELD = 1
    """Nobody; the watcher follows the app's first call."""
    APP = 2
    """The app, by a call of its own."""
    APP_THEN_WATCHER = 3
    """The app, by a call of its own; the watcher takes over when it ends."""
    BETWEEN = 4
    """Nobody; the watcher takes over in the next tick, unless the app has asked again by then."""
    WATCHER = 5
    """The watcher, which reads ahead; the app is served from what it read."""
    PAUSED = 6
    """Nobody: there is no room for more, in memory or on the disk.  The watcher reads on when the
    app has read."""
    WATCHER_ENDS = 7
    """The watcher, for the last time: the exchange is over."""
    WATCHER_LATE = 8
    """The watcher, for the last time: the client has left, but this call does not know yet."""
    FAILED = 9
    """Nobody: the server's `receive` raised under the watcher."""
    APP_INTERRUPTED = 10
    """The app, by a call of its own that is about to end: the deadline has passed."""
    GONE = 11
    """Nobody: the client has left, and nothing more will come."""


class Event(enum.IntEnum):
    """What can happen to the reading."""

    ASKED = 0
    """The app calls `receive()`, nothing is unread, and nobody reads."""
    DONE = 1
    """The app's own call ended: with a message, an error, or a cancellation.  So did the watcher's
    last."""
    DUE = 2
    """It is time to watch, or the watcher has to read what the app asks for."""
    DUE_LATER = 3
    """It is time to watch, once the app has asked for the body."""
    FULL = 4
    """The watcher has no room for more."""
    ROOM = 5
    """It has room again."""
    SURPLUS = 6
    """After the body's end, the watcher was given something other than a disconnect."""
    FAILURE = 7
    """The server's `receive` raised under the watcher."""
    DISCONNECT = 8
    """The client has left: the server's `receive` or `send` says so, or we have refused it."""
    CLOSE = 9
    """The exchange is over: from here on there is no watcher."""
    INTERRUPTED = 10
    """The deadline has passed, and the app's own call was made to end."""


IDLE: Final = Reader.IDLE
HELD: Final = Reader.HELD
BETWEEN: Final = Reader.BETWEEN
WATCHER: Final = Reader.WATCHER
FAILED: Final = Reader.FAILED
APP_INTERRUPTED: Final = Reader.APP_INTERRUPTED
GONE: Final = Reader.GONE

APP_READS: Final = frozenset({Reader.APP, Reader.APP_THEN_WATCHER})
WATCHER_READS: Final = frozenset({Reader.WATCHER, Reader.WATCHER_ENDS, Reader.WATCHER_LATE})

TABLE: Final[dict[Reader, dict[Event, Reader]]] = {
    Reader.IDLE: {
        Event.ASKED: Reader.APP,
        Event.DUE: Reader.WATCHER,
        Event.DUE_LATER: Reader.HELD,
        Event.DISCONNECT: Reader.GONE,  # the server's `send` said so
        Event.CLOSE: Reader.IDLE,
    },
    Reader.HELD: {
        Event.DUE_LATER: Reader.HELD,
        Event.ASKED: Reader.APP_THEN_WATCHER,
        Event.DUE: Reader.WATCHER,
        Event.DISCONNECT: Reader.GONE,
        Event.CLOSE: Reader.IDLE,
    },
    Reader.APP: {
        Event.INTERRUPTED: Reader.APP_INTERRUPTED,
        Event.DONE: Reader.IDLE,
        Event.DUE: Reader.APP_THEN_WATCHER,
        Event.DISCONNECT: Reader.GONE,
        Event.CLOSE: Reader.APP,
    },
    Reader.APP_THEN_WATCHER: {
        Event.INTERRUPTED: Reader.APP_INTERRUPTED,
        Event.DONE: Reader.BETWEEN,
        Event.DUE: Reader.APP_THEN_WATCHER,
        Event.DISCONNECT: Reader.GONE,
        Event.CLOSE: Reader.APP,
    },
    Reader.BETWEEN: {
        Event.ASKED: Reader.APP_THEN_WATCHER,
        Event.DUE: Reader.WATCHER,
        Event.DUE_LATER: Reader.HELD,  # the app's first call was cut short
        Event.DISCONNECT: Reader.GONE,
        Event.CLOSE: Reader.IDLE,
    },
    Reader.WATCHER: {
        Event.DUE: Reader.WATCHER,
        Event.FULL: Reader.PAUSED,
        Event.SURPLUS: Reader.IDLE,
        Event.FAILURE: Reader.FAILED,
        Event.DONE: Reader.IDLE,  # something else ended it, such as the end of the loop
        Event.DISCONNECT: Reader.WATCHER_LATE,
        Event.CLOSE: Reader.WATCHER_ENDS,
    },
    Reader.PAUSED: {
        Event.DUE: Reader.PAUSED,
        Event.ROOM: Reader.WATCHER,
        Event.DISCONNECT: Reader.GONE,  # the server's `send` said so, or stored bytes are lost
        Event.CLOSE: Reader.WATCHER_ENDS,
    },
    Reader.WATCHER_ENDS: {
        Event.FULL: Reader.WATCHER_ENDS,
        Event.ROOM: Reader.WATCHER_ENDS,
        Event.DONE: Reader.IDLE,
        Event.SURPLUS: Reader.WATCHER_ENDS,
        Event.FAILURE: Reader.IDLE,
        Event.DISCONNECT: Reader.WATCHER_LATE,
    },
    Reader.WATCHER_LATE: {
        Event.DONE: Reader.GONE,
        Event.DUE: Reader.WATCHER_LATE,
        Event.FULL: Reader.WATCHER_LATE,
        Event.ROOM: Reader.WATCHER_LATE,
        Event.SURPLUS: Reader.WATCHER_LATE,
        Event.FAILURE: Reader.WATCHER_LATE,
        Event.DISCONNECT: Reader.WATCHER_LATE,
        Event.CLOSE: Reader.WATCHER_LATE,
    },
    Reader.FAILED: {
        Event.DUE: Reader.FAILED,
        Event.DISCONNECT: Reader.GONE,
        Event.CLOSE: Reader.IDLE,
    },
    Reader.APP_INTERRUPTED: {
        Event.DONE: Reader.GONE,
        Event.DUE: Reader.APP_INTERRUPTED,
        Event.DISCONNECT: Reader.APP_INTERRUPTED,
        Event.CLOSE: Reader.APP_INTERRUPTED,
    },
    Reader.GONE: {
        Event.DONE: Reader.GONE,  # the server's `send` said so during the call
        Event.ROOM: Reader.GONE,
        Event.SURPLUS: Reader.GONE,
        Event.FAILURE: Reader.GONE,
        Event.DISCONNECT: Reader.GONE,
        Event.DUE: Reader.GONE,
        Event.CLOSE: Reader.GONE,
    },
}
