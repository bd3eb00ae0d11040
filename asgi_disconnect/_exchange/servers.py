"""Quirks of single servers that we have to know."""

from .._types import Receive


def is_gunicorns(receive: Receive) -> bool:
    """Whether `receive` belongs to gunicorn's ASGI worker (25 to 27 at least).

    After the body's end, it takes a cancelled call (an app that polls makes those) for the end of
    the connection, and answers every later call with a disconnect.
    """
    owner: object = getattr(receive, "__self__", None)
    return str(getattr(owner, "__module__", "")).startswith("gunicorn.")
