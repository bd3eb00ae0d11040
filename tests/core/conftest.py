"""How long Hypothesis looks, and what several tests watch: the log, and the temporary files.

``--hypothesis-profile fuzz`` is for a long search.
"""

import logging
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, max_examples=400)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=50_000,  # on each back end
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture
def nothing_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "asgi_disconnect")
    yield
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The temporary files that have been made."""
    made: list[Any] = []
    open_temporary = tempfile.TemporaryFile

    def make(*arguments: Any, **options: Any) -> Any:
        made.append(open_temporary(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    return made
