"""An installation gets a Redis, and loses it again: what runs stays, what is rolled out follows.

On a real node a head is deleted under such a model (``tests/faults/test_where_state_is_kept.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import devices
from tests.integration.one_model import Model
from tests.integration.operator import example, start_operator, until
from tests.network import matrix

NAME = "llama-guard-3-8b"
L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
NODES = [
    *devices("outliving-l4", L4, 4),
    SimulatedNode("outliving-heads", allocatable={"cpu": "64", "memory": "256Gi"}),
]
REDIS = ("--gcs-redis-address=redis.other:6379", "--gcs-redis-password-secret=redis/password")
OPTIONS = {
    "redisAddress": "redis.other:6379",
    "redisPassword": {"valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}}},
}


@pytest.fixture(scope="module", autouse=True)
def nodes(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(NODES):
        yield


def options(model: Model) -> object:
    return model.service["spec"]["rayClusterConfig"].get("gcsFaultToleranceOptions")


def leads_to_workers(model: Model) -> bool:
    selector = model.endpoint["spec"]["selector"]
    assert selector["ray.io/cluster"] == model.active
    return "ray.io/node-type" not in selector


def lets_clients_to_workers(model: Model) -> bool:
    (policy,) = (
        it for it in model.all("networkpolicies") if it["metadata"]["name"] == f"{NAME}-pods"
    )
    ports = [port["port"] for rule in policy["spec"]["ingress"] for port in rule.get("ports", ())]
    return matrix.PORTS["worker"]["Serve's proxy"] in ports


@pytest.mark.thorough
def test_a_change_of_the_installation_waits_for_the_next_rollout(
    cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str
) -> None:
    model = Model(cluster, namespace, NAME, kuberay)

    def operator(name: str, *settings: str) -> None:
        own = (f"--namespace={namespace}", "--no-leader-election", *settings)
        start_operator(processes, cluster.kubeconfig, kuberay.environment, *own, name=name)

    operator("before")
    model.apply(example(NAME))
    plain = model.until_settled()
    first, generation = model.active, model.service["metadata"]["generation"]
    processes.servers["before"].stop()

    operator("with", *REDIS)
    model.edit(replicas=2)
    until("it is looked at", lambda: model.service["metadata"]["generation"] > generation)
    assert model.until_settled() == plain
    assert (model.active, options(model), leads_to_workers(model)) == (first, None, False)
    assert not lets_clients_to_workers(model)

    model.edit(serviceAccountName="default")
    kept = model.until_settled(plain)
    assert model.active != first
    assert options(model) == OPTIONS
    until("clients are led to the workers, too", lambda: leads_to_workers(model))
    assert lets_clients_to_workers(model)
    second = model.active
    processes.servers["with"].stop()

    operator("without")
    model.edit(replicas=1)
    assert model.until_settled() == kept
    assert (model.active, options(model)) == (second, OPTIONS)
    assert leads_to_workers(model)

    model.edit(serviceAccountName=None)
    assert model.until_settled(kept) == plain
    until("clients are led to the head alone", lambda: not leads_to_workers(model))
    until("and let in there alone", lambda: not lets_clients_to_workers(model))
    assert options(model) is None
