"""Which candidate a cluster has: on every environment, and what is said where it has none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from tests.environments import Environment, EnvironmentNode, environments
from tests.unit.render.rendered import ROOT

from freehold.api.faults import Fault
from freehold.api.manifest import parse_manifest
from freehold.api.modeldeployment import ModelDeployment
from freehold.catalog.builtin import builtin_catalog
from freehold.cluster_plan import (
    ClusterCatalog,
    Refusal,
    plan_on_cluster,
    read_cluster_catalog,
    refusal,
)
from freehold.compose import Planned
from freehold.plan.node import Node, Taint
from freehold.plan.plan import NoPlan, Plan
from freehold.render.cluster import Cluster
from freehold.render.hardware import Hardware
from freehold.render.node_choice import NodeChoice, node_choice
from freehold.render.placement import suits
from freehold.render.pod_template import worker_template

ENVIRONMENTS = environments()
MANIFESTS = {
    "OnDemand": ROOT / "tests/data/manifests/everywhere.yaml",
    "Spot": ROOT / "tests/data/manifests/everywhere-spot.yaml",
}
BUILT_IN = read_cluster_catalog(builtin_catalog(), [])
GIB = 1 << 30


def model_of(text: str) -> ModelDeployment:
    manifest = parse_manifest(text)
    assert manifest.faults == (), [str(it) for it in manifest.faults]
    (model,) = manifest.models
    return model


def on(nodes: Iterable[Node]) -> Hardware:
    return Hardware(Cluster(nodes))


def planned(
    model: ModelDeployment,
    nodes: Iterable[Node],
    catalog: ClusterCatalog = BUILT_IN,
    prefer: str | None = None,
) -> Planned:
    found = plan_on_cluster(model, catalog, on(nodes), prefer=prefer, offline=True)
    assert isinstance(found, Planned), [str(it) for it in found]
    return found


def plan_of(*arguments: Any, **named: Any) -> Plan:
    answer = planned(*arguments, **named).answer
    assert isinstance(answer, Plan), str(answer)
    return answer


def refused(model: ModelDeployment, nodes: list[Node]) -> Refusal:
    found = planned(model, nodes)
    assert isinstance(found.answer, NoPlan)
    return refusal(found, BUILT_IN, on(nodes))


@pytest.mark.parametrize("purchase", MANIFESTS)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda it: it.name)
def test_one_manifest_is_planned_on_every_environment(
    environment: Environment, purchase: str
) -> None:
    """The first candidate that is there; and the pods suit what carries it and no other node."""
    model = model_of(MANIFESTS[purchase].read_text("utf-8"))
    nodes = [it.node for it in environment.nodes]
    candidates = ("h100-80gb", "mi300x-192gb")
    there = [it for it in candidates if _carrying(environment, it, purchase)]
    answer = planned(model, nodes).answer
    if not there:
        assert isinstance(answer, NoPlan)
        assert {it.reason for it in answer.rejected} == {"NoSuchNodes"}
        return
    assert isinstance(answer, Plan), str(answer)
    assert answer.accelerator.name == there[0]
    choice = node_choice(answer)
    assert isinstance(choice, NodeChoice)
    template = worker_template(model, answer, "image", choice)
    suited = {it.name for it in environment.nodes if suits(it.node, template)}
    devices = answer.layout.devices_per_node
    assert suited == {it.name for it in _carrying(environment, there[0], purchase, devices)}


def _carrying(
    environment: Environment, accelerator: str, purchase: str, devices: int = 4
) -> list[EnvironmentNode]:
    return [it for it in environment.nodes if it.suits(accelerator, devices, purchase)]


def test_every_environment_has_decoys_and_the_clouds_have_spot() -> None:
    assert len(ENVIRONMENTS) == 12
    for environment in ENVIRONMENTS:
        assert any(it.carries is None for it in environment.nodes), environment.name
    spot = {
        it.name
        for it in ENVIRONMENTS
        if any(n.carries and n.carries.purchase == "Spot" for n in it.nodes)
    }
    without = {"coreweave", "oke", "onprem-amd", "onprem-nvidia"}
    assert spot == {it.name for it in ENVIRONMENTS} - without


def h100(name: str = "p5", devices: int = 8, **changed: Any) -> Node:
    """Return a p5 of EKS with Karpenter; ``labels`` are added."""
    labels = {
        "karpenter.k8s.aws/instance-gpu-name": "h100",
        "karpenter.k8s.aws/instance-gpu-memory": "81920",
        "karpenter.k8s.aws/instance-gpu-count": str(devices),
        "karpenter.sh/capacity-type": "on-demand",
    }
    allocatable = {"cpu": 190_000, "memory": 2000 * GIB, "pods": 110, "nvidia.com/gpu": devices}
    allocatable |= changed.pop("allocatable", {})
    labels |= changed.pop("labels", {})
    return Node(name, labels, changed.pop("taints", ()), allocatable, **changed)


def l4(name: str = "g6") -> Node:
    labels = {"node.kubernetes.io/instance-type": "g6.2xlarge"}
    return Node(
        name, labels, (), {"cpu": 8000, "memory": 30 * GIB, "pods": 58, "nvidia.com/gpu": 1}
    )


SPOT = {"karpenter.sh/capacity-type": "spot"}


def deployment(
    *candidates: Mapping[str, Any], model: str = "Llama-3.1-70B-Instruct", **spec: Any
) -> ModelDeployment:
    hardware = {"hardware": {"candidates": list(candidates)}} if candidates else {}
    source = {"source": f"hf://meta-llama/{model}", "contextLength": 8192}
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "m"},
        "spec": {"model": source, **hardware, **spec},
    }
    return model_of(json.dumps(data))


H100 = {"name": "h100", "accelerator": "h100-80gb"}
A100 = {"name": "a100", "accelerator": "a100-80gb"}
L4 = {"name": "l4", "accelerator": "l4-24gb"}


def rejections(answer: Plan | NoPlan) -> dict[str, str]:
    return {it.candidate: it.reason for it in answer.rejected}


def test_a_candidate_without_nodes_is_passed_over_in_the_users_order() -> None:
    plan = plan_of(deployment(A100, H100), [h100()])
    assert plan.candidate == "h100"
    assert rejections(plan) == {"a100": "NoSuchNodes"}


def test_the_users_order_counts_before_the_price() -> None:
    nodes = [h100(), l4()]
    plan = plan_of(deployment(H100, L4, model="Llama-3.1-8B-Instruct"), nodes)
    assert (plan.candidate, rejections(plan)) == ("h100", {"l4": "NotChosen"})


def test_without_candidates_the_cheapest_class_that_is_there_is_taken() -> None:
    small = deployment(model="Llama-3.1-8B-Instruct")
    assert plan_of(small, [h100(), l4()]).candidate == "l4-24gb"
    assert plan_of(small, [h100()]).candidate == "h100-80gb"


def test_without_candidates_no_class_without_an_image_is_taken() -> None:
    amd = {"node.kubernetes.io/instance-type": "BM.GPU.MI300X.8"}
    node = Node("amd", amd, (), {**h100().allocatable, "amd.com/gpu": 8})
    answer = planned(deployment(model="Llama-3.1-8B-Instruct"), [node]).answer
    assert rejections(answer)["mi300x-192gb"] == "NoEngineImage"
    assert isinstance(answer, NoPlan)
    assert refused(deployment(model="Llama-3.1-8B-Instruct"), [node]).reason == "NoEngineImage"


def own_class(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "AcceleratorClass",
        "metadata": {"name": name},
        "spec": spec,
    }


GROWING = own_class("h100-80gb", extends="h100-80gb", provisionable=True)


def test_a_class_that_an_autoscaler_makes_needs_no_nodes() -> None:
    """It replaces the built-in one of its name, or bears a name of its own."""
    own = own_class("h100-on-call", extends="h100-80gb", provisionable=True)
    catalog = read_cluster_catalog(builtin_catalog(), [own])
    growing = {"name": "grows", "accelerator": "h100-on-call"}
    plan = plan_of(deployment(A100, growing, L4), [l4()], catalog)
    assert plan.candidate == "grows"
    assert rejections(plan)["a100"] == "NoSuchNodes"


def test_nodes_are_counted_for_all_hosts_of_a_replica() -> None:
    """405B in 16 bit takes two nodes of eight; one is not enough, and none is made of two."""
    big = deployment(H100, model="Llama-3.1-405B-Instruct")
    plan = plan_of(big, [h100("a"), h100("b")])
    assert (plan.layout.nodes, plan.layout.devices_per_node) == (2, 8)
    said = refused(big, [h100("a")])
    assert said.reason == "NoHardware"
    assert "takes 2 OnDemand nodes with 8 x h100-80gb each and the cluster has 1" in said.message


def test_a_node_that_holds_both_pods_of_a_replica_counts_twice() -> None:
    labels = {"node.kubernetes.io/instance-type": "a2-megagpu-16g"}
    labels |= {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}
    node = Node("mega", labels, (), {**h100().allocatable, "nvidia.com/gpu": 16})
    candidate = {"name": "a100", "accelerator": "a100-40gb"}
    plan = plan_of(deployment(candidate), [node])
    assert plan.layout.nodes == 1
    half = Node("half", labels, (), {**h100().allocatable, "nvidia.com/gpu": 2})
    assert isinstance(planned(deployment(candidate), [half]).answer, NoPlan)


def test_a_replica_is_laid_over_the_sizes_of_nodes_that_there_are() -> None:
    """70B would take four devices of one node; two nodes of two carry it as well."""
    whole = plan_of(deployment(H100), [h100()])
    assert (whole.layout.tensor, whole.layout.nodes) == (4, 1)
    labels = {"node.kubernetes.io/instance-type": "a3-highgpu-2g"}
    labels |= {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}
    halves = [
        Node(name, labels, (), {**h100().allocatable, "nvidia.com/gpu": 2}) for name in ("a", "b")
    ]
    plan = plan_of(deployment(H100), halves)
    assert (plan.layout.devices, plan.layout.nodes, plan.layout.devices_per_node) == (4, 2, 2)
    assert plan.accelerator == whole.accelerator
    said = refused(deployment(H100), halves[:1])
    assert "1 node carries h100-80gb, but at most 2 of the 4 devices" in said.message


NEVER: dict[str, tuple[list[Node], dict[str, Any], str]] = {
    "nothing of the class": ([l4()], H100, "no node carries h100-80gb"),
    "cordoned": ([h100(cordoned=True)], H100, "has none; 1 more is cordoned"),
    "not ready": (
        [h100("a", ready=False), h100("b", ready=False)],
        H100,
        "has none; 2 more are not Ready",
    ),
    "tainted": (
        [h100(taints=(Taint("team", "x", "NoSchedule"),))],
        H100,
        "1 more has the taint team=x:NoSchedule, which the pods do not tolerate",
    ),
    "too little memory": (
        [h100(allocatable={"memory": GIB})],
        H100,
        "1 more offers less memory than the 28.0 GiB that a pod asks for",
    ),
    "too few cores": (
        [h100(allocatable={"cpu": 1500})],
        H100,
        "1 more offers less cpu than the 6 that a pod asks for",
    ),
    "no device plugin": (
        [h100(allocatable={"nvidia.com/gpu": 0})],
        H100,
        "1 more offers less nvidia.com/gpu than the 4 that a pod asks for",
    ),
    "only spot": (
        [h100("a", labels=SPOT), h100("b", labels=SPOT)],
        H100,
        "2 Spot nodes would do: set purchase: Spot",
    ),
    "only on demand": (
        [h100()],
        {**H100, "purchase": "Spot"},
        "1 OnDemand node would do: set purchase: OnDemand",
    ),
}


@pytest.mark.parametrize(("nodes", "candidate", "sentence"), NEVER.values(), ids=NEVER)
def test_what_is_missing_is_said(
    nodes: list[Node], candidate: dict[str, Any], sentence: str
) -> None:
    said = refused(deployment(candidate), nodes)
    assert said.reason == "NoHardware"
    assert sentence in said.message


def test_spot_of_a_class_that_knows_none_is_said_with_who_must_act() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-GH200-480GB", "nvidia.com/gpu.count": "1"}
    spot = {"name": "gh200", "accelerator": "gh200-96gb", "purchase": "Spot"}
    model = deployment(spot, model="Llama-3.1-8B-Instruct")
    said = refused(model, [h100(devices=1, labels=labels)])
    assert "say under nodeShapes[].spot of gh200-96gb how your environment marks" in said.message


def test_an_overlay_of_the_user_has_its_say() -> None:
    worker = {"spec": {"nodeSelector": {"pool": "mine"}, "tolerations": [{"key": "team"}]}}
    model = deployment(H100, templates={"worker": worker})
    assert plan_of(model, [h100(labels={"pool": "mine"})]).candidate == "h100"
    said = refused(model, [h100()])
    assert "but not the labels that spec.templates.worker asks for" in said.message


def test_the_nearest_classes_are_named_with_what_they_would_carry() -> None:
    said = refused(deployment(A100), [h100("a"), h100("b"), l4()])
    near = {it.name: (it.nodes, bool(it.replica)) for it in said.nearest}
    assert near == {"h100-80gb": (2, True), "l4-24gb": (1, False)}
    assert "h100-80gb on 2 nodes would carry it as 4 x h100-80gb" in said.message
    assert "l4-24gb on 1 node would not carry it" in said.message


def test_without_candidates_the_classes_are_counted_and_not_listed() -> None:
    said = refused(deployment(), [l4()])
    assert said.message.startswith("no nodes for any of the ")
    assert "The cluster has l4-24gb on 1 node would not carry it" in said.message


def test_a_model_that_nothing_carries_is_no_matter_of_nodes() -> None:
    said = refused(deployment(L4, model="Llama-3.1-405B-Instruct"), [l4()])
    assert said.reason == "DoesNotFit"


def test_the_candidate_that_serves_stays_while_it_can_be_had() -> None:
    model = deployment(H100, L4, model="Llama-3.1-8B-Instruct")
    plan = plan_of(model, [h100(), l4()], prefer="l4")
    assert (plan.candidate, rejections(plan)) == ("l4", {"h100": "NotChosen"})
    assert "l4 was chosen before and stays" in plan.rejected[0].message
    assert plan_of(model, [h100()], prefer="l4").candidate == "h100"
    assert plan_of(model, [h100(), l4()], prefer="gone").candidate == "h100"
    big = deployment(H100, L4, model="Llama-3.1-405B-Instruct-FP8")
    assert plan_of(big, [h100(), l4()], prefer="l4").candidate == "h100"


def test_a_broken_class_is_the_matter_of_those_who_name_it() -> None:
    """A misspelt field, an unknown parent and a circle; other models are planned beside them."""
    objects = [
        own_class("misspelt", extends="h100-80gb", provisonable=True),
        own_class("orphan", extends="h100-80g"),
        own_class("one", extends="two"),
        own_class("two", extends="one"),
        GROWING,
    ]
    catalog = read_cluster_catalog(builtin_catalog(), objects[:-1])
    assert set(catalog.broken) == {"misspelt"}
    assert plan_of(deployment(H100), [h100()], catalog).candidate == "h100"
    assert plan_of(deployment(), [h100()], catalog).candidate == "h100-80gb"
    for name, words in {
        "misspelt": "unknown field 'provisonable'",
        "orphan": "unknown accelerator class 'h100-80g'",
        "one": "extend each other",
    }.items():
        candidate = {"name": "c", "accelerator": name}
        faults = plan_on_cluster(deployment(candidate), catalog, on([h100()]), offline=True)
        assert isinstance(faults, tuple)
        assert any(isinstance(it, Fault) and words in str(it) for it in faults), faults


def test_a_broken_class_hides_the_built_in_one_of_its_name() -> None:
    broken = own_class("h100-80gb", vendor="nvidia")
    catalog = read_cluster_catalog(builtin_catalog(), [broken])
    faults = plan_on_cluster(deployment(H100), catalog, on([h100()]), offline=True)
    assert isinstance(faults, tuple)
    assert "which is not whole" in str(faults[0])
