"""What every test of a hook has: silence."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No hook fails, which the middleware would log, and no library complains of one."""
    yield
    loud = [record for record in caplog.get_records("call") if record.levelno > logging.INFO]
    assert [record for record in loud if record.name != "test"] == []
