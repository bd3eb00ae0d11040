"""The ways to serve Django: bare, or inside the middleware.

Everything that Django 5.2 and 6.x do when a client leaves, they do inside the middleware too.
Django 4.2 does not listen for the disconnect: what it lacks for that is marked `NEEDS_A_LISTENER`,
fails there bare, and works there wrapped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django_app import LISTENS, VERSION
from scripted_client import LIMIT

from asgi_disconnect import DisconnectMiddleware


@dataclass(frozen=True)
class Way:
    """A way to serve an application, and how long what it promises may take (seconds)."""

    name: str
    wrap: Callable[[Any], Any]
    limit: float = LIMIT


BARE = Way("bare", lambda app: app)
WRAPPED = Way("wrapped", DisconnectMiddleware)
WATCHED = Way("watched", lambda app: DisconnectMiddleware(app, watch_after=0))

DEAF = pytest.param(
    Way("bare", BARE.wrap, limit=0.5),
    id="bare",
    marks=pytest.mark.xfail(
        raises=(AssertionError, TimeoutError), reason="Django 4.2 does not listen", strict=True
    ),
)


def served(*ways: Any) -> pytest.MarkDecorator:
    """Run the test once for each of `ways`, by the fixture `serve`."""
    parameters = [pytest.param(way, id=way.name) if isinstance(way, Way) else way for way in ways]
    return pytest.mark.parametrize("serve", parameters, indirect=True)


EVERY_WAY = served(BARE, WRAPPED, WATCHED)
GUARDED = served(WRAPPED, WATCHED)
NEEDS_A_LISTENER = EVERY_WAY if LISTENS else served(DEAF, WRAPPED, WATCHED)
NEEDS_A_LISTENER_AT_ONCE = EVERY_WAY if LISTENS else served(DEAF, WATCHED)

BODY_IS_LEFT = []
"""A cancellation that does not come from its own listener keeps Django before 6.0 from closing the
file that holds the body.  The garbage collector closes it, and warns."""
if VERSION < (6, 0):
    BODY_IS_LEFT.append(pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning"))

ON_DJANGO = [pytest.mark.anyio, *BODY_IS_LEFT]
