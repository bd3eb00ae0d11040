"""`examples/grafana-dashboard.json`: its queries, on a Prometheus that scrapes a real app."""

import itertools
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")

import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from asgi_disconnect.instrumentation.prometheus import PrometheusHook

from ..examples.serving import EXAMPLES, abandoned, served, until

DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana-dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
ALL_OF_IT = "10m"
"""In place of Grafana's variables: longer than Prometheus runs."""
REPORT, STUBBORN, FAULTY = ("GET /reports/{year}", "GET /stubborn", "GET /faulty")

Values = dict[str, float]
"""Of a query's series, by their labels' values."""


@pytest.fixture(scope="module")
def answers(shown: tuple[dict[str, Values], float]) -> dict[str, Values]:
    """What each panel shows, by its title, after some requests of each kind."""
    return shown[0]


@pytest.fixture(scope="module")
def saved(shown: tuple[dict[str, Values], float]) -> float:
    """The seconds of work that were saved on `REPORT`, by the app's own metrics."""
    return shown[1]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Values], float]]:
    if shutil.which("prometheus") is None:
        pytest.skip("not installed: prometheus (Debian: apt-get install prometheus)")
    with served("metered", Path(__file__).parent) as client:
        # Prometheus sees an increase only of what it has seen before.
        make_traffic(client, complete=1, left=1, stubborn=1, faulty=1)
        with scraped(client, tmp_path_factory.mktemp("prometheus")) as prometheus:
            until(lambda: total(prometheus, "guarded_requests_total") == 5)
            before = seconds_of_reports(client)
            make_traffic(client, complete=6, left=3, stubborn=2, faulty=1)
            until(lambda: total(prometheus, "guarded_requests_total") == 18)
            after = seconds_of_reports(client)
            usual = (after["complete"] - before["complete"]) / 6
            worked = after["worked"] - before["worked"]
            panels = {
                panel["title"]: ask(prometheus, filled_in(panel["targets"][0]["expr"]))
                for panel in PANELS
            }
            yield panels, 3 * usual - worked


def seconds_of_reports(client: httpx.Client) -> Values:
    """What all reports took so far: the complete ones, and those whose clients left."""
    seconds = {"complete": 0.0, "worked": 0.0}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            name = sample.name.removeprefix("asgi_disconnect_").removesuffix("_seconds_sum")
            if name in seconds and sample.labels["route"] == REPORT.removeprefix("GET "):
                seconds[name] += sample.value
    return seconds


def make_traffic(
    client: httpx.Client, *, complete: int, left: int, stubborn: int, faulty: int
) -> None:
    def answer(_: int) -> None:
        assert client.get("/reports/2026").json() == 2026

    with ThreadPoolExecutor(complete) as threads:
        list(threads.map(answer, range(complete)))
    assert client.get("/stubborn?gently=yes").is_success
    for path, count in (("/reports/2026", left), ("/stubborn", stubborn), ("/faulty", faulty)):
        for _ in range(count):
            with abandoned(client, path):
                until(lambda: client.get("/running").json() == 1)
            until(lambda: client.get("/running").json() == 0)


@contextmanager
def scraped(app: httpx.Client, folder: Path) -> Iterator[httpx.Client]:
    """A client of a Prometheus that scrapes `app`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = {
        "global": {"scrape_interval": "100ms", "scrape_timeout": "100ms"},
        "scrape_configs": [
            {
                "job_name": "app",
                "static_configs": [{"targets": [f"{app.base_url.host}:{app.base_url.port}"]}],
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(configuration))  # which is YAML, too
    with (folder / "log").open("w") as log:
        prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
        )
    base_url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base_url, timeout=10, trust_env=False) as client:

            def is_ready() -> bool:
                assert prometheus.poll() is None, (folder / "log").read_text()
                try:
                    return bool(client.get("/-/ready").is_success)
                except httpx.TransportError:
                    return False

            until(is_ready)
            yield client
    finally:
        prometheus.terminate()
        prometheus.wait()


def ask(prometheus: httpx.Client, query: str) -> Values:
    answer = prometheus.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", answer
    assert answer["data"]["resultType"] == "vector"
    values = {}
    for series in answer["data"]["result"]:
        labels = [value for _, value in sorted(series["metric"].items())]
        values[" ".join(labels)] = float(series["value"][1])
    return values


def total(prometheus: httpx.Client, metric: str) -> float | None:
    return ask(prometheus, f"sum(asgi_disconnect_{metric})").get("")


def filled_in(query: str) -> str:
    return re.sub(r"\$__(range|rate_interval)\b", ALL_OF_IT, query)


def about(value: float) -> Any:
    """Prometheus extrapolates an increase to the time between two scrapes."""
    return pytest.approx(value, rel=0.25)


def test_the_share_of_abandoned_requests(answers: dict[str, Values]) -> None:
    assert answers["What share of requests is abandoned?"] == {"": about(6 / 13)}


def test_the_share_of_each_route(answers: dict[str, Values]) -> None:
    assert answers["What share of each route's requests is abandoned?"] == {
        REPORT: about(3 / 9),
        STUBBORN: about(2 / 3),
        FAULTY: about(1),
    }


def test_the_routes_that_are_abandoned(answers: dict[str, Values]) -> None:
    assert answers["Which routes are abandoned?"] == {
        REPORT: about(3),
        STUBBORN: about(2),
        FAULTY: about(1),
    }


def test_the_work_that_was_saved(answers: dict[str, Values], saved: float) -> None:
    """What was not worked of three reports, each as long as the complete ones.

    Those that do not stop worked longer than is usual, which takes nothing from it; and nobody
    knows what is usual where no request was ever complete.
    """
    routes = answers["On which routes was it saved?"]
    assert routes == {REPORT: about(saved), STUBBORN: 0}
    assert answers["How much work was saved?"] == {"": about(routes[REPORT])}


def test_the_work_that_was_wasted(answers: dict[str, Values]) -> None:
    wasted = answers["How much work was wasted?"]
    assert set(wasted) == {REPORT, STUBBORN, FAULTY}
    assert max(wasted, key=wasted.__getitem__) == STUBBORN


def test_what_became_of_them(answers: dict[str, Values]) -> None:
    outcomes = answers["What became of the abandoned requests?"]
    assert outcomes == {"cancelled": about(4), "overran": about(2)}


def test_what_does_not_stop(answers: dict[str, Values]) -> None:
    assert answers["Is anything not stopping?"] == {STUBBORN: about(2)}
    seconds = answers["How long does stopping take?"]
    assert seconds[STUBBORN] > 0.1  # its bucket's lower bound; it has 0.2 s
    assert seconds[STUBBORN] > seconds[REPORT]


def test_what_runs_on_without_its_client(answers: dict[str, Values]) -> None:
    """A series is there from the first departure on; a scrape comes between two, or does not."""
    running = answers["What runs on without its client?"]
    assert set(running) == {REPORT, STUBBORN, FAULTY}
    assert running[STUBBORN] == 1


def test_cleanup_that_fails(answers: dict[str, Values]) -> None:
    assert answers["Does cleanup fail?"] == {f"ValueError {FAULTY}": about(1)}


def test_no_panel_is_without_a_test() -> None:
    tests = Path(__file__).read_text("utf-8")
    for panel in PANELS:
        assert f'answers["{panel["title"]}"]' in tests


def test_the_queries_of_the_guide_are_those_of_the_dashboard() -> None:
    """But for the sum of a panel's lines, and for what is running now."""
    guide = (EXAMPLES.parent / "docs" / "guides" / "monitoring.md").read_text("utf-8")
    queries = re.findall(r"^```promql\n(.*?)\n```$", guide, re.MULTILINE | re.DOTALL)
    known = {panel["targets"][0]["expr"].replace("$__range", "7d") for panel in PANELS}
    assert len(queries) == 7
    assert set(queries) - known == {
        "sum(increase(asgi_disconnect_time_to_end_seconds_sum[7d]))",
        "sum by (method, route) (asgi_disconnect_still_running) > 0",
    }


def test_the_queries_name_metrics_and_labels_that_there_are() -> None:
    registry = CollectorRegistry()
    PrometheusHook(registry, requests=True)
    known = set(registry._names_to_collectors)
    for panel in PANELS:
        for target in panel["targets"]:
            names = set(re.findall(r"asgi_disconnect_\w+", target["expr"]))
            assert names, panel["title"]
            assert names <= known


def test_it_is_a_dashboard_that_grafana_can_import() -> None:
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
    assert "id" not in DASHBOARD  # it is the importing Grafana's to give
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["type"] in {"bargauge", "stat", "table", "timeseries"}
        assert panel["title"].endswith("?")
        assert panel["description"].endswith(".")
        assert panel["datasource"] == source
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) == 1
        for target in panel["targets"]:
            assert target["datasource"] == source
            # One value of the whole time, or a line.
            over_time = panel["type"] == "timeseries"
            assert target["range"] is over_time
            assert ("$__rate_interval" in target["expr"]) is over_time
            assert ("$__range]" in target["expr"]) is not over_time
    identifiers = [panel["id"] for panel in PANELS]
    assert len(set(identifiers)) == len(identifiers)


def test_grafanas_own_types_know_all_that_it_says() -> None:
    """They are generated from the schema of dashboards, and drop what they do not know."""
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()

    def unknown(dashboard: dict[str, Any]) -> list[str]:
        encoded = JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard))
        return missing_from(json.loads(encoded), dashboard, "")

    assert unknown(DASHBOARD) == []
    assert unknown({**DASHBOARD, "refreshes": "1m"}) == [".refreshes"]


def missing_from(found: Any, expected: Any, path: str) -> list[str]:
    """What `expected` says and `found` does not, as paths."""
    if isinstance(expected, dict) and isinstance(found, dict):
        paths = []
        for key, value in expected.items():
            below = f"{path}.{key}"
            paths += missing_from(found[key], value, below) if key in found else [below]
        return paths
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(found, expected, strict=True))
        return [
            line
            for index, (one, other) in pairs
            for line in missing_from(one, other, f"{path}[{index}]")
        ]
    return [] if found == expected else [path]


def test_no_panel_covers_another() -> None:
    for one, other in itertools.combinations([panel["gridPos"] for panel in PANELS], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
