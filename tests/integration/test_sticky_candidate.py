"""The candidate that was chosen stays while it serves, and is chosen again where it cannot run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes
from tests.installation.describe_pods import end_describing
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import accelerator_class, of_class
from tests.integration.one_model import Model
from tests.integration.operator import Operator, example, start_operator, until

from freehold.catalog.builtin import builtin_catalog
from freehold.render.source_pin import SourcePin
from freehold.sources.told import Told, tell

NAME = "llama-guard-3-8b"
FIRST, SECOND = "sticky-first", "sticky-second"
HEADS = SimulatedNode("sticky-heads", allocatable={"cpu": "64", "memory": "256Gi"})
PREFERRED, PRESENT = of_class(FIRST, 1), of_class(SECOND, 2)
CANDIDATES = {
    "candidates": [
        {"name": "first", "accelerator": FIRST},
        {"name": "second", "accelerator": SECOND},
    ]
}


@pytest.fixture(autouse=True)
def hardware(cluster: Cluster) -> Iterator[None]:
    """Two classes; only of the second one there are nodes."""
    cluster.apply(accelerator_class(FIRST, "0.1"), accelerator_class(SECOND, "0.2"))
    cluster.add_nodes([HEADS, *PRESENT])
    yield
    cluster.remove_nodes(node.name for node in (HEADS, *PREFERRED, *PRESENT))
    cluster.kubectl("delete", "facc", FIRST, SECOND)


@pytest.fixture
def operator(cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str) -> Operator:
    """An operator for the test's namespace alone."""
    arguments = (f"--namespace={namespace}", "--no-leader-election")
    return start_operator(processes, cluster.kubeconfig, kuberay.environment, *arguments)


@pytest.fixture
def model(cluster: Cluster, operator: Operator, kuberay: KubeRay, namespace: str) -> Model:
    """A model that serves on its second candidate, since there is no other."""
    found = Model(cluster, namespace, NAME, kuberay)
    found.apply(example(NAME, hardware=CANDIDATES))
    found.until_settled()
    assert candidate(found) == "second"
    return found


def candidate(model: Model) -> str:
    return str(model.status["plan"]["candidate"])


def look(model: Model, operator: Operator) -> None:
    """Have the model looked at, after all that is there now."""
    for _ in range(2):
        passes, mark = operator.passes(), f"freehold.test/look={secrets.token_hex(4)}"
        model.cluster.kubectl("label", "node", HEADS.name, mark, "--overwrite")
        until("another pass", lambda passes=passes: operator.passes() > passes)


def worker(model: Model) -> str:
    (found,) = (
        it["metadata"]["name"]
        for it in model.pods(model.active)
        if it["metadata"]["labels"]["ray.io/node-type"] == "worker"
    )
    return str(found)


def test_what_serves_stays_though_a_preferred_one_can_be_had(
    model: Model, operator: Operator
) -> None:
    children, first = model.children(), model.status["currentRevision"]
    model.cluster.add_nodes(PREFERRED)
    look(model, operator)
    assert model.children() == children
    # nor does a rollout that has nothing to do with hardware move it
    model.edit(engine={"name": "vllm", "args": {"enforce_eager": True}})
    second = model.until_settled(first)
    assert candidate(model) == "second"
    # one that has, does
    model.edit(hardware={"candidates": [CANDIDATES["candidates"][0]]})
    model.until_settled(first, second)
    assert candidate(model) == "first"


def test_what_finds_no_node_moves_when_it_serves_no_longer(
    model: Model, operator: Operator
) -> None:
    first, old = model.status["currentRevision"], model.active
    model.cluster.kubectl("cordon", *(node.name for node in PRESENT))
    model.kubectl("delete", "pod", worker(model), "--wait=false")
    until("a worker without a node", lambda: waits_for_a_node(model))
    model.cluster.add_nodes(PREFERRED)
    look(model, operator)
    # the fake of Ray goes on answering: it serves, and stays
    assert (candidate(model), model.status["updateRevision"]) == ("second", first)

    model.kuberay.ray.steer(model.namespace, NAME, running=0)
    model.until("another revision", lambda it: it["updateRevision"] != first)
    model.kuberay.ray.steer(model.namespace, NAME)
    model.until_settled(first)
    assert candidate(model) == "first" and model.active != old
    (pod,) = (it for it in model.pods(model.active) if it["metadata"]["name"] == worker(model))
    assert pod["spec"]["nodeName"] == PREFERRED[0].name


def test_what_moves_takes_its_files_along_and_nobody_asks_the_source_again(
    cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str
) -> None:
    given = (f"--namespace={namespace}", "--no-leader-election", "--describe-image=freehold:1")
    operator = start_operator(processes, cluster.kubeconfig, kuberay.environment, *given)
    model = Model(cluster, namespace, NAME, kuberay)
    model.apply(example(NAME, hardware=CANDIDATES, model={"source": "s3://models/guard"}))

    def read_by() -> list[dict[str, Any]]:
        pods = cluster.list("pods", namespace, "freehold.dev/task=describe")
        return [it for it in pods if it["status"].get("phase") == "Running"]

    (pod,) = until("a pod reads the source", read_by)
    known = builtin_catalog().model("meta-llama/Llama-3.1-8B-Instruct")
    assert known is not None
    pin = SourcePin(digest=f"sha256:{'a' * 64}", files={"config.json": "01234567"})
    end_describing(cluster, pod, tell(Told(known.description, pin)))
    first = model.until_settled()
    check = model.application["args"]["llm_configs"][0]["callback_config"]

    cluster.kubectl("cordon", *(node.name for node in PRESENT))
    model.kubectl("delete", "pod", worker(model), "--wait=false")
    until("a worker without a node", lambda: waits_for_a_node(model))
    cluster.add_nodes(PREFERRED)
    model.kuberay.ray.steer(namespace, NAME, running=0)
    model.until("another revision", lambda it: it["updateRevision"] != first)
    look(model, operator)
    assert candidate(model) == "first"
    assert model.application["args"]["llm_configs"][0]["callback_config"] == check
    assert check["callback_kwargs"]["digest"] == pin.digest
    assert cluster.list("pods", namespace, "freehold.dev/task=describe") == []


def waits_for_a_node(model: Model) -> bool:
    for pod in model.pods(model.active):
        for it in pod["status"].get("conditions") or []:
            if it["type"] == "PodScheduled" and it.get("reason") == "Unschedulable":
                return True
    return False
