"""Which test suites are run, and what is expected of them.

Contract §5: what passes without the middleware passes inside it.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """The tests that a project ships in its sdist on PyPI."""

    sdist: str
    """What to download, as a requirement."""
    tests: tuple[str, ...]
    """Arguments of the runner: all the tests that have to do with ASGI."""
    fewest_calls: int
    """HTTP exchanges that are wrapped at the least; with fewer of them the run proves nothing."""
    extras: str = ""
    """Extras of the project that its tests need."""
    needs: tuple[str, ...] = ()
    """Other requirements of the tests."""
    django: bool = False
    """They are run by Django's `runtests.py`, not by pytest."""
    python: tuple[int, int] = (3, 10)
    """The oldest Python that the project runs on."""
    incompatible: dict[str, str] = field(default_factory=dict)
    """Tests that cannot pass on principle, without their parameters, and why."""


_DJANGO_TESTS = (
    "asgi",
    "async",
    "decorators",
    "deprecation",
    "handlers",
    "signals",
    "staticfiles_tests",
    "test_client",
)
_DJANGO_NEEDS = ("argon2-cffi", "bcrypt", "docutils", "jinja2", "pillow", "pyyaml", "tblib")

SUITES = {
    "starlette": Suite(
        sdist="starlette==1.10.0",
        extras="full",
        needs=(
            "blockbuster",
            "httpx2[zstd]",
            "importlib-metadata",
            "opentelemetry-sdk",
            "pytest",
            "pytest-codspeed",
            "pytest-timeout",
            "trio",
        ),
        tests=("tests",),
        fewest_calls=1000,
        python=(3, 11),
        incompatible={
            "tests/middleware/test_base.py::"
            "test_background_task_runs_after_response_sent_with_middleware": (
                "its receive() says that the client has left while the response is still going out,"
                " so the response is stopped, and with it the background task that follows it"
            ),
        },
    ),
    "django52": Suite(
        sdist="django==5.2.19",
        needs=_DJANGO_NEEDS,
        tests=_DJANGO_TESTS,
        fewest_calls=20,  # most of Django's tests go without ASGI
        django=True,
    ),
    "django61": Suite(
        sdist="django==6.1.3",
        needs=_DJANGO_NEEDS,
        tests=_DJANGO_TESTS,
        fewest_calls=20,
        django=True,
        python=(3, 12),
    ),
}
