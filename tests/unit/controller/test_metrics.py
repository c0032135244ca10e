"""What Prometheus sees, and that the documentation names all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from freehold.controller.metrics import Metrics
from freehold.controller.queue import Key

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), version="1.2.3")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def conditions(**of: str) -> dict[str, Any]:
    """Return a status with these conditions."""
    them = [{"type": type_, "status": status, "reason": "X"} for type_, status in of.items()]
    return {"conditions": them}


SCALING = {
    "reason": "ScalingUp",
    "message": "2 are needed.",
    "queued": 14,
    "running": 16,
    "desired": 2,
    "ready": 1,
    "starting": 1,
    "learned": {
        "promptTokensPerSecond": 9000,
        "generatedTokensPerSecond": 700,
        "coldStart": "95s",
    },
}


def test_requests_are_counted_by_verb_resource_and_code(metrics: Metrics) -> None:
    metrics.api_call("patch", "rayservices", 200, 0.02)
    metrics.api_call("patch", "rayservices", 200, 0.02)
    metrics.api_call("patch", "rayservices", 0, 30.0)
    called = {"verb": "patch", "resource": "rayservices"}
    assert value(metrics, "freehold_api_requests_total", **called, code="200") == 2
    assert value(metrics, "freehold_api_requests_total", **called, code="0") == 1
    assert value(metrics, "freehold_api_request_duration_seconds_count", **called) == 3


def test_passes_are_timed_by_outcome(metrics: Metrics) -> None:
    metrics.pass_ended("done", 0.003)
    metrics.pass_ended("crashed", 7.0)
    name = "freehold_pass_duration_seconds"
    assert value(metrics, f"{name}_bucket", outcome="done", le="0.005") == 1
    assert value(metrics, f"{name}_sum", outcome="crashed") == 7.0


def test_the_queue_and_the_leader_are_read_at_each_scrape(metrics: Metrics) -> None:
    state = {"depth": 1, "leads": False}
    metrics.read_queue(lambda: state["depth"], lambda: 2.5, lambda: 0.5)
    metrics.read_leader(lambda: state["leads"])
    assert value(metrics, "freehold_leader") == 0
    state.update(depth=7, leads=True)
    assert value(metrics, "freehold_queue_depth") == 7
    assert value(metrics, "freehold_queue_oldest_seconds") == 2.5
    assert value(metrics, "freehold_pass_longest_running_seconds") == 0.5
    assert value(metrics, "freehold_leader") == 1


def test_models_are_counted_by_condition_as_they_change_and_go(metrics: Metrics) -> None:
    name = "freehold_modeldeployment_conditions"
    metrics.model_seen(Key("ns", "a"), conditions(Ready="True", Stalled="False"))
    metrics.model_seen(Key("ns", "b"), conditions(Ready="False", Stalled="True"))
    metrics.model_seen(Key("ns", "b"), conditions(Ready="True", Stalled="False"))
    assert value(metrics, name, type="Ready", status="True") == 2
    assert value(metrics, name, type="Ready", status="False") == 0
    metrics.model_gone(Key("ns", "a"))
    metrics.model_gone(Key("ns", "never seen"))
    assert value(metrics, name, type="Ready", status="True") == 1


def test_each_models_scaling_is_told_as_its_status_has_it(metrics: Metrics) -> None:
    name, model = "freehold_modeldeployment", {"namespace": "ns", "name": "a"}
    metrics.model_seen(Key("ns", "a"), conditions(Ready="True") | {"scaling": SCALING})
    told = {
        "requests": ({"state": "queued"}, 14),
        "replicas": ({"state": "starting"}, 1),
        "tokens_per_second": ({"kind": "generated"}, 700),
        "cold_start_seconds": ({}, 95),
        "scaling": ({"reason": "ScalingUp"}, 1),
    }
    for what, (labels, number) in told.items():
        sample = metrics.registry.get_sample_value(f"{name}_{what}", model | labels)
        assert sample == number
    metrics.model_seen(Key("ns", "a"), conditions(Ready="True"))
    queued = model | {"state": "queued"}
    assert metrics.registry.get_sample_value(f"{name}_requests", queued) is None


def test_build_and_process_are_told(metrics: Metrics) -> None:
    assert value(metrics, "freehold_build_info", version="1.2.3") == 1
    assert value(metrics, "process_resident_memory_bytes")


def test_two_operators_in_one_process_do_not_share_metrics(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry(), version="1.2.3")
    other.api_call("get", "nodes", 200, 0.1)
    labels = {"verb": "get", "resource": "nodes", "code": "200"}
    assert value(metrics, "freehold_api_requests_total", **labels) is None


def rows(metrics: Metrics) -> list[str]:
    """Return the rows of the documentation's table, from metrics with every label in use."""
    metrics.api_call("get", "nodes", 200, 0.1)
    metrics.pass_ended("done", 0.1)
    metrics.model_seen(Key("ns", "a"), conditions(Ready="True") | {"scaling": SCALING})
    found = []
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        if not family.name.startswith("freehold_") or family.name.endswith("_created"):
            continue
        labels = sorted({f"`{name}`" for each in family.samples for name in each.labels} - {"`le`"})
        kind = "info" if family.name.endswith("_info") else family.type
        name = family.name + ("_total" if kind == "counter" else "")
        found.append(f"| `{name}` | {kind} | {', '.join(labels)} | {family.documentation} |")
    return sorted(found)


def test_the_documentation_lists_every_metric_with_its_type_and_labels(metrics: Metrics) -> None:
    documented = re.findall(r"^\| `freehold_\w+` \|.*$", DOCUMENT.read_text(), re.MULTILINE)
    assert documented == rows(metrics)
