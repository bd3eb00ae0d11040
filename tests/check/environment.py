"""How `check` is run by the tests: as a command, on the apps in ``served``."""

import os
import subprocess
import sys
from pathlib import Path

import asgi_disconnect
from asgi_disconnect._check.servers import SERVERS

SERVED = Path(__file__).parent / "served"
INSTALLED = [each.name for each in SERVERS.values() if each.installed and each.by_default]


def environment(*also_at: str) -> dict[str, str]:
    """Where the package is that is tested."""
    package = str(Path(asgi_disconnect.__file__).parent.parent)
    path = filter(None, [*also_at, package, os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def check(*arguments: str, also_at: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run it with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "asgi_disconnect", "check", *arguments],
        cwd=SERVED,
        env=environment(*([str(also_at)] if also_at else [])),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
