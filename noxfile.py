"""How the project is tested: `nox -l` lists the sessions, `nox -s tests` is the one to begin with.

Every session installs the project as a user would, not editable.  The tests run in a copy of the
checkout without the package's sources, so that it is the installed package that they import.
"""

import os
import shutil
import sys
import tarfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
NOTHING_MISSING = bool(os.environ.get("NOTHING_MISSING"))
"""Where a test is skipped for want of something, it fails: see tests/skips.py."""
PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = f"[{','.join(PROJECT['project']['optional-dependencies'])}]"
NEEDED_BY_TESTS = ["noxfile.py", "pyproject.toml", "README.md", "docs", "examples", "tests"]
# Each runs in a process of its own, since each has settings of its own.
DJANGO_TESTS = ["tests/frameworks/on_django", "tests/databases/on_django"]
# On two cores; a file's tests stay together, with the servers and the databases that it starts.
SIDE_BY_SIDE = ["--numprocesses=2", "--dist=loadfile"]
# These wait for other processes most of the time, so that three fit on two cores.
WAITING_TESTS = ["tests/check", "tests/servers"]
# These have sessions of their own, for what they need is not Python's alone.
TESTS_WITH_SESSIONS = ["tests/browser", "tests/checked", "tests/proxies"]
# Whose spelling `docs` checks.
PROSE = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
PROSE += ["docs", "examples", "asgi_disconnect"]
# Each version of Django, and the oldest Python that it runs on.
DJANGOS = {"4.2": "3.11", "5.2": "3.11", "6.1": "3.12"}
# What `build` runs with the wheel: all that needs neither a database nor Django, nor much time.
BUILD_TESTS = [
    *("tests/core", "tests/testing", "tests/instrumentation"),
    *("tests/docs", "tests/examples", "tests/check", "tests/test_cli.py", "tests/test_demo.py"),
]
# What `coverage` runs: what reaches all that it measures, but for what takes minutes then.
COVERAGE_TESTS = [
    *("tests/core", "tests/testing", "tests/instrumentation", "tests/test_cli.py"),
    *("tests/frameworks/test_cleanup_in_groups.py", "tests/frameworks/test_cleanup_in_stacks.py"),
    *("-k", "not a_million_one_byte_chunks"),
]
# What `tests` installs.
EVERYTHING = [
    *("tests", "servers", "frameworks", "middlewares", "tracing"),
    *("compared", "databases", "channels"),
]
BENCHMARKS = [
    *("overhead", "growth", "served", "watched", "latency", "uploads", "cleanup", "goodput"),
    "queue",
]
# A file of that name would hide the standard library's module.
BENCHMARK_FILES = {"queue": "waiting_line"}


def tests(session: nox.Session) -> None:
    """Everything on one Python, then Django's part in each version that this Python runs."""
    install(session, *EVERYTHING, f"django~={djangos(session)[0]}.0", extras=EXTRAS)
    if session.posargs:
        pytest(session, *session.posargs)
        return
    elsewhere = [*DJANGO_TESTS, *WAITING_TESTS, *TESTS_WITH_SESSIONS]
    pytest(session, *SIDE_BY_SIDE, *(f"--ignore={folder}" for folder in elsewhere))
    pytest(session, "--numprocesses=3", "--dist=loadfile", *WAITING_TESTS)
    each_django(session)


def interpreter(version: str) -> str:
    """What nox is to look for: pyenv's, on the path only while it is switched on, or any."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return next(map(str, pyenv.glob(f"versions/{version}.*/bin/python")), version)


nox.session(tests)
for version in nox.project.python_versions(PROJECT):
    nox.session(tests, name=f"tests-{version}", python=interpreter(version), default=False)


@nox.session
def django(session: nox.Session) -> None:
    """What `tests` does for each Django, alone."""
    install(session, "tests", "compared", "databases", "servers")
    each_django(session, *session.posargs)


@nox.session
def checked(session: nox.Session) -> None:
    """`check` on sound apps of other projects, on each server: three minutes, and 200 MB.

    And MCP with fastmcp, too.
    """
    install(session, "tests", "servers", "frameworks", "checked")
    pytest(session, "tests/checked", "tests/frameworks/test_mcp.py", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The core's tests with the oldest anyio and asgiref that we say we run on."""
    oldest = [need.replace(">=", "==") for need in PROJECT["project"]["dependencies"]]
    install(session, "tests", *oldest)
    pytest(session, *SIDE_BY_SIDE, *(session.posargs or ["tests/core"]))


@nox.session
def reference(session: nox.Session) -> None:
    """The core's and the frameworks' tests with the guard that needs public API only, on asyncio.

    Or what is named: `nox -s reference -- tests/core`.
    """
    install(session, "tests", "servers", "frameworks")
    tests = session.posargs or ["tests/core", "tests/frameworks"]
    ignored = (f"--ignore={folder}" for folder in DJANGO_TESTS)
    pytest(session, "--reference", *SIDE_BY_SIDE, *ignored, *tests)


@nox.session
def coverage(session: nox.Session) -> None:
    """Branch coverage of the package but for `check` and `demo`, with a floor (pyproject.toml).

    The core's tests run with each guard: trio's and asyncio's fast one, and then the reference.
    """
    install(session, "tests", "coverage", "frameworks", "tracing", extras=EXTRAS)
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()).resolve() / ".coverage")
    session.run("coverage", "erase")
    slower = "--timeout=300"
    measured = ("-m", "coverage", "run")
    pytest(session, *COVERAGE_TESTS, slower, under=measured)
    once = ("-k", "not trio and not uvloop and not a_million_one_byte_chunks")
    pytest(session, "tests/core", "--reference", *once, slower, under=measured)
    session.run("coverage", "combine")
    session.run("coverage", "report", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*groups("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright, both strict: the package, and uses and misuses of its public API.

    And what a user's type checker sees of it: complete.
    """
    install(session, "types", extras=EXTRAS)
    session.run("mypy")
    session.run("pyright", "--pythonpath", python(session))
    session.run(
        *("pyright", "--pythonpath", python(session)),
        *("--verifytypes", "asgi_disconnect", "--ignoreexternal"),
    )


@nox.session(python=False)
def transparency(session: nox.Session) -> None:
    """Starlette's, FastAPI's and Django's own test suites, plain and with every app wrapped.

    Where there are WebSockets, twice: they pass through, and they are guarded.
    """
    # It makes an environment for each suite, and needs none for itself.
    cache = session.cache_dir / "transparency"
    session.run(
        sys.executable, "tests/transparency/run.py", "--cache", str(cache), *session.posargs
    )


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, or those that are named: `nox -s bench -- overhead --rounds 10`.

    The figures are written to a folder, and drawn there: the session's own, or with
    `--into FOLDER` another.  One that misses a goal does not keep the others from being run.
    """
    install(session, "bench")
    options = list(session.posargs)
    folder = Path(session.create_tmp()) / "figures"
    if "--into" in options:
        where = options.index("--into")
        folder = Path(options[where + 1])
        del options[where : where + 2]
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in BENCHMARKS if name in options]
    options = [option for option in options if option not in BENCHMARKS]
    failed = []
    for name in chosen or BENCHMARKS:
        script = ("python", f"tests/benchmarks/{BENCHMARK_FILES.get(name, name)}.py", "--check")
        figures = ("--json", str(folder / f"{name}.json"))
        try:
            session.run(*script, *figures, *options)
        except nox.command.CommandFailed:
            failed.append(name)
    session.run("python", "tests/benchmarks/plots.py", str(folder))
    if failed:
        session.error(f"a goal is missed: {', '.join(failed)}")


@nox.session
def fuzz(session: nox.Session) -> None:
    """The body, by 100,000 schedules drawn at random; some ten minutes."""
    install(session, "tests")
    pytest(
        session,
        *("tests/core/receive/test_replay.py", "--hypothesis-profile=fuzz", "--timeout=0"),
        *("--hypothesis-show-statistics", *session.posargs),
    )


@nox.session
def storm(session: nox.Session) -> None:
    """100,000 requests in process and 10,000 to each server, left at random; half an hour.

    And 20,000 WebSockets in process, and 500 to each server.
    """
    install(session, "tests", "servers", "frameworks")
    requests = ("--in-process=100000", "--each-server=10000")
    websockets = ("--websockets=20000", "--websockets-each=500")
    pytest(session, "tests/storm", *requests, *websockets, "--timeout=0", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, into site/, and its spelling; warnings are errors."""
    install(session, "docs", extras=EXTRAS)
    session.run("codespell", *PROSE)
    session.run(
        *("mkdocs", "build", "--strict", *session.posargs),
        env={"NO_MKDOCS_2_WARNING": "1"},  # the theme's advertisement
    )


@nox.session
def browser(session: nox.Session) -> None:
    """Pages and WebSockets in headless Chromium (Debian: apt-get install chromium)."""
    install(session, "tests", "servers", "browser", extras=EXTRAS)
    pytest(session, "tests/browser", *session.posargs)


@nox.session
def proxies(session: nox.Session) -> None:
    """Behind real proxies (Debian: apt-get install nginx-light haproxy caddy apache2 lighttpd)."""
    install(session, "tests", "servers")
    pytest(session, "tests/proxies", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """The sdist and the wheel, into dist/, looked at; then the sdist's tests of the wheel.

    The wheel is made from the sdist.  It is installed alone, in an environment that has nothing
    else, to see that it needs and imports only what it says; what the tests need comes there
    afterwards.  They are some four minutes' worth; others can be named:
    `nox -s build -- tests/servers`.
    """
    session.install(*groups("build"))
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    session.run("python", "tests/packaging/contents.py", str(dist))

    folder = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "venv", "--clear", str(folder / "alone"))
    scripts = folder / "alone" / ("Scripts" if os.name == "nt" else "bin")
    alone = str(scripts / "python")
    pip = (alone, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    session.run(*pip, str(wheel), external=True)
    session.run(alone, "-I", "tests/packaging/alone.py", external=True)

    needs = groups("tests", "servers", "frameworks", "tracing")
    session.run(*pip, f"{wheel}{EXTRAS}", *needs, external=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    pytest(session, *(session.posargs or BUILD_TESTS), source=unpacked, executable=alone)
    told = [*PROJECT["project"]["urls"].values(), (ROOT / "SECURITY.md").read_text("utf-8")]
    if any(".invalid" in text for text in told):
        session.warn(
            "the addresses in pyproject.toml and SECURITY.md are placeholders still: not to be"
            " published like this"
        )


@nox.session
def demo(session: nox.Session) -> None:
    """The README's demo."""
    session.install(".[demo]")
    session.run("python", "-m", "asgi_disconnect", "demo")


def groups(*names: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, *names)


def install(session: nox.Session, *what: str, extras: str = "") -> None:
    """Install the project, and dependency groups and requirements, all solved together."""
    known = PROJECT["dependency-groups"]
    names = [name for name in what if name in known]
    needs = [name for name in what if name not in known]
    session.install(f".{extras}", *groups(*names), *needs)


def pytest(
    session: nox.Session,
    *arguments: str,
    source: Path = ROOT,
    executable: str = "python",
    under: tuple[str, ...] = (),
) -> None:
    """Run pytest where the package's sources are not, as a module of that which `under` names."""
    copy = Path(session.create_tmp()) / "checkout"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in NEEDED_BY_TESTS:
        if (source / name).is_dir():
            shutil.copytree(source / name, copy / name)
        elif (source / name).exists():
            shutil.copy(source / name, copy / name)
    complete = ["--complete"] if NOTHING_MISSING else []
    with session.chdir(copy):
        session.run(
            *(executable, *under, "-m", "pytest", *complete, *arguments),
            env={"PYTHONPATH": ""},
            external=executable != "python",
        )


def djangos(session: nox.Session) -> list[str]:
    """The versions of Django that the session's Python runs, the newest first."""
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    this = _version(str(session.run("python", "-c", show, silent=True, log=False)))
    return [release for release, oldest in DJANGOS.items() if this >= _version(oldest)][::-1]


def each_django(session: nox.Session, *arguments: str) -> None:
    """Run Django's tests with one version after the other, in the session's environment."""
    for release in djangos(session):
        session.install(f"django~={release}.0", *groups("channels"))
        for folder in DJANGO_TESTS:
            pytest(session, folder, *arguments)
        pytest(session, "tests/docs", "-k", "django", *arguments)


def python(session: nox.Session) -> str:
    return str(Path(session.bin) / "python")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
