"""Recreate frees the hardware first: the old cluster goes before there is a new one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.operator import (
    RACK,
    Operator,
    apply_model,
    example,
    start_operator,
    until,
    wait_for_condition,
)

NAME = "llama-guard-3-8b"
OF_RAY_SERVICE = f"ray.io/originated-from-cr-name={NAME}"


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(RACK):
        yield


@pytest.fixture
def operator(cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str) -> Operator:
    """An operator for the test's namespace alone."""
    arguments = (f"--namespace={namespace}", "--no-leader-election")
    return start_operator(processes, cluster.kubeconfig, kuberay.environment, *arguments)


def clusters(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    found = cluster.kubectl("get", "rayclusters", "-n", namespace, "-l", OF_RAY_SERVICE, "-ojson")
    return list(json.loads(found)["items"])


def account_of(ray_cluster: dict[str, Any]) -> Any:
    (group,) = ray_cluster["spec"]["workerGroupSpecs"]
    return group["template"]["spec"].get("serviceAccountName")


def test_a_field_that_is_taken_away_makes_another_cluster(
    cluster: Cluster, operator: Operator, namespace: str
) -> None:
    """On the old cluster nothing tells our field from one that somebody else added."""
    cluster.kubectl("create", "serviceaccount", "models", "-n", namespace)
    recreate = {"rollout": {"type": "Recreate"}}
    apply_model(cluster, namespace, example(NAME, serviceAccountName="models", **recreate))
    wait_for_condition(cluster, namespace, NAME, "Ready", "True")
    (old,) = clusters(cluster, namespace)
    assert account_of(old) == "models"
    apply_model(cluster, namespace, example(NAME, **recreate))

    def another() -> dict[str, Any] | None:
        found = [it for it in clusters(cluster, namespace) if account_of(it) is None]
        return found[0] if found else None

    new = until("a cluster without the account", another)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    wait_for_condition(cluster, namespace, NAME, "Ready", "True")
    assert [it["metadata"]["uid"] for it in clusters(cluster, namespace)] == [
        new["metadata"]["uid"]
    ]
