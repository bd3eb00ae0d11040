"""What every test of Django's ORM has: a project with its two databases."""

import gc
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from ..postgresql import PostgreSQL

collect_ignore_glob = [] if find_spec("django") else ["*.py"]


@pytest.fixture(scope="session")
def _django(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> None:
    from django.conf import settings

    if settings.configured:
        pytest.skip("Django's settings are those of other tests, which are run alone")
    from . import project

    project.configure(postgresql, tmp_path_factory.mktemp("sqlite") / "database")


@pytest.fixture
def objects(_django: None, activity: Any) -> Iterator[Callable[[str], Any]]:
    """Of a database by its name: the entries in it, of which there are none."""
    from . import project
    from .entries.models import Entry

    project.make_sqlite_table()
    project.running.clear()
    project.started.clear()
    yield Entry.objects.using
    from django.db import connections

    connections.close_all()
    if project.POOLED:
        connections["pooled"].close_pool()
    gc.collect()  # what is not closed is to warn now, not in a later test or after the last one
