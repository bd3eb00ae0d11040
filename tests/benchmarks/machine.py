"""On what a benchmark ran: what is written beside its figures."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("anyio", "asgiref", "uvloop", "uvicorn", "httptools", "granian"),
    *("starlette", "fastapi", "django", "fastapi-disconnect", "aiofence"),
)


def environment() -> dict[str, str]:
    """The machine, its Python and the packages that take part."""
    found = {
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
