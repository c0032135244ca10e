"""Single examples with the whole operator, on the hardware that decides what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes
from tests.installation.hardware import POOLS, Pool, nodes
from tests.installation.kuberay import KubeRay
from tests.integration.operator import (
    apply_model,
    condition,
    example,
    start_operator,
    wait_for_condition,
)
from tests.unit.render.rendered import DEMO_MODEL

BIG, SMALL = "llama-3-1-405b", "gemma-3-270m"
BY_NAME = {pool.name: pool for pool in POOLS}
CORES = BY_NAME["cores"]
TWO_OF_H100 = Pool(**{**vars(BY_NAME["h100"]), "nodes": 2})
RAYLET_PROBE = "http://localhost:52365/api/local_raylet_healthz"


@dataclass(frozen=True)
class Lies:
    """What becomes of Llama 3.1 405B on nodes of one kind."""

    pool: Pool
    accelerator: str
    pipeline: int


@contextmanager
def standing(cluster: Cluster, *pools: Pool) -> Iterator[set[str]]:
    """Have nodes of these pools and no others; gives the names of the first one's."""
    cluster.add_nodes(nodes(pools))
    try:
        yield {node.name for node in pools[0].simulated()}
    finally:
        cluster.remove_nodes(node.name for node in nodes(pools))


def operate(cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str) -> None:
    """Run an operator for the test's namespace alone."""
    arguments = (f"--namespace={namespace}", "--no-leader-election")
    start_operator(processes, cluster.kubeconfig, kuberay.environment, *arguments)


@pytest.mark.parametrize(
    "lies",
    [Lies(TWO_OF_H100, "h100-80gb", 2), Lies(BY_NAME["h200"], "h200-141gb", 1)],
    ids=["two nodes of 8 x H100", "one node of 8 x H200"],
)
def test_llama_405b_takes_the_nodes_that_there_are(
    lies: Lies, cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str
) -> None:
    with standing(cluster, lies.pool, CORES) as wanted:
        operate(cluster, kuberay, processes, namespace)
        apply_model(cluster, namespace, example("llama-3.1-405b"))
        model = wait_for_condition(cluster, namespace, BIG, "Ready", "True", "Answers")
        plan = model["status"]["plan"]
        found = (plan["accelerator"], plan["tensor"], plan["pipeline"], plan["nodes"])
        assert found == (lies.accelerator, 8, lies.pipeline, lies.pipeline)
        service = cluster.get("rayservice", BIG, namespace)
        assert service is not None
        (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        assert group["numOfHosts"] == lies.pipeline
        (container,) = group["template"]["spec"]["containers"]
        # KubeRay's own asks Serve's proxy, which runs on the first node of a replica alone
        own = str(container.get("readinessProbe", ""))
        assert (RAYLET_PROBE in own) == (lies.pipeline > 1)
        pods = cluster.list("pods", namespace)
        workers = [it for it in pods if it["metadata"]["labels"]["ray.io/node-type"] == "worker"]
        assert {it["spec"]["nodeName"] for it in workers} == wanted
        assert len(workers) == lies.pipeline
        heads = {it["spec"]["nodeName"] for it in pods if it not in workers}
        assert heads <= {node.name for node in CORES.simulated()}


def test_without_an_image_for_its_class_a_model_says_so_and_makes_nothing(
    cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str
) -> None:
    with standing(cluster, CORES):
        operate(cluster, kuberay, processes, namespace)
        # nothing runs in pods here that could read the folder
        shape = {"architecture": DEMO_MODEL.to_dict(), "contextLength": 2048}
        source = {"source": "file:///var/tmp/freehold/gemma-3-270m", **shape}
        apply_model(cluster, namespace, example(SMALL, model=source))
        model = wait_for_condition(cluster, namespace, SMALL, "Ready", "False", "NoEngineImage")
        assert "no image for the accelerator cpu" in condition(model, "Ready")["message"]
        assert condition(model, "Stalled")["status"] == "True"
        assert (
            cluster.list(
                "rayservice,service,configmap,controllerrevision", namespace, "freehold.dev/model"
            )
            == []
        )
