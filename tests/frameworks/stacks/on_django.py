"""Django, whose settings are those of the process: for the tests on real servers."""

from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from .work import note_of_request, pieces, work


async def handler(request: HttpRequest) -> HttpResponse:
    await work()
    return HttpResponse()


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(pieces())


def answer_500(request: HttpRequest) -> HttpResponse:
    note_of_request.get()("error: a 500")
    return HttpResponse(status=500)


urlpatterns = [path("django", handler), path("django-stream", stream)]
handler500 = answer_500


def build() -> Any:
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test")
        django.setup()
    return ASGIHandler()


STACKS = {"django": build, "django-stream": build}
