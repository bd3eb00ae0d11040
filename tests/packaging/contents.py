"""What the wheel and the sdist hold, and what they say of themselves: `nox -s build` runs it.

    python tests/packaging/contents.py FOLDER

The folder holds one of each, made from this checkout.  The wheel must hold the package, all of it
and nothing else; the sdist, whatever its maker has under version control.
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PACKAGE = "asgi_disconnect"
PAGE = f"{PACKAGE}/_demo/live/page"
# What a wheel that is made otherwise loses first: files that are no modules.
NO_MODULES = {
    f"{PACKAGE}/py.typed",
    *(f"{PAGE}/{n}" for n in ("index.html", "page.css", "page.js")),
}
BESIDE = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
NEEDS = {"anyio", "asgiref"}
TO_BUILD_AND_TEST = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md", "SECURITY.md"),
    *("mkdocs.yml", "noxfile.py", "pyproject.toml"),
    *("docs/index.md", "examples/query.py", "tests/conftest.py"),
}


def in_wheel(wheel: Path, version: str) -> Iterator[str]:
    """What is wrong with what the wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    beside = {f"{PACKAGE}-{version}.dist-info/{name}" for name in BESIDE}
    sources = set(_sources())
    for name in sorted((sources | NO_MODULES | beside) - names):
        yield f"the wheel lacks {name}"
    for name in sorted(names - sources - beside):
        yield f"the wheel holds {name}, which is none of the package's files"


def in_sdist(sdist: Path, version: str) -> Iterator[str]:
    """What is wrong with what the sdist holds."""
    with tarfile.open(sdist) as archive:
        names = {member.name for member in archive if member.isfile()}
    folder = f"{PACKAGE}-{version}"
    held = {str(PurePosixPath(name).relative_to(folder)) for name in names}
    for name in sorted((set(_sources()) | TO_BUILD_AND_TEST | _versioned()) - held):
        yield f"the sdist lacks {name}"
    for name in sorted(held):
        if {"__pycache__", ".nox", "site", "dist"} & set(PurePosixPath(name).parts):
            yield f"the sdist holds {name}, which is made from the rest"


def in_metadata(told: Message, version: str) -> Iterator[str]:
    """What is wrong with what the wheel says of itself."""
    for field, wanted in {
        "Name": "asgi-disconnect",
        "Version": version,
        "License-Expression": "MIT",
        "License-File": "LICENSE",
        "Requires-Python": ">=3.11",
        "Description-Content-Type": "text/markdown",
    }.items():
        if told[field] != wanted:
            yield f"{field} is {told[field]!r}, and not {wanted!r}"
    for field in ("Author", "Classifier", "Keywords", "Project-URL", "Summary"):
        if not told[field]:
            yield f"{field} is not said"
    needs = [need for need in told.get_all("Requires-Dist", []) if "extra ==" not in need]
    if {re.split(r"[^\w-]", need)[0] for need in needs} != NEEDS:
        yield f"it needs {', '.join(needs)}, and not {' and '.join(sorted(NEEDS))} alone"


def in_changelog(version: str) -> Iterator[str]:
    """The newest version that the changelog has is this one."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    if released[:1] != [version]:
        yield f"CHANGELOG.md's newest version is {released[0] if released else 'missing'}"


def _sources() -> Iterator[str]:
    for file in (ROOT / PACKAGE).rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(ROOT).as_posix()


def _versioned() -> set[str]:
    """What git has of the checkout; nothing, where this is no checkout of git's."""
    if not (ROOT / ".git").exists():
        return set()
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def main(folder: Path) -> int:
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    source = (ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    version = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)[0]
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{PACKAGE}-{version}.dist-info/METADATA").decode()
    told = Parser().parsestr(metadata, headersonly=True)
    wrong = [
        *in_wheel(wheel, version),
        *in_sdist(sdist, version),
        *in_metadata(told, version),
        *in_changelog(version),
    ]
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"{wheel.name} and {sdist.name} hold what they should.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
