"""Prometheus metrics of abandoned requests: how many, where, and for how long they ran.

    python -m pip install "asgi-disconnect[prometheus]" fastapi uvicorn
    uvicorn --app-dir examples metrics:app
    curl --max-time 1 http://127.0.0.1:8000/reports/2026        # leaves after a second
    curl http://127.0.0.1:8000/metrics/ | grep abandoned

The label `route` is the template, ``/reports/{year}``, so that clients cannot create series.
"""

import asyncio

from fastapi import FastAPI
from prometheus_client import make_asgi_app

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.instrumentation.prometheus import PrometheusHook

app = FastAPI()
app.add_middleware(DisconnectMiddleware, on_disconnect=PrometheusHook())
app.mount("/metrics", make_asgi_app())


@app.get("/reports/{year}")
async def report(year: int) -> dict[str, int]:
    await asyncio.sleep(30)  # a long query
    return {"year": year, "sold": 4711}
