"""A real HorizontalPodAutoscaler on the scale subresource, with the manifest of the documentation.

The metric is a fake; the autoscaler is that of the cluster's own controller manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes, wait_for
from tests.installation.kuberay import KubeRay
from tests.integration.fake_external_metrics import FakeExternalMetrics
from tests.integration.hardware import devices
from tests.integration.harness import ROOT
from tests.integration.one_model import Model, Object
from tests.integration.operator import condition, example, start_operator

NAME, JOBS, KIND = "llama-guard-3-8b", "jobs_waiting", "HorizontalPodAutoscaler"
# Every 30 s the cluster's controllers look which kinds there are, every 15 s they look at metrics.
CONTROLLERS_S = 120.0
L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
NODES = [
    *devices("hpa-l4", L4, 4),
    SimulatedNode("hpa-heads", allocatable={"cpu": "64", "memory": "256Gi"}),
]


@pytest.fixture
def metrics(cluster: Cluster, tmp_path: Path) -> Iterator[FakeExternalMetrics]:
    found = FakeExternalMetrics({JOBS: 0})
    with cluster.standing(NODES), found.registered(cluster, tmp_path):
        yield found


@pytest.fixture
def model(
    cluster: Cluster,
    kuberay: KubeRay,
    metrics: FakeExternalMetrics,
    namespace: str,
    processes: Processes,
) -> Model:
    only = (f"--namespace={namespace}", "--no-leader-election")
    start_operator(processes, cluster.kubeconfig, kuberay.environment, *only)
    model = Model(cluster, namespace, NAME, kuberay)
    model.apply(example(NAME, autoscaling=None, replicas=1))
    model.until_settled()
    return model


def documented(target: str) -> Object:
    """Return the HorizontalPodAutoscaler of the documentation, for another model."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/scaling.md").read_text(), re.DOTALL)
    (found,) = [it for it in map(yaml.safe_load, blocks) if it.get("kind") == KIND]
    found["spec"]["scaleTargetRef"]["name"] = target
    # what would wait five minutes before it takes anything away
    found["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    del found["metadata"]["namespace"]
    return dict(found)


def until_asked_for(model: Model, replicas: int) -> None:
    """Wait until as many are asked for and Serve knows it; pods end when Ray's autoscaler says."""

    def asked() -> bool:
        now = model.now
        return now["spec"]["replicas"] == now["status"]["desiredReplicas"] == replicas

    wait_for(f"{replicas} replicas", asked, CONTROLLERS_S)


@pytest.mark.thorough
def test_an_autoscaler_of_the_cluster_has_as_many_replicas_as_its_metric_asks(
    cluster: Cluster, model: Model, metrics: FakeExternalMetrics
) -> None:
    metrics.values[JOBS] = 500  # 200 for each replica
    cluster.apply(documented(NAME), namespace=model.namespace)
    until_asked_for(model, 3)

    metrics.values[JOBS] = 150
    until_asked_for(model, 1)

    found = cluster.get("hpa", "llama-by-jobs", model.namespace)
    assert condition(found, "ScalingActive")["reason"] == "ValidMetricFound"
