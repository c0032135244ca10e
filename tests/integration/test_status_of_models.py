"""A status as the API server takes it, and what kubectl shows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.gitops.health_tool import judge
from tests.unit.status.situations import (
    FRESH,
    PLAN,
    SERVED,
    SITUATIONS,
    WAITED,
    status_of,
)

from freehold.api.conditions import REASONS

NAME = "llama-3-1-405b"
MODEL = {
    "apiVersion": "freehold.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": NAME},
    "spec": {"model": {"source": "hf://meta-llama/Llama-3.1-405B-Instruct"}, "replicas": 1},
}
CLASSES = ("h100-80gb", "h200-141gb", "mi300x-192gb", "tpu-v6e-32gb")


def write(cluster: Cluster, namespace: str, status: object) -> dict[str, Any]:
    """Replace the status as a controller does, and return what the API server made of it."""
    patch = json.dumps([{"op": "add", "path": "/status", "value": status}])
    what = ("fmd", NAME, "-n", namespace, "--subresource=status", "--type=json", "-p", patch)
    found = json.loads(cluster.kubectl("patch", *what, "-o", "json"))
    written: dict[str, Any] = found["status"]
    return written


@pytest.fixture
def model(cluster: Cluster, namespace: str) -> str:
    cluster.apply(MODEL, namespace=namespace)
    return namespace


def test_what_is_applied_is_in_progress_before_any_operator_saw_it(
    cluster: Cluster, model: str
) -> None:
    found = cluster.get("fmd", NAME, model)
    assert found is not None
    assert found["status"] == {"observedGeneration": -1}
    (verdict,) = judge([found])
    assert (verdict.kstatus, verdict.argo) == ("InProgress", "Progressing")


def test_every_status_is_taken_whole(cluster: Cluster, model: str) -> None:
    for situation in SITUATIONS:
        status = situation.status()
        assert write(cluster, model, status) == status, situation.sentence


@pytest.mark.parametrize("accelerator", CLASSES)
def test_a_hundred_columns_show_what_one_wants_to_know(
    cluster: Cluster, model: str, accelerator: str
) -> None:
    reason = max(REASONS, key=len)
    status = json.loads(json.dumps({**SERVED, "plan": {**PLAN, "accelerator": accelerator}}))
    status["conditions"][0] |= {"status": "False", "reason": reason}
    write(cluster, model, status)
    head, row = cluster.kubectl("get", "fmd", "-n", model).splitlines()
    titles = ["NAME", "READY", "REASON", "DESIRED", "READYREPLICAS", "ACCELERATOR", "AGE"]
    assert head.split() == titles
    assert row.split()[:-1] == [NAME, "False", reason, "1", "1", accelerator]
    assert max(len(head.rstrip()), len(row.rstrip())) <= 100


def test_wide_shows_cost_and_address(cluster: Cluster, model: str) -> None:
    cost = {"amount": "110.08", "currency": "USD"}
    write(cluster, model, {**SERVED, "plan": {**PLAN, "hourlyCost": cost}})
    head, row = cluster.kubectl("get", "fmd", "-n", model, "-o", "wide").splitlines()
    assert head.split()[-3:] == ["COST", "ADDRESS", "AGE"]
    assert row.split()[-3:-1] == ["110.08", "http://chat.models.svc:8000/v1"]


def test_kubectl_waits_for_ready_and_for_what_kstatus_calls_stalled(
    cluster: Cluster, model: str
) -> None:
    write(cluster, model, SERVED)
    cluster.kubectl("wait", "--for=condition=Ready", f"fmd/{NAME}", "-n", model, "--timeout=5s")
    write(cluster, model, WAITED)
    cluster.kubectl(
        "wait", "--for=condition=Ready=false", f"fmd/{NAME}", "-n", model, "--timeout=5s"
    )


def test_kubectl_scales_the_spec_and_reads_replicas_of_the_status(
    cluster: Cluster, model: str
) -> None:
    write(cluster, model, SERVED)
    cluster.kubectl("scale", "fmd", NAME, "-n", model, "--replicas=3")
    found = cluster.get("fmd", NAME, model)
    assert found is not None
    assert found["spec"]["replicas"] == 3 and found["metadata"]["generation"] == 2
    raw = f"/apis/freehold.dev/v1alpha1/namespaces/{model}/modeldeployments/{NAME}/scale"
    scale = json.loads(cluster.kubectl("get", "--raw", raw))
    assert scale["status"] == {"replicas": 1, "selector": "freehold.dev/model=chat"}


def test_both_kinds_are_listed_by_their_category(cluster: Cluster, model: str) -> None:
    assert NAME in cluster.kubectl("get", "freehold", "-n", model)


@pytest.mark.parametrize("kind", ["ModelDeployment", "AcceleratorClass"])
def test_explain_shows_every_field_with_what_it_means(cluster: Cluster, kind: str) -> None:
    served = json.loads(cluster.kubectl("get", "--raw", "/openapi/v3/apis/freehold.dev/v1alpha1"))
    schema = served["components"]["schemas"][f"dev.freehold.v1alpha1.{kind}"]
    fields = dict(_fields(schema["properties"]["spec"], "spec"))
    text = cluster.kubectl("explain", f"{kind.lower()}.spec", "--recursive")
    assert fields.keys() and {path.rpartition(".")[2] for path in fields} <= {*text.split()}
    assert [path for path, means in fields.items() if not means] == []


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield each field below a schema with its description, as kubectl reads them."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field.get("description", "")
        yield from _fields(field.get("items", field), f"{path}.{name}")


def test_a_description_reads_well(cluster: Cluster, model: str) -> None:
    write(cluster, model, status_of(FRESH))
    text = cluster.kubectl("describe", "fmd", NAME, "-n", model)
    assert "RayService chat does not exist yet." in text
