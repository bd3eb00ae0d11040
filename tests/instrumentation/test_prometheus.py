"""The hook for Prometheus, read in the format that Prometheus reads."""

from typing import Any

import pytest

from .exchanges import answers, fails, pushes, serve, serve_websocket, streams, works

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from asgi_disconnect.instrumentation.prometheus import PrometheusHook

pytestmark = pytest.mark.anyio

Labels = dict[str, str]


def exposed(registry: CollectorRegistry) -> dict[str, list[tuple[Labels, float]]]:
    """The samples by name, as Prometheus would read them."""
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


async def test_disconnects_are_counted_by_outcome_and_cause() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    await serve(works, hook)
    await serve(streams, hook)
    await serve(works, hook, method="POST")
    counted = exposed(registry)["asgi_disconnect_abandoned_requests_total"]
    labels = {"outcome": "cancelled", "cause": "disconnect", "route": ""}
    assert ({**labels, "method": "GET"}, 2.0) in counted
    assert ({**labels, "method": "POST"}, 1.0) in counted
    assert len(counted) == 2
    await serve(works, hook, leaves=False, deadline=0.01)
    counted = exposed(registry)["asgi_disconnect_abandoned_requests_total"]
    assert ({**labels, "cause": "deadline", "method": "GET"}, 1.0) in counted


async def test_errors_are_counted_by_their_class() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    await serve(fails(ValueError("one")), hook)
    await serve(fails(ValueError("two")), hook)
    await serve(fails(ConnectionResetError()), hook)  # no error, but the end of a connection
    await serve(works, hook)
    ((labels, count),) = exposed(registry)["asgi_disconnect_errors_total"]
    assert count == 2
    assert labels == {
        "exception": "ValueError",
        "outcome": "cancelled",
        "method": "GET",
        "route": "",
    }


async def test_times_are_observed_in_seconds() -> None:
    registry = CollectorRegistry()
    await serve(works, PrometheusHook(registry, route=lambda scope: "/orders/{order}"))
    text = generate_latest(registry).decode()
    labels = 'method="GET",outcome="cancelled",route="/orders/{order}"'
    for name in ("worked", "time_to_end"):
        assert f"# TYPE asgi_disconnect_{name}_seconds histogram" in text
        assert f"asgi_disconnect_{name}_seconds_count{{{labels}}} 1.0" in text
        assert f'asgi_disconnect_{name}_seconds_bucket{{le="10.0",{labels}}} 1.0' in text
        ((_, seconds),) = exposed(registry)[f"asgi_disconnect_{name}_seconds_sum"]
        assert 0 < seconds < 5


async def test_a_completed_exchange_is_not_counted() -> None:
    registry = CollectorRegistry()
    await serve(answers, PrometheusHook(registry))
    assert "asgi_disconnect_abandoned_requests_total" not in exposed(registry)


async def test_clients_cannot_make_series_of_their_own() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    for number in range(20):
        await serve(works, hook, path=f"/orders/{number}", method=f"METHOD{number}")
    ((labels, count),) = exposed(registry)["asgi_disconnect_abandoned_requests_total"]
    assert labels["method"] == "_OTHER"
    assert labels["route"] == ""
    assert count == 20


async def test_the_histograms_buckets_are_the_users() -> None:
    registry = CollectorRegistry()
    await serve(works, PrometheusHook(registry, buckets=(0.5, 50)))
    buckets = exposed(registry)["asgi_disconnect_worked_seconds_bucket"]
    assert [labels["le"] for labels, _ in buckets] == ["0.5", "50.0", "+Inf"]


async def test_websockets_have_a_method_of_their_own() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry, route=lambda scope: "/prices/{stock}")
    for stock in ("ACME", "EMCA"):
        await serve_websocket(pushes, hook, path=f"/prices/{stock}")
    ((labels, count),) = exposed(registry)["asgi_disconnect_abandoned_requests_total"]
    assert count == 2
    assert labels == {
        "outcome": "cancelled",
        "cause": "disconnect",
        "method": "WEBSOCKET",
        "route": "/prices/{stock}",
    }
    for name in ("worked", "time_to_end"):
        ((labels, count),) = exposed(registry)[f"asgi_disconnect_{name}_seconds_count"]
        assert (labels["method"], count) == ("WEBSOCKET", 2)


async def test_a_method_that_a_client_has_made_up_is_no_websocket() -> None:
    registry = CollectorRegistry()
    await serve(works, PrometheusHook(registry), method="WEBSOCKET")
    ((labels, _),) = exposed(registry)["asgi_disconnect_abandoned_requests_total"]
    assert labels["method"] == "_OTHER"


async def test_those_that_run_on_without_their_client_are_gauged() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry, route=lambda scope: scope.get("template"))
    running: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["template"] = "/orders/{order}"
        try:
            await works(scope, receive, send)
        finally:
            scope["template"] = "of another"
            ((labels, value),) = exposed(registry)["asgi_disconnect_still_running"]
            assert labels == {"method": "GET", "route": "/orders/{order}"}
            running.append(value)

    await serve(app, hook)
    await serve(app, hook)
    assert running == [1, 1]
    ((_, value),) = exposed(registry)["asgi_disconnect_still_running"]
    assert value == 0


async def test_all_requests_are_counted_only_if_asked_for() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    await serve(answers, hook, leaves=False)
    await serve(works, hook)
    assert hook.on_end is None
    assert "guarded" not in generate_latest(registry).decode()


async def test_all_requests_are_counted_and_complete_ones_timed() -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry, requests=True, route=lambda scope: "/orders/{order}")
    for _ in range(3):
        await serve(answers, hook, leaves=False)
    await serve(works, hook)
    await serve(answers, hook, leaves=False, method="MADE UP")
    labels = {"method": "GET", "route": "/orders/{order}"}
    other = {**labels, "method": "_OTHER"}
    found = exposed(registry)
    assert found["asgi_disconnect_guarded_requests_total"] == [(labels, 4), (other, 1)]
    assert found["asgi_disconnect_complete_seconds_count"] == [(labels, 3), (other, 1)]
    assert 0 < found["asgi_disconnect_complete_seconds_sum"][0][1] < 5
