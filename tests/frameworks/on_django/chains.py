"""What stands before a view: a new project's middlewares, and others between them.

A middleware that knows only sync requests has Django run all that is inside it from a thread, and
an async view inside that in the loop again.
"""

from collections.abc import Callable
from typing import Any

from django.utils.decorators import async_only_middleware, sync_only_middleware

Respond = Callable[[Any], Any]


@sync_only_middleware
def in_a_thread(get_response: Respond) -> Respond:
    def middleware(request: Any) -> Any:
        response = get_response(request)
        response["passed"] = f"{response.get('passed', '')} sync".strip()
        return response

    return middleware


@async_only_middleware
def in_the_loop(get_response: Respond) -> Respond:
    async def middleware(request: Any) -> Any:
        response = await get_response(request)
        response["passed"] = f"{response.get('passed', '')} async".strip()
        return response

    return middleware


SYNC, ASYNC = f"{__name__}.in_a_thread", f"{__name__}.in_the_loop"

STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

CHAINS = {
    "startproject": STARTPROJECT,
    "sync on top": [SYNC, *STARTPROJECT],
    "sync inside": [*STARTPROJECT, SYNC],
    "mixed": [SYNC, *STARTPROJECT[:3], ASYNC, *STARTPROJECT[3:], SYNC, ASYNC],
}
