"""A real server in a process of its own, for a benchmark: started, timed and stopped from here.

Linux only, since it reads another process's CPU clock, which is good to a microsecond where the
columns of ``/proc/PID/stat`` are good to ten milliseconds.
"""

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asgi_disconnect._check.running import free_port

HERE = Path(__file__).parent
UVICORN, GRANIAN = "uvicorn", "granian"
PATIENCE = 30.0
"""Seconds for a server to answer."""

_libc = ctypes.CDLL(None, use_errno=True)


def command(server: str, target: str, port: int) -> list[str]:
    """How `target` (``module:attribute``, a module beside this one) is served."""
    common = ["--port", str(port), "--no-access-log"]
    if server == UVICORN:
        return [
            *(sys.executable, "-m", "uvicorn", target, *common, "--log-level", "error"),
            *("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "off"),
            *("--interface", "asgi3", "--backlog", "16384"),
        ]
    return [
        *(sys.executable, "-m", "granian", target, *common, "--log-level", "error"),
        *("--interface", "asginl", "--http", "1", "--loop", "uvloop", "--no-ws"),
        *("--backlog", "16384", "--backpressure", "16384"),
    ]


class RunningServer:
    """One server process, and whatever processes it starts."""

    def __init__(self, server: str, target: str, *, core: int | None = None) -> None:
        """Start it; `core` is the only one it is to run on."""
        self._until_stopped = contextlib.ExitStack()
        self.port = self._until_stopped.enter_context(free_port())
        paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            command(server, target, self.port),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            cwd=HERE,  # granian takes a module for a part of the package in which it is started
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_only_on(core),
        )

    def wait_until_up(self, path: str = "/") -> None:
        """Return when it answers; an error if it never does."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                status, body = self.get(path)
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                if status != 200:
                    raise RuntimeError(f"{self._process.args}: {status} {body[:200]!r}")
                return

    def get(self, path: str) -> tuple[int, bytes]:
        """One request, and its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"connection": "close"})
            response = connection.getresponse()
            return response.status, response.read()

    def get_json(self, path: str) -> Any:
        status, body = self.get(path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:200]!r}")
        return json.loads(body)

    def cpu_seconds(self) -> float:
        """What it has used so far, in all its processes and threads."""
        return sum(map(_cpu_seconds, self._processes()))

    def resident_bytes(self) -> int:
        """The memory that it has."""
        pages = 0
        for process in self._processes():
            pages += int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._until_stopped.close()

    def _processes(self) -> list[int]:
        found = [self._process.pid]
        for process in found:  # which grows
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += map(int, children.read_text("ascii").split())
        return found


@contextlib.contextmanager
def running(server: str, target: str, *, core: int | None = None) -> Iterator[RunningServer]:
    """A server that answers, and that is stopped afterwards."""
    one = RunningServer(server, target, core=core)
    try:
        one.wait_until_up()
        yield one
    finally:
        one.stop()


def two_cores() -> tuple[int, int] | tuple[None, None]:
    """A core for the server and another for its clients, if there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def program(name: str, package: str) -> str:
    """Where a program is; an error that says how to get it."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed: apt-get install {package}, or the like")
    return found


def _only_on(core: int | None) -> Callable[[], None] | None:
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


def _cpu_seconds(process: int) -> float:
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(process, ctypes.byref(clock)):
        return 0.0  # it has ended
    return time.clock_gettime(clock.value)
