"""What was found, and what of it is not as it should be."""

from dataclasses import dataclass, field
from typing import Final, Literal

from .target import Target

Moment = Literal["mid-upload", "before response", "during response", "after response"]
"""When the client left."""

SOON: Final = 0.05
"""Seconds within which an app that was neither told nor cancelled may just have ended by itself."""


@dataclass(frozen=True)
class Departure:
    """One client that left, and what became of the app."""

    moment: Moment
    called: bool = True
    """The server called the app; daphne does not before it has the whole body."""
    told: bool = False
    cancelled: bool = False
    ignored: bool = False
    """The handler has asked not to be cancelled."""
    ran_on: float | None = None
    """Seconds from the departure to the app's end; None if it still ran when we stopped looking."""
    cut_short: bool = False
    """It had begun to clean up, or to work in the background, and was cancelled in that."""

    @property
    def background(self) -> bool:
        """It shows what becomes of background work."""
        return self.moment == "after response"


@dataclass(frozen=True)
class Half:
    """What was found without the middleware, or with it."""

    departures: tuple[Departure, ...] = ()
    logged: tuple[str, ...] = ()
    """Lines at WARNING or above."""
    left_over: tuple[str, ...] | None = ()
    """Tasks that were left at the end; None if that cannot be told (trio)."""


@dataclass(frozen=True)
class Checked:
    """One server."""

    name: str
    version: str
    without: Half = Half()
    guarded: Half = Half()
    hidden: bool = False
    """The middleware does better if it is the outermost."""
    hiders: tuple[str, ...] = ()
    """What was seen to keep the disconnect from it: mostly one layer."""
    error: str | None = None
    """Why nothing was found."""
    warning: str | None = None
    """What this version does that no check shows; it is not held against the app."""

    def shortcomings(self, patience: float) -> list[str]:
        """What should not be so with the middleware."""
        if self.error is not None:
            return [self.error]
        found: list[str] = []
        before = {departure.moment: departure for departure in self.without.departures}
        for departure in self.guarded.departures:
            complaint = _complaint(departure, before.get(departure.moment), patience)
            if complaint is not None:
                found.append(f"{departure.moment}: {complaint}")
        new = len(self.guarded.logged) - len(self.without.logged)
        if new > 0:
            found.append(f"{new} more lines logged than without: {self.guarded.logged[-1][:200]}")
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
    if not (departure.told or departure.cancelled) and (
        departure.ran_on is None or departure.ran_on > SOON
    ):
        return "the app was neither told nor cancelled"
    if departure.ran_on is None:
        return f"the app still ran {patience:g} s later"
    if departure.cut_short:
        return "the app did not end in time, and was cancelled while it cleaned up"
    return None


@dataclass(frozen=True)
class Findings:
    """Everything that was found."""

    app: str
    request: str
    patience: float
    target: Target
    servers: tuple[Checked, ...] = field(default=())

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
        """Everything is as it should be."""
        return not any(server.shortcomings(self.patience) for server in self.servers)
