"""django-ninja: an async operation, in Django's usual middlewares."""

import asyncio

import django
from django.conf import settings
from django.core.asgi import get_asgi_application

from asgi_disconnect import DisconnectMiddleware

settings.configure(
    DEBUG=False,
    SECRET_KEY="not secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)
django.setup()

from django.urls import path  # noqa: E402
from ninja import NinjaAPI  # noqa: E402

api = NinjaAPI()


@api.get("/work")
async def work(request):
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(0.1)
    return {"done": True}


urlpatterns = [path("api/", api.urls)]
app = DisconnectMiddleware(get_asgi_application())
