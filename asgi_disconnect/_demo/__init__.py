"""The demo: what abandoned requests cost a real uvicorn, without and with the middleware.

`server` runs in a process of its own, `clients` calls it and measures, and `screen` shows the
result.  Everything in the table is measured; the clients come and go by a fixed timetable, so that
both servers get the same requests.  `live` is another demo: a page.
"""

import asyncio
import sys
from importlib.util import find_spec

from .clients import TIMETABLE, WORK, Failed, visit
from .screen import Progress, table


def run() -> int:
    """Run the demo and return the exit status: 0 if the middleware did what it is for."""
    if find_spec("uvicorn") is None:
        print(
            'The demo needs uvicorn: python -m pip install "asgi_disconnect[demo]"',
            file=sys.stderr,
        )
        return 1
    leaving = sum(visitor.patience is not None for visitor in TIMETABLE)
    print(
        f"{len(TIMETABLE)} clients each ask uvicorn for something that takes {WORK:.0f} seconds;"
        f" {leaving} of them leave before it is done.\n"
    )
    try:
        without = asyncio.run(visit(guarded=False, progress=Progress("without the middleware")))
        guarded = asyncio.run(visit(guarded=True, progress=Progress("with the middleware")))
    except Failed as failure:
        print(f"\nThe demo could not run: {failure}", file=sys.stderr)
        return 1
    print()
    print(table(without, guarded))
    if guarded.shortcomings:
        print(f"\nSomething is wrong: {', '.join(guarded.shortcomings)}.", file=sys.stderr)
        return 1
    print("\nBe the client yourself: python -m asgi_disconnect demo --page")
    return 0
