"""What every test runs on."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The back ends: a test marked `anyio` runs on each."""
    return str(request.param)
