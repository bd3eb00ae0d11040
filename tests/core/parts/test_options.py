"""Bad options are refused at construction, by an error that names them."""

import inspect
from fractions import Fraction
from typing import Any

import pytest

from asgi_disconnect import DisconnectMiddleware

NUMBERS = [
    "grace",
    "watch_after",
    "cleanup_timeout",
    "max_memory",
    "max_disk",
    "max_body_size",
    "body_timeout",
    "deadline",
]


async def app(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (-0.001, ValueError),
        (float("nan"), ValueError),
        (float("-inf"), ValueError),
        ("5", TypeError),
        (True, TypeError),
        (1j, TypeError),
    ],
)
def test_seconds_are_numbers_that_are_not_negative(
    name: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=rf"^{name} must be a number of (seconds|bytes), 0 or more"):
        DisconnectMiddleware(app, **{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, 3, 0.5, float("inf"), Fraction(1, 2)])
def test_any_real_number_from_0_to_infinity_is_seconds(name: str, value: Any) -> None:
    DisconnectMiddleware(app, **{name: value})


@pytest.mark.parametrize("value", [0, 1, None, "no"])
def test_cancel_is_a_bool(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^cancel must be True or False"):
        DisconnectMiddleware(app, cancel=value)


@pytest.mark.parametrize(("value", "error"), [("all", ValueError), (None, TypeError)])
def test_buffer_is_one_of_two(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^buffer must be 'ahead' or 'whole'"):
        DisconnectMiddleware(app, buffer=value)


@pytest.mark.parametrize("value", ["/path", 5, [app]])
def test_only_is_callable(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^only must be a callable"):
        DisconnectMiddleware(app, only=value)


@pytest.mark.parametrize("value", [None, "module:app", 5])
def test_app_is_callable(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^app must be an ASGI application"):
        DisconnectMiddleware(value)


@pytest.mark.parametrize("value", [5, [print, 5], "hook"])
def test_on_disconnect_takes_callables(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^on_disconnect must be a callable"):
        DisconnectMiddleware(app, on_disconnect=value)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("cancel", True),
        ("grace", 10),
        ("only", None),
        ("watch_after", 0.005),
        ("cleanup_timeout", 10),
        ("max_memory", 2**20),
        ("max_body_size", None),
        ("body_timeout", None),
        ("buffer", "ahead"),
        ("deadline", None),
        ("on_disconnect", None),
    ],
)
def test_the_defaults_are_those_that_are_documented(name: str, default: object) -> None:
    parameter = inspect.signature(DisconnectMiddleware).parameters[name]
    assert parameter.default == default


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        DisconnectMiddleware(app, False)  # type: ignore[misc]


def test_an_app_that_takes_neither_three_arguments_nor_one_is_refused() -> None:
    def view(request: Any, name: Any) -> None: ...

    with pytest.raises(TypeError, match=r"^app must be an ASGI application"):
        DisconnectMiddleware(view)
