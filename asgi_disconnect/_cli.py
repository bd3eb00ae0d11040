"""The command line: each subcommand has a function that adds it, and one that runs it.

Nothing optional is imported here, so ``--help`` works where no server is installed.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__

AddParser = Callable[..., argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the process's exit status."""
    parser = _Parser(
        prog="python -m asgi_disconnect",
        description="Stops the work of ASGI applications whose clients have left.",
    )
    parser.add_argument("--version", action="version", version=f"asgi_disconnect {__version__}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_demo, _add_check):
        add(subcommands.add_parser)
    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # end the line in which a terminal shows "^C"
        return 130  # as shells report a program that SIGINT ended


def _add_demo(add_parser: AddParser) -> None:
    parser = add_parser(
        "demo",
        help="see what abandoned requests cost, without and with the middleware",
        description="Starts uvicorn twice, without and with the middleware, sends it clients that"
        " stay and clients that leave, and shows what it did for those that had left. Takes about"
        " 10 seconds.",
    )
    parser.add_argument(
        "--page", action="store_true", help="serve a page instead, on which you are the client"
    )
    parser.add_argument(
        "--port", type=_port_or_any, help="the port of the page (default: 8642, if free)"
    )
    parser.set_defaults(run=_demo)


def _demo(chosen: argparse.Namespace) -> int:
    if chosen.page:
        from ._demo import live

        return live.run(chosen.port)
    from ._demo import run

    return run()


def _add_check(add_parser: AddParser) -> None:
    parser = add_parser(
        "check",
        help="see whether the middleware works in your app, on real servers",
        description="Starts your app on each installed server, on a free port of this machine,"
        " disconnects from it at several moments, and shows what became of it, without and with the"
        " middleware. The exit status is 0 if all is well with the middleware, 1 if not, and 2 if"
        " the check could not tell.",
    )
    parser.add_argument("app", metavar="MODULE:APP", help="where your app is, such as main:app")
    parser.add_argument(
        "--server",
        action="append",
        choices=("uvicorn", "hypercorn", "hypercorn-trio", "daphne", "granian", "gunicorn"),
        default=[],
        help="check on this server; repeatable (default: those installed; hypercorn-trio only if"
        " named)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--path", type=_path, help="the path to request (default: /)")
    kind.add_argument(
        "--websocket",
        type=_path,
        metavar="PATH",
        help="open a WebSocket there instead (needs the extra: asgi-disconnect[check])",
    )
    parser.add_argument("--method", help="the HTTP method (default: POST with --data, GET without)")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        help="the request's body, or a message for the WebSocket (repeatable); @FILE reads it from"
        " a file",
    )
    parser.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        help="a header of the request, 'Name: value'; repeatable",
    )
    parser.add_argument("--app-dir", default=".", help="the folder that MODULE is in (default: .)")
    parser.add_argument(
        "--factory", action="store_true", help="MODULE:APP is a function that returns the app"
    )
    parser.add_argument(
        "--patience",
        type=_seconds,
        metavar="SECONDS",
        help="how long to watch an app that runs on (default: 5; 12 with --websocket, which is"
        " longer than the default grace)",
    )
    parser.add_argument(
        "--deadline",
        type=_seconds,
        metavar="SECONDS",
        help="check a deadline, too: the middleware gets this one",
    )
    parser.add_argument("--port", type=_port, help="the first port to use (default: free ones)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_check)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def _port_or_any(text: str) -> int:
    return 0 if text == "0" else _port(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a path: it must begin with / and be percent-encoded"
        )
    return text


def _header(text: str) -> str:
    name, colon, _ = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a header: use 'Name: value'")
    return text


def _read(data: str) -> bytes:
    return Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()


def _check(chosen: argparse.Namespace) -> int:
    from . import _check as check

    try:
        data = tuple(map(_read, chosen.data))
    except OSError as error:
        print(f"asgi_disconnect check: --data: {error}", file=sys.stderr)
        return 2
    request: check.Request | check.WebSocket
    if chosen.websocket is None:
        body = data[-1] if data else b""
        request = check.Request(
            method=(chosen.method or ("POST" if body else "GET")).upper(),
            path=chosen.path or "/",
            headers=tuple(chosen.header),
            data=body,
        )
    else:
        for option in ("method", "deadline"):
            if getattr(chosen, option) is not None:
                print(
                    f"asgi_disconnect check: --{option} does not apply to a WebSocket",
                    file=sys.stderr,
                )
                return 2
        request = check.WebSocket(chosen.websocket, tuple(chosen.header), data)
    return check.run(
        check.Wanted(
            app=check.App(chosen.app, str(Path(chosen.app_dir).resolve()), chosen.factory),
            request=request,
            servers=tuple(chosen.server),
            port=chosen.port,
            patience=chosen.patience or (5.0 if chosen.websocket is None else 12.0),
            deadline=chosen.deadline,
            as_json=chosen.json,
        )
    )
