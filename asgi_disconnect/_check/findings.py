"""What was found, and what is wrong with it."""

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from .target import Target

OfRequest = Literal[
    "mid-upload", "before response", "during response", "deadline", "after response"
]
OfWebSocket = Literal["by close", "by reset", "after close"]
Moment = OfRequest | OfWebSocket
"""When or how the client left; or it stayed, and a deadline passed."""
OF_WEBSOCKETS: Final = ("by close", "by reset")

SOON: Final = 0.05
"""Seconds in which an app that was neither told nor cancelled may just have ended by itself."""

UNGUARDED: Final = (
    "the app's DisconnectMiddleware leaves WebSockets alone: use DisconnectMiddleware(app,"
    " websocket=True)"
)

WHILE: Final = 0.5
"""Seconds that an app may take to end before we look where it stands."""


@dataclass(frozen=True)
class Departure:
    """One client that left, and what became of the app."""

    moment: Moment
    called: bool = True
    """The server called the app; daphne does so only once it has the whole body."""
    told: bool = False
    cancelled: bool = False
    ignored: bool = False
    """The handler asked not to be cancelled."""
    ran_on: float | None = None
    """Seconds from the departure to the app's end; None if it still ran when we stopped looking."""
    cut_short: bool = False
    """It was cancelled while it cleaned up or worked in the background."""
    cut_off: tuple[str, ...] = ()
    """The functions whose cleanup was cut off, and where."""
    swallowed: tuple[str, ...] = ()
    """The functions that caught their cancellation and went on, and where."""
    thread: str | None = None
    """What the thread runs that the app waits for."""
    blocked: str | None = None
    """Where the event loop is held up."""
    at: str | None = None
    """What the app does, if it does not end."""
    time_left: tuple[str, float] | None = None
    """The option that gives it time to end, and how many seconds."""
    by_a2wsgi: bool = False
    """a2wsgi was cancelled, but not what it runs."""
    answered: bool = False
    """The client stayed and got a 504."""

    unguarded: bool = False
    """The app's own middleware leaves WebSockets alone."""

    @property
    def background(self) -> bool:
        """Whether it shows what becomes of background work."""
        return self.moment in ("after response", "after close")

    def had_time(self, patience: float) -> bool:
        """It ended in the `grace` that a WebSocket's app has, whether it listens or not."""
        option, seconds = self.time_left or ("", 0.0)
        lasted = patience if self.ran_on is None else self.ran_on
        return self.moment in OF_WEBSOCKETS and option == "grace" and lasted <= seconds


@dataclass(frozen=True)
class Half:
    """What was found either without or with the middleware."""

    departures: tuple[Departure, ...] = ()
    logged: tuple[str, ...] = ()
    """Lines at WARNING or above."""
    left_over: tuple[str, ...] | None = ()
    """Tasks left over at the end; None if unknown (trio)."""


@dataclass(frozen=True)
class Checked:
    """One server."""

    name: str
    version: str
    without: Half = Half()
    guarded: Half = Half()
    hidden: bool = False
    """The middleware does better if it is outermost."""
    hiders: tuple[str, ...] = ()
    """What keeps the disconnect from it: usually one layer."""
    error: str | None = None
    """Why nothing was found."""
    unasked: str | None = None
    """Why this server showed nothing; not held against the app if other servers did."""
    warning: str | None = None
    """What this version does wrong that no check shows; not held against the app."""

    @property
    def logs_more(self) -> int:
        """How many more lines were logged than without the middleware; may be negative."""
        return len(self.guarded.logged) - len(self.without.logged)

    @property
    def unguarded(self) -> bool:
        """The app's own middleware leaves WebSockets alone."""
        return any(departure.unguarded for departure in self.guarded.departures)

    @property
    def _new_line(self) -> str:
        lines = self.guarded.logged
        new = [line for line in lines if line not in self.without.logged]
        return (new or lines)[-1]

    def shortcomings(self, patience: float) -> list[str]:
        """What is wrong with the middleware in place."""
        if self.error is not None:
            return [self.error]
        if self.unguarded:
            return [UNGUARDED]
        found: list[str] = []
        before = {departure.moment: departure for departure in self.without.departures}
        for departure in self.guarded.departures:
            complaint = _complaint(departure, before.get(departure.moment), patience)
            if complaint is not None:
                found.append(f"{departure.moment}: {complaint}")
        new = self.logs_more
        if new > 0:
            found.append(f"{new} more lines logged than without: {self._new_line[:200]}")
        left = self.guarded.left_over or ()
        if len(left) > len(self.without.left_over or ()):
            found.append(f"tasks left over: {', '.join(left)}")
        return found


def _complaint(departure: Departure, without: Departure | None, patience: float) -> str | None:
    if not departure.called or departure.ignored:
        return None
    if departure.background:
        spoilt = departure.cut_short and not (without is not None and without.cut_short)
        return "the background work was cut short" if spoilt else None
    if departure.moment == "deadline" and not departure.answered:
        return "the client had no 504"
    if departure.cut_off:
        return f"cleanup was cut off in {' and in '.join(departure.cut_off)}{_reason(departure)}"
    if departure.by_a2wsgi:
        return (
            "a2wsgi is cancelled and its thread runs on, for ever if it streams: exclude its paths"
            " by only=, or use asgiref's WsgiToAsgi"
        )
    ran_on, runs = departure.ran_on, f"the app still ran {patience:g} s later"
    long = runs if ran_on is None else f"the app ran on for {ran_on:.1f} s"
    if departure.blocked is not None:
        return f"{long}, and blocks the event loop in {departure.blocked}"
    if departure.swallowed and (ran_on is None or ran_on > WHILE):
        return f"{' and '.join(departure.swallowed)} swallowed the cancellation, and {long}"
    if departure.thread is not None and (ran_on is None or ran_on > WHILE):
        return f"{long}, because it runs in a thread, which cannot be cancelled: {departure.thread}"
    heard = departure.told or departure.cancelled or departure.had_time(patience)
    if not heard and (ran_on is None or ran_on > SOON):
        return "the app was neither told nor cancelled"
    if ran_on is None:
        return runs + _excuse(departure, patience)
    if departure.cut_short:
        return "the app did not end in time, and was cancelled while it cleaned up"
    return None


def _reason(departure: Departure) -> str:
    option, seconds = departure.time_left or ("", 0.0)
    if option == "cleanup_timeout" and (departure.ran_on or 0.0) >= 0.9 * seconds:
        return f"; cleanup_timeout is {seconds:g} s"
    return ""


def _excuse(departure: Departure, patience: float) -> str:
    said = f", in {departure.at}" if departure.at is not None else ""
    option, seconds = departure.time_left or ("", 0.0)
    if seconds > patience:
        said += (
            f"; but {option} gives it {seconds:g} s to end, which is longer than the patience: see"
            f" how it ends with --patience {math.ceil(seconds) + 2 if seconds < 1e6 else 'SECONDS'}"
        )
    return said


@dataclass(frozen=True)
class Findings:
    """Everything that was found."""

    app: str
    request: str
    patience: float
    target: Target
    servers: tuple[Checked, ...] = field(default=())
    websocket: bool = False
    """The request was a WebSocket."""

    @property
    def hiders(self) -> tuple[str, ...]:
        """What in the stack hides the disconnect, or fails at it."""
        seen = tuple(dict.fromkeys(name for server in self.servers for name in server.hiders))
        if seen:
            return seen
        outside = self.target.outside
        known = tuple(layer.name for layer in outside if layer.base_http)
        if known:
            return known
        if any(server.hidden for server in self.servers):
            return tuple(layer.name for layer in outside)
        return ()

    @property
    def sound(self) -> bool:
        """Whether everything is as it should be."""
        return not any(server.shortcomings(self.patience) for server in self.servers)

    @property
    def found_out(self) -> bool:
        """At least one server could check the app."""
        return any(server.error is None and server.unasked is None for server in self.servers)
