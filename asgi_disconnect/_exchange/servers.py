"""What is peculiar to one server, and must be known here."""

from .._types import Receive


def is_gunicorns(receive: Receive) -> bool:
    """Whether `receive` is that of gunicorn's ASGI worker (25 to 27 at least).

    It takes a call that is cancelled after the body's end, as the calls of an app that polls are,
    for the end of the connection, and tells every later call that the client has left.
    """
    owner: object = getattr(receive, "__self__", None)
    return str(getattr(owner, "__module__", "")).startswith("gunicorn.")
