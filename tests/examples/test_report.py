"""`examples/report.py`: a report is not written for nobody, and never half stored."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from .serving import abandoned, served, until


def test_a_report_is_stored_completely_or_not_written() -> None:
    with served("report") as client:

        def is_in(state: str) -> bool:
            return bool(client.get("/reports").json()["state"] == state)

        with abandoned(client, "/reports", method="POST"):
            until(lambda: is_in("writing"))
        until(lambda: is_in("idle"))
        assert client.get("/reports").json()["archive"] == []
        with abandoned(client, "/reports", method="POST"):
            until(lambda: client.get("/reports").json()["archive"])  # not the invoice yet
        until(lambda: is_in("idle"))
        stored = client.get("/reports").json()
        assert stored["archive"] == ["20 pages"]
        assert stored["invoices"] == ["one report"]
