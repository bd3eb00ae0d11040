"""``check``: what real servers, your app and the middleware do when clients leave.

`target` finds the app and its layers, `servers` tells how to start each server, `running` runs one,
`probe` is what it serves, `visits` and `websocket_visits` are the clients that leave it, `findings`
judges the outcome, and `screen` shows it.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace

from .findings import Checked, Findings
from .halves import check_server
from .request import CannotAsk, Request
from .running import App, free_port
from .screen import Progress, as_json, table, verdict
from .servers import SERVERS, Server
from .target import Layer, Target
from .websocket import OLDEST, WebSocket, library_is_there

__all__ = ["App", "Request", "Wanted", "WebSocket", "run"]


class Refused(Exception):
    """The check cannot be done; the message says why, and what to do instead."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    app: App
    request: Request | WebSocket
    servers: tuple[str, ...] = ()
    """Their names; if there are none, those installed are checked."""
    port: int | None = None
    """The first server's; the others get the next ones.  None for free ones."""
    patience: float = 5.0
    """Seconds to watch an app that runs on."""
    deadline: float | None = None
    """A deadline in seconds, to check as well."""
    as_json: bool = False


def run(wanted: Wanted) -> int:
    """Check the app; return 0 if all is well, 1 if not, 2 if the check could not be done."""
    try:
        if isinstance(wanted.request, WebSocket) and not library_is_there():
            raise Refused(
                f"--websocket needs the websockets library, {OLDEST} or newer: python -m pip"
                " install --upgrade 'asgi-disconnect[check]'"
            )
        servers = _servers(wanted.servers)
        with _ports(wanted.port, len(servers)) as ports:
            target = _inspect(wanted.app)
            findings = asyncio.run(_check(wanted, servers, ports, target))
        _require_some(findings, named=bool(wanted.servers))
    except (Refused, CannotAsk) as error:
        print(f"asgi_disconnect check: {error}", file=sys.stderr)
        return 2
    if wanted.as_json:
        print(as_json(findings))
    else:
        print(table(findings))
        print()
        print(verdict(findings))
    if not findings.found_out:
        return 2
    return 0 if findings.sound else 1


def _require_some(findings: Findings, *, named: bool) -> None:
    """Raise `CannotAsk` if no server shows anything, or if one that was named does not."""
    unasked = [each.unasked for each in findings.servers if each.unasked is not None]
    if unasked and (named or len(unasked) == len(findings.servers)):
        raise CannotAsk(unasked[0])


async def _check(
    wanted: Wanted, servers: list[Server], ports: list[int], target: Target
) -> Findings:
    progress = Progress([server.name for server in servers])
    tasks = [
        asyncio.ensure_future(_check_one(wanted, server, port, target, progress))
        for server, port in zip(servers, ports, strict=True)
    ]
    try:
        checked = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        progress.clear()
    return Findings(
        app=wanted.app.where,
        request=wanted.request.name,
        patience=wanted.patience,
        target=target,
        servers=tuple(checked),
        websocket=isinstance(wanted.request, WebSocket),
    )


async def _check_one(
    wanted: Wanted, server: Server, port: int, target: Target, progress: Progress
) -> Checked:
    checked = await check_server(
        server,
        port,
        wanted.app,
        target,
        wanted.request,
        wanted.patience,
        wanted.deadline,
        lambda state: progress.show(server.name, state),
    )
    return replace(checked, warning=server.warning)


def _servers(names: tuple[str, ...]) -> list[Server]:
    if names:
        chosen = [SERVERS[name] for name in dict.fromkeys(names)]
        for server in chosen:
            if not server.installed:
                raise Refused(
                    f"{server.name} is not installed, or too old (it needs the modules"
                    f" {', '.join(server.needs)}): python -m pip install --upgrade {server.package}"
                )
        return chosen
    chosen = [server for server in SERVERS.values() if server.by_default and server.installed]
    if not chosen:
        names_of_all = ", ".join(SERVERS)
        raise Refused(f"no server is installed; check can use {names_of_all}")
    return chosen


@contextlib.contextmanager
def _ports(first: int | None, count: int) -> Generator[list[int]]:
    if first is None:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(free_port()) for _ in range(count)]
        return
    ports = list(range(first, first + count))
    if ports[-1] > 65535:
        raise Refused(
            f"there are not {count} ports from {first} on; without --port, free ones are used"
        )
    for port in ports:
        with contextlib.closing(socket.socket()) as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                raise Refused(f"port {port} is in use; without --port, free ones are used")
    yield ports


def _inspect(app: App) -> Target:
    """Inspect the app in another process: importing it may start anything."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "asgi_disconnect._check.target"),
            *(app.where, app.folder, "factory" if app.factory else ""),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    try:
        told = json.loads(ran.stdout.strip().rpartition("\n")[2])
    except ValueError:
        raise Refused(f"{app.where} cannot be imported:\n{ran.stderr}") from None
    if "error" in told:
        raise Refused(told["error"])
    return Target(tuple(Layer(**layer) for layer in told["layers"]))
