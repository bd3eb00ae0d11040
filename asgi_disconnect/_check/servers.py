"""The servers to check on, and how to start each, as its own documentation says."""

import importlib.metadata
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

APP: Final = "asgi_disconnect._check.probe:application"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What some versions of a server do wrong that the middleware cannot fix."""

    releases: tuple[str, ...]
    """For example ``1.2``, which stands for every version from 1.2.0 up to 1.3."""
    what: str
    remedy: str

    def is_in(self, version: str) -> bool:
        """Whether this version has the fault."""
        return any(f"{version}.".startswith(f"{release}.") for release in self.releases)


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server."""

    name: str
    package: str
    needs: tuple[str, ...]
    """The modules that it needs to start."""
    arguments: tuple[str, ...]
    """What follows ``python -m``; ``{port}`` stands for the port."""
    by_default: bool = True
    calls_on_partial_upload: bool = True
    """It calls the app before the request's body is complete."""
    on_trio: bool = False
    lifespan: bool = True
    """It runs the app's lifespan."""
    fault: Fault | None = None

    @property
    def installed(self) -> bool:
        """Whether it can be started."""
        return all(map(_is_there, self.needs))

    @property
    def version(self) -> str:
        """The installed version."""
        return importlib.metadata.version(self.package)

    @property
    def warning(self) -> str | None:
        """What the installed version does wrong, and what to do about it."""
        if self.fault is None or not self.fault.is_in(self.version):
            return None
        return f"{self.package} {self.version} {self.fault.what} {self.fault.remedy}"

    def command(self, port: int) -> list[str]:
        """The command that starts it."""
        arguments = (part.format(port=port) for part in self.arguments)
        return [sys.executable, "-m", *arguments]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the module's package is missing
        return False


def _hypercorn(worker_class: str) -> tuple[str, ...]:
    return ("hypercorn", APP, "--bind", "127.0.0.1:{port}", "--worker-class", worker_class)


SERVERS: Final[dict[str, Server]] = {
    server.name: server
    for server in (
        Server(
            name="uvicorn",
            package="uvicorn",
            needs=("uvicorn",),
            arguments=("uvicorn", APP, "--host", "127.0.0.1", "--port", "{port}"),
            fault=Fault(
                releases=("0.43", "0.44"),
                what=(
                    "says at SIGTERM that clients have left who are still there: each restart cuts"
                    " off the requests that are running."
                ),
                remedy="Use 0.45 or newer: python -m pip install --upgrade uvicorn",
            ),
        ),
        Server(
            name="hypercorn",
            package="hypercorn",
            needs=("hypercorn",),
            arguments=_hypercorn("asyncio"),
        ),
        Server(
            name="hypercorn-trio",
            package="hypercorn",
            needs=("hypercorn", "trio"),
            arguments=_hypercorn("trio"),
            on_trio=True,
            by_default=False,  # few apps run on trio
        ),
        Server(
            name="daphne",
            package="daphne",
            needs=("daphne",),
            arguments=("daphne", "-b", "127.0.0.1", "-p", "{port}", APP),
            calls_on_partial_upload=False,
            lifespan=False,
        ),
        Server(
            name="granian",
            package="granian",
            needs=("granian",),
            arguments=(
                *("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}"),
                APP,
            ),
        ),
        Server(
            name="gunicorn",
            package="gunicorn",
            needs=("gunicorn.asgi",),
            arguments=(
                *("gunicorn", APP, "--worker-class", "asgi", "--bind", "127.0.0.1:{port}"),
                "--no-control-socket",
            ),
        ),
    )
}
