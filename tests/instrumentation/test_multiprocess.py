"""The hook for Prometheus in several worker processes: `prometheus_client`'s multiprocess mode."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

HUNG = 30
"""Seconds: long enough that only what hangs reaches it."""
WORKER = """
import anyio
from asgi_disconnect.instrumentation.prometheus import PrometheusHook
from tests.instrumentation.exchanges import answers, serve, works

hook = PrometheusHook(requests=True, route=lambda scope: "/orders/{order}")


async def main():
    await serve(works, hook)
    await serve(answers, hook, leaves=False)


anyio.run(main)
print("done", flush=True)
input()  # so that both are there at once
"""
PAGE = """
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def start(code: str, folder: Path) -> "subprocess.Popen[str]":
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)


def test_the_metrics_of_two_workers_are_added_up(tmp_path: Path) -> None:
    workers = [start(WORKER, tmp_path) for _ in range(2)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "done\n"
    for worker in workers:
        worker.communicate("\n", timeout=HUNG)
        assert worker.returncode == 0
    page, _ = start(PAGE, tmp_path).communicate(timeout=HUNG)
    route = "/orders/{order}"
    samples = {
        (sample.name, sample.labels["route"]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if "le" not in sample.labels
    }
    assert samples["asgi_disconnect_guarded_requests_total", route] == 4
    assert samples["asgi_disconnect_complete_seconds_count", route] == 2
    assert samples["asgi_disconnect_abandoned_requests_total", route] == 2
    for name in ("worked", "time_to_end"):
        assert samples[f"asgi_disconnect_{name}_seconds_count", route] == 2
        assert samples[f"asgi_disconnect_{name}_seconds_sum", route] > 0
