"""What the frameworks' tests share: a journal, and silence."""

import gc
import logging
from collections.abc import Iterator

import pytest

from .connection import MANNERS


@pytest.fixture(params=MANNERS)
def manner(request: pytest.FixtureRequest) -> str:
    """How the server says "disconnect": see `connection`."""
    return str(request.param)


@pytest.fixture
def silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged at WARNING or above, by us, the framework or the loop (contract §4.6)."""
    gc.freeze()  # what is there already need not be looked at below
    yield
    gc.collect()  # an exception that nobody has retrieved is logged when its task is collected
    gc.unfreeze()
    loud = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.WARNING]
    assert not loud
