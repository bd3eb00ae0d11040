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
    fewest_calls: dict[str, int]
    """By type of scope, the fewest calls that have to be wrapped: fewer prove nothing.  A type that
    is missing here is not what the suite is run for."""
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
    incompatible_websockets: dict[str, str] = field(default_factory=dict)
    """Those that cannot pass where WebSockets are guarded."""

    def reasons(self, mode: str) -> dict[str, str]:
        """The tests that cannot pass in this mode, and why."""
        return self.incompatible | (self.incompatible_websockets if mode == "websocket" else {})


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

_TUTORIAL = "tests/test_tutorial/test_websockets"
_WANTS_THE_ERROR = (
    "it expects what the application raises after the disconnect to reach the server, and that is"
    " kept for the report"
)

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
        fewest_calls={"http": 1000, "websocket": 100},
        python=(3, 11),
        incompatible={
            "tests/middleware/test_base.py::"
            "test_background_task_runs_after_response_sent_with_middleware": (
                "its receive() says that the client has left while the response is still going out,"
                " so the response is stopped, and with it the background task that follows it"
            ),
        },
        incompatible_websockets={
            "tests/test_websockets.py::test_duplicate_disconnect": _WANTS_THE_ERROR,
        },
    ),
    # Its WebSockets alone: all of its tests take several minutes each time.
    "fastapi": Suite(
        sdist="fastapi==0.165.0",
        extras="all",
        needs=(
            "anyio[trio]",
            "httpx2",
            "opentelemetry-sdk",
            "pytest>=9",
            "pytest-timeout",
            "pytest-xdist",
        ),
        tests=(
            "tests/test_dependency_after_yield_websockets.py",
            "tests/test_dependency_yield_scope_websockets.py",
            "tests/test_http_connection_injection.py",
            "tests/test_parameter_extraction.py",
            "tests/test_route_scope.py",
            "tests/test_security_websockets.py",
            "tests/test_telemetry/test_data.py",
            "tests/test_telemetry/test_websockets.py",
            "tests/test_tutorial/test_websockets",
            "tests/test_validation_error_context.py",
            "tests/test_ws_dependencies.py",
            "tests/test_ws_router.py",
        ),
        fewest_calls={"http": 20, "websocket": 50},
        incompatible_websockets=dict.fromkeys(
            (
                "tests/test_telemetry/test_websockets.py::test_client_disconnect",
                f"{_TUTORIAL}/test_tutorial001.py::test_websocket",
                f"{_TUTORIAL}/test_tutorial002.py::test_websocket_with_cookie",
                f"{_TUTORIAL}/test_tutorial002.py::test_websocket_with_header",
                f"{_TUTORIAL}/test_tutorial002.py::test_websocket_with_header_and_query",
            ),
            _WANTS_THE_ERROR,
        ),
    ),
    "django52": Suite(
        sdist="django==5.2.19",
        needs=_DJANGO_NEEDS,
        tests=_DJANGO_TESTS,
        fewest_calls={"http": 20},  # most of Django's tests go without ASGI
        django=True,
    ),
    "django61": Suite(
        sdist="django==6.1.3",
        needs=_DJANGO_NEEDS,
        tests=_DJANGO_TESTS,
        fewest_calls={"http": 20},
        django=True,
        python=(3, 12),
    ),
}
