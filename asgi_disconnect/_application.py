"""What counts as an ASGI application (contract §1)."""

import inspect
from typing import Any, cast

from asgiref import compatibility

from ._types import App

asgiref: Any = compatibility  # it is untyped


def as_single_callable(app: Any) -> App:
    """`app` as a callable that takes scope, receive and send (ASGI 3).

    An ASGI 2 application, which takes the scope and returns a callable for the other two, is
    adapted.  The signature decides; asgiref's test is asked only if the signature fits both or
    cannot be read, because it takes every class, and every plain function that returns an
    awaitable, for ASGI 2.

    Raises `TypeError` if `app` is not callable, or takes neither three arguments nor one.
    """
    if not callable(app):
        raise _refusal(app)
    return cast(App, asgiref.double_to_single_callable(app) if _is_double(app) else app)


def _is_double(app: Any) -> bool:
    if getattr(app, "_asgi_single_callable", False):
        return False
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):  # a builtin, say
        return bool(asgiref.is_double_callable(app))
    single, double = _takes(signature, 3), _takes(signature, 1)
    if single and double and inspect.isclass(app):
        return not hasattr(app, "__await__") and bool(asgiref.is_double_callable(app))
    if not single and not double:
        raise _refusal(app)
    return not single or bool(getattr(app, "_asgi_double_callable", False))


def _refusal(app: object) -> TypeError:
    return TypeError(
        "app must be an ASGI application, a callable that takes scope, receive and send,"
        f" not {app!r}"
    )


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True
