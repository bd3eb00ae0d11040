"""A suite's own environment: its sdist, unpacked, and a virtual environment that can run it.

It is made once and kept in the cache; only the project is installed anew for every run.  Everything
is fetched by pip.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from suites import Suite

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]

_AT_START_UP = (
    'import os; "TRANSPARENCY_OUTCOMES" in os.environ'
    ' and (__import__("asgi_entrances"), __import__("outcomes"))'
)


class NoInterpreter(Exception):
    """No Python on this machine is new enough."""


@dataclass(frozen=True)
class Environment:
    """Where a suite is run."""

    home: Path
    python: Path
    """The interpreter of its virtual environment."""
    source: Path
    """Its sdist, unpacked."""


def prepare(name: str, suite: Suite, cache: Path) -> Environment:
    """Make what is missing of the environment, and install the project.

    Raises `NoInterpreter` if there is no Python that the suite runs on, and
    `subprocess.CalledProcessError` if pip fails.
    """
    base, version = interpreter(suite.python)
    home = cache / f"{name}-py{version}"
    environment = Environment(home, home / "venv" / "bin" / "python", home / "source")
    recipe = json.dumps([suite.sdist, suite.extras, *suite.needs])
    made = home / "made"
    if not made.exists() or made.read_text() != recipe:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        run(base, "-m", "venv", home / "venv")
        unpack(environment, suite.sdist)
        extras = f"[{suite.extras}]" if suite.extras else ""
        pip(environment, "install", f"{environment.source}{extras}", *suite.needs)
        made.write_text(recipe)
    pip(environment, "install", "--force-reinstall", "--no-deps", PROJECT)
    pip(environment, "install", "asgi-disconnect")  # what it depends on
    (site_packages,) = (home / "venv").glob("lib/python*/site-packages")
    for module in (HERE / "hook").glob("*.py"):
        shutil.copy(module, site_packages)
    (site_packages / "transparency.pth").write_text(_AT_START_UP)
    return environment


def interpreter(oldest: tuple[int, int]) -> tuple[str, str]:
    """A Python that is new enough, and its version: this one, or one on PATH or of pyenv's."""
    candidates = [sys.executable]
    for minor in range(oldest[1], oldest[1] + 4):
        candidates.append(f"python{oldest[0]}.{minor}")
        found = Path.home().glob(f".pyenv/versions/{oldest[0]}.{minor}.*/bin/python")
        candidates.extend(str(path) for path in found)
    show = "import sys; print(*sys.version_info[:2])"
    for candidate in candidates:
        try:
            shown = subprocess.run(
                [candidate, "-c", show], check=True, capture_output=True, text=True
            )
        except (OSError, subprocess.CalledProcessError):  # pyenv's shims fail if it has none
            continue
        version = tuple(int(number) for number in shown.stdout.split())
        if version >= oldest:
            return candidate, f"{version[0]}.{version[1]}"
    raise NoInterpreter(f"needs Python {oldest[0]}.{oldest[1]} or newer, and there is none here")


def unpack(environment: Environment, sdist: str) -> None:
    package = sdist.partition("==")[0]
    with tempfile.TemporaryDirectory(dir=environment.home) as scratch:
        pip(environment, "download", "--no-deps", "--no-binary", package, "-d", scratch, sdist)
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(scratch, filter="data")
            else:
                tar.extractall(scratch)
        archive.unlink()
        (folder,) = Path(scratch).iterdir()
        folder.rename(environment.source)


def pip(environment: Environment, command: str, *arguments: str | Path) -> None:
    quietly = ("-q", "--disable-pip-version-check")
    run(environment.python, "-m", "pip", command, *quietly, *arguments)


def run(*command: str | Path) -> None:
    """Run a command, of which nothing is shown unless it fails."""
    ended = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ended.returncode:
        print(ended.stdout)
        ended.check_returncode()
