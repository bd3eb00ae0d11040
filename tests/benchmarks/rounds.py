"""Timing several things against each other in one run, on a machine that others use too.

In every round each of them has one batch, in an order drawn anew, so that whatever slows the
machine down for a while slows down all of them; they are compared within a round, and the median
over the rounds is what is told.  The minima stand beside it.  What is measured is this process's
CPU time, which does not count the time that the machine gives to others.

The garbage collector stays on, as it is in a server, and what each batch makes it do is counted in
that batch; before every batch the garbage of the one before is collected, outside of the time.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """CPU microseconds per request: one figure for each round."""

    name: str
    rounds: list[float]

    def added(self, bare: "Timings") -> list[float]:
        """What it adds to `bare`, round by round."""
        return [mine - theirs for mine, theirs in zip(self.rounds, bare.rounds, strict=True)]

    def added_median(self, bare: "Timings") -> float:
        return statistics.median(self.added(bare))

    def added_minimum(self, bare: "Timings") -> float:
        return min(self.rounds) - min(bare.rounds)


def ratio(mine: Timings, theirs: Timings, bare: Timings) -> float:
    """What `mine` adds to `bare`, divided by what `theirs` adds: the median over the rounds."""
    pairs = zip(mine.added(bare), theirs.added(bare), strict=True)
    return statistics.median(one / other for one, other in pairs)


def ratio_of_minima(mine: Timings, theirs: Timings, bare: Timings) -> float:
    return mine.added_minimum(bare) / theirs.added_minimum(bare)


class Interleaved:
    """Batches that take turns, each known by a key."""

    def __init__(self, batches: Mapping[str, Callable[[], None]], requests: int) -> None:
        """`batches` are run for `requests` requests each."""
        self._batches = dict(batches)
        self._requests = requests
        self._rounds: dict[str, list[float]] = {key: [] for key in batches}

    def round(self, *, counted: bool = True) -> None:
        """Give each batch its turn; the first round or two only warm up, and are not counted."""
        keys = list(self._batches)
        random.shuffle(keys)
        for key in keys:
            batch = self._batches[key]
            gc.collect()
            start = time.process_time()
            batch()
            elapsed = time.process_time() - start
            if counted:
                self._rounds[key].append(elapsed / self._requests * 1e6)

    def timings(self) -> dict[str, Timings]:
        return {key: Timings(key, rounds) for key, rounds in self._rounds.items()}
