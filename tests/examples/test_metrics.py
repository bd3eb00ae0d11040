"""`examples/metrics.py`: an abandoned request is counted under its route."""

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")

from .serving import abandoned, served, until

COUNTED = (
    'asgi_disconnect_abandoned_requests_total{cause="disconnect",method="GET",'
    'outcome="cancelled",route="/reports/{year}"} 1.0'
)


def test_an_abandoned_report_is_counted() -> None:
    with served("metrics") as client:
        with abandoned(client, "/reports/2026"):
            until(lambda: client.get("/metrics/").status_code == 200)
        until(lambda: COUNTED in client.get("/metrics/").text.splitlines())
