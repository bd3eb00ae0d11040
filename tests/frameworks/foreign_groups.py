"""Cleanup in the child tasks of the app's own anyio groups: where its tests can run."""

from importlib.metadata import version

import pytest

from ..conftest import BACKENDS

only_asyncio = pytest.mark.parametrize(
    "anyio_backend", [each for each in BACKENDS if each.id != "trio"]
)
"""Trio's cancellation is level-triggered: cleanup that awaits shields itself there."""

_ANYIO = tuple(map(int, version("anyio").split(".")[:2]))

in_foreign_groups = pytest.mark.skipif(
    _ANYIO < (4, 14), reason="anyio has no scope around each task of a group before 4.14"
)
"""It is finished where anyio's records can be used (contract §4.4)."""
