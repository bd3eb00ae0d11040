"""The command line: one function that adds each subcommand, and what it imports only when it runs.

Nothing optional is imported here, so ``--help`` works where no server is installed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from . import __version__

AddParser = Callable[..., argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m asgi_disconnect",
        description="Stops the work of ASGI applications whose clients have left.",
    )
    parser.add_argument("--version", action="version", version=f"asgi_disconnect {__version__}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_demo,):
        add(subcommands.add_parser)
    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # leave the line that a terminal shows "^C" in
        return 130  # what a shell says of a program that SIGINT ended


def _add_demo(add_parser: AddParser) -> None:
    parser = add_parser(
        "demo",
        help="see what abandoned requests cost, without and with the middleware",
        description="Starts uvicorn twice, without and with the middleware, sends it clients that"
        " stay and clients that leave, and shows what it did for nobody. Takes about 10 seconds.",
    )
    parser.add_argument(
        "--page", action="store_true", help="serve a page instead, on which you are the client"
    )
    parser.add_argument("--port", type=int, help="the port of the page (default: 8642, if free)")
    parser.set_defaults(run=_demo)


def _demo(chosen: argparse.Namespace) -> int:
    if chosen.page:
        from .demo import live

        return live.run(chosen.port)
    from .demo import run

    return run()
