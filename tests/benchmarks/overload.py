"""The load of `goodput`, and what becomes of it where every cancellation is immediate and free.

No clock, no sockets: the events of the requests are gone through in the order of their times.
"""

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass

PERMITS = 20
"""How many requests can be worked on at once."""
WORK = 1.0
"""Seconds for which each holds its permit."""
WORTH_BEGINNING = 1.2 * WORK
"""Seconds without which a handler that looks at what is left does not begin."""


@dataclass(frozen=True)
class Request:
    """When it is made, and when its client leaves if it has no answer yet."""

    made: float
    left: float


def requests(seconds: float, per_second: float, patience: float, seed: int) -> list[Request]:
    """Clients that come at random moments, `per_second` of them on the average.

    Half wait for as long as `patience`.  The others leave after 100 to 300 ms, and half of those
    try again at once, with no more patience than before.
    """
    draw = random.Random(seed)
    found: list[Request] = []
    now = draw.expovariate(per_second)
    while now < seconds:
        if draw.random() < 0.5:
            found.append(Request(now, now + patience))
        else:
            tries = 1 + (draw.random() < 0.5)
            made = now
            for _ in range(tries):
                left = made + draw.uniform(0.1, 0.3)
                found.append(Request(made, left))
                made = left
        now += draw.expovariate(per_second)
    return sorted(found, key=lambda request: request.made)


def simulate(
    load: list[Request], *, cancel: bool, deadline: float | None = None, looks: bool = False
) -> list[float]:
    """When which useful response is complete: first come, first served.

    With `cancel`, a request whose client has left gives its place in the queue and its permit up
    at that very moment; without, it goes on as if nothing had happened.  With `deadline` it gives
    both up so many seconds after it was made; one that `looks` does not begin when too little of
    them is left.
    """
    free = PERMITS
    waiting: deque[int] = deque()
    begun: set[int] = set()
    ended: set[int] = set()
    useful: list[float] = []
    # (time, order among those of one time, what happens, to which request)
    events = [(request.made, 1, "made", number) for number, request in enumerate(load)]
    if cancel:
        events += [(request.left, 0, "left", number) for number, request in enumerate(load)]
    if deadline is not None:
        events += [(one.made + deadline, 0, "late", number) for number, one in enumerate(load)]
    heapq.heapify(events)
    while events:
        now, _, event, number = heapq.heappop(events)
        if number in ended:
            continue
        if event == "made":
            waiting.append(number)
        else:
            ended.add(number)
            if number in begun:
                free += 1
            if event == "done" and now <= load[number].left:
                useful.append(now)
        while free and waiting:
            following = waiting.popleft()
            left = math.inf if deadline is None else load[following].made + deadline - now
            if looks and left < WORTH_BEGINNING:
                ended.add(following)
            if following not in ended:
                free -= 1
                begun.add(following)
                heapq.heappush(events, (now + WORK, 0, "done", following))
    return useful
