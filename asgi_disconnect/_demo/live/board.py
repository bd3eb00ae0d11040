"""What became of every handler, as the page shows it.  No I/O."""

import asyncio
import itertools
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

SHOWN: Final = 40
"""How many handlers to remember; the sums count all."""

State = Literal["working", "for nobody", "cleaning up", "cleaned up", "answered", "for nothing"]
"""``working``: at work for its client.  ``for nobody``: at work, and its client has left.
``cleaning up``: it was stopped, and gives back what it held; ``cleaned up``: it has done so.
``answered``: it ended, and its client was there.  ``for nothing``: it ended without a client."""


@dataclass
class Entry:
    """One handler: what it was asked for, and how far it is."""

    number: int
    key: str
    """The page recognises its own requests by this."""
    job: str
    guarded: bool
    seconds: float
    """How long it works, if nothing stops it."""
    done: float = 0.0
    """Seconds that it has worked."""
    wasted: float = 0.0
    """Seconds that it has worked for nobody."""
    saved: float = 0.0
    """Seconds of work that it was spared."""
    state: State = "working"
    past_deadline: bool = False
    """It was stopped because its deadline passed; its client is there."""

    @property
    def running(self) -> bool:
        return self.state in ("working", "for nobody", "cleaning up")


class Board:
    """All handlers, the newest last."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._numbers = itertools.count(1)
        self._saved = 0.0
        self._wasted = 0.0
        self._changed = asyncio.Event()

    def enter(self, key: str, job: str, *, guarded: bool, seconds: float) -> Entry:
        """A handler begins."""
        entry = Entry(next(self._numbers), key, job, guarded, seconds)
        self._entries.append(entry)
        while len(self._entries) > SHOWN:
            self._entries.popleft()
        self._tell()
        return entry

    def work(self, entry: Entry, seconds: float) -> None:
        """It has worked for `seconds`."""
        seconds = min(seconds, entry.seconds - entry.done)
        entry.done += seconds
        if entry.state == "for nobody":
            entry.wasted += seconds
            self._wasted += seconds
        self._tell()

    def left(self, entry: Entry) -> None:
        """Its client has left."""
        if entry.state == "working":
            entry.state = "for nobody"
            self._tell()

    def passed_deadline(self, entry: Entry) -> None:
        """Its deadline has passed."""
        entry.past_deadline = True
        self._tell()

    def stopped(self, entry: Entry) -> None:
        """It was stopped, and begins to clean up."""
        entry.state = "cleaning up"
        entry.saved = entry.seconds - entry.done
        self._saved += entry.saved
        self._tell()

    def cleaned_up(self, entry: Entry) -> None:
        """It has given back what it held."""
        entry.state = "cleaned up"
        self._tell()

    def ended(self, entry: Entry) -> None:
        """It has done all its work."""
        entry.state = "for nothing" if entry.state == "for nobody" else "answered"
        self._tell()

    def snapshot(self) -> dict[str, Any]:
        """Everything, for JSON; the newest first."""
        running = [entry for entry in self._entries if entry.running]
        return {
            "saved": round(self._saved, 1),
            "wasted": round(self._wasted, 1),
            "for_clients": sum(entry.state == "working" for entry in running),
            "for_nobody": sum(entry.state == "for nobody" for entry in running),
            "handlers": [asdict(entry) for entry in reversed(self._entries)],
        }

    @property
    def change(self) -> asyncio.Event:
        """Set when something happens next: ask for it before you look, so that you miss nothing."""
        return self._changed

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
