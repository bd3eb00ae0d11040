"""Hints at the cause of an app's exception, where the kit differs from a server."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

NO_LIFESPAN: Final = "Its lifespan has not been run: lifespan=True runs it."

_NO_LOOP: Final = (
    'It needs asyncio, and this test runs on another back end: choose "asyncio" by the fixture'
    " anyio_backend, or by backend= in a test that is not async."
)


class NotInState(KeyError):
    """`scope["state"]` lacks what the app looks for there."""


class UnsetState(dict[str, Any]):
    """The `scope["state"]` of an app whose lifespan has not been run."""

    def __missing__(self, key: str) -> Any:
        raise NotInState(key)


def hint_at_cause(error: BaseException, *, lifespan: bool) -> str:
    """Add the probable cause to `error` as a note, and return it; "" if there is no guess.

    :param lifespan: whether the app's lifespan has been run.
    """
    hint = ""
    chain = [*_chain(error)]
    if not lifespan and any(map(_lacks_state, chain)):
        hint = NO_LIFESPAN
    elif any(map(_lacks_loop, chain)):
        hint = _NO_LOOP
    if hint:
        error.add_note(hint)
    return hint


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what it was raised from or in."""
    yield error
    for other in (error.__cause__, error.__context__):
        if other is not None and other is not error:
            yield from _chain(other)
            return


def _lacks_state(error: BaseException) -> bool:
    # Frameworks make `request.state` and `app.state` objects, such as Starlette's `State`.
    if isinstance(error, AttributeError):
        return type(error.obj).__name__.endswith("State")
    return isinstance(error, NotInState)


def _lacks_loop(error: BaseException) -> bool:
    if not (isinstance(error, RuntimeError) and "no running event loop" in str(error)):
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
