"""The back ends that tests run on."""

import pytest

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]

only_asyncio = pytest.mark.parametrize("anyio_backend", BACKENDS[:2])
"""On either of its loops."""
