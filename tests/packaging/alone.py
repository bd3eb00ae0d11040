"""The wheel in an environment that has nothing else: `nox -s build` runs it there.

    python -I tests/packaging/alone.py

It needs anyio and asgiref, and what those two need themselves; importing it loads nothing beyond
them and the standard library; and the commands work, or say what they lack.
"""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

NEEDS = ("anyio", "asgiref")
PACKAGE = "asgi_disconnect"
OF_AN_ENVIRONMENT = {"pip", "setuptools", "wheel"}
# What a user imports, and what must do without anything optional.
PUBLIC = (PACKAGE, f"{PACKAGE}.testing", f"{PACKAGE}.instrumentation.logging")
SCRIPT = Path(sysconfig.get_path("scripts")) / "asgi-disconnect"


def installed() -> Iterator[str]:
    """What else is installed, that nobody needs."""
    needed = {"asgi-disconnect"} | {name for need in NEEDS for name in _closure(need)}
    for found in importlib.metadata.distributions():
        name = _plain(found.metadata["Name"])
        if name not in needed | OF_AN_ENVIRONMENT:
            yield f"{name} is installed, and neither anyio nor asgiref needs it"


def imported(module: str) -> Iterator[str]:
    """What importing a module loads, beyond what it may."""
    show = f"import {module}, sys; print(*sys.modules)"
    before = set(_run(sys.executable, "-I", "-c", "import sys; print(*sys.modules)").split())
    loaded = set(_run(sys.executable, "-I", "-c", show).split()) - before
    owners = importlib.metadata.packages_distributions()
    allowed = {PACKAGE} | {name for need in NEEDS for name in _closure(need)}
    for top in sorted({name.partition(".")[0] for name in loaded} - sys.stdlib_module_names):
        if allowed.isdisjoint({top, *map(_plain, owners.get(top, ()))}):
            yield f"import {module} loads {top}"


def commands() -> Iterator[str]:
    """What the commands do not do."""
    for start in ([sys.executable, "-I", "-m", PACKAGE], [str(SCRIPT)]):
        for arguments, wanted in (
            (["--help"], "check"),
            (["--version"], importlib.metadata.version(PACKAGE)),
            (["check", "--help"], "MODULE:APP"),
            (["demo", "--help"], "--page"),
        ):
            if wanted not in _run(*start, *arguments):
                yield f"{' '.join([*start, *arguments])} does not say {wanted!r}"
    # Without a server they say what is missing.
    for arguments, status, wanted in (
        (["demo"], 1, "asgi_disconnect[demo]"),
        (["demo", "--page"], 1, "asgi_disconnect[demo]"),
        (["check", "main:app"], 2, "no server is installed"),
        (["check", "main:app", "--server", "uvicorn"], 2, "pip install --upgrade uvicorn"),
    ):
        ran = subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60)
        if ran.returncode != status or wanted not in ran.stderr:
            yield f"{' '.join(arguments)} ends with {ran.returncode}: {ran.stdout}{ran.stderr}"


def _closure(name: str) -> set[str]:
    """A package and what it needs, and what that needs; without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = _plain(waiting.pop())
        if each in found:
            continue
        found.add(each)
        try:
            needs = importlib.metadata.requires(each) or []
        except importlib.metadata.PackageNotFoundError:  # only needed on another Python
            continue
        waiting += [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ends with {ran.returncode}:\n{ran.stderr}")
    return ran.stdout


def main() -> int:
    os.environ.pop("PYTHONPATH", None)
    # What a command does with a server that should not be there is no question.
    wrong = [*installed()] or [
        *(line for module in PUBLIC for line in imported(module)),
        *commands(),
    ]
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        where = importlib.import_module(PACKAGE).__file__
        print(f"{where} needs anyio and asgiref, and what they need, and nothing else.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
