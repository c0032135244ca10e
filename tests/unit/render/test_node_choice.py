"""Worker pods run on the nodes that carry the plan, bought as was asked, and on no others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from tests.unit.render.rendered import (
    ARCHIVE,
    NAMESPACE,
    container_of,
    on,
    planned,
    planned_text,
    two_nodes,
    worker_of,
)

from freehold.api.acceleratorclass import (
    NodeShape,
    SelectorRequirement,
    SelectorTerm,
    SpotSelection,
)
from freehold.catalog.builtin import builtin_catalog
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.layout import Layout
from freehold.plan.plan import Plan
from freehold.render.node_choice import (
    NodeChoice,
    NoSpotNodes,
    Term,
    UnwieldySpotMarks,
    node_choice,
)
from freehold.render.objects import model_objects

CLASSES = builtin_catalog().classes
PLAN = planned()[1]


def accelerator(name: str) -> Accelerator:
    found = resolve_class(name, CLASSES, "accelerator")
    assert isinstance(found, Accelerator)
    return found


def plan_on(name: str, devices: int = 1, purchase: str = "OnDemand") -> Plan:
    layout = Layout(devices, 1)
    return replace(PLAN, accelerator=accelerator(name), layout=layout, purchase=purchase)


def chosen(plan: Plan) -> NodeChoice:
    choice = node_choice(plan)
    assert isinstance(choice, NodeChoice), str(choice)
    return choice


def admits(choice: NodeChoice, labels: Mapping[str, str]) -> bool:
    """Return what the scheduler would say of a node with these labels."""
    return not choice.terms or any(_holds(term, labels) for term in choice.terms)


def _holds(term: Term, labels: Mapping[str, str]) -> bool:
    return all(_requirement(it, labels) for it in term)


def _requirement(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values", [])
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
    assert requirement["operator"] == "DoesNotExist"
    return value is None


def nodes_of(shape: NodeShape) -> Iterator[tuple[dict[str, str], bool]]:
    """Yield the labels of nodes of a shape, as each environment sets them, and whether spot."""
    marks = (shape.spot.node_selector_terms if shape.spot else None) or ()
    for term in shape.node_selector_terms or ():
        for labels in _labels(term):
            yield labels, False
            for mark in marks:
                for more in _labels(mark):
                    yield labels | more, True


def _labels(term: SelectorTerm) -> Iterator[dict[str, str]]:
    """Yield the labels that a term asks for; what it forbids is not there."""
    asked = [it for it in term.match_expressions if it.operator == "In"]
    assert all(it.operator in ("In", "NotIn", "DoesNotExist") for it in term.match_expressions)
    for values in itertools.product(*(it.values or () for it in asked)):
        yield dict(zip((it.key for it in asked), values, strict=True))


def carries(name: str, labels: Mapping[str, str], devices: int) -> bool:
    """Return whether any shape with these labels has so many devices.

    Some environments label machines of several sizes alike; there the pod's resources decide.
    """
    return any(
        shape.devices >= devices and labels.items() >= own.items()
        for shape in accelerator(name).shapes
        for own, spot in nodes_of(shape)
        if not spot
    )


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.parametrize("purchase", ["OnDemand", "Spot"])
@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"cpu", "gaudi3-128gb"}))
def test_exactly_the_nodes_that_carry_the_plan_are_admitted(
    name: str, purchase: str, devices: int
) -> None:
    able = [shape for shape in accelerator(name).shapes if shape.devices >= devices]
    if not able or (purchase == "Spot" and not any(shape.spot for shape in able)):
        return
    choice = chosen(plan_on(name, devices, purchase))
    seen = 0
    for shape in accelerator(name).shapes:
        for labels, spot in nodes_of(shape):
            right = spot == (purchase == "Spot") and carries(name, labels, devices)
            assert admits(choice, labels) == right, (shape.name, labels)
            seen += right
    assert seen


def test_a_node_of_another_class_is_not_admitted() -> None:
    choice = chosen(plan_on("h100-80gb", 8))
    for shape in accelerator("h200-141gb").shapes:
        for labels, _ in nodes_of(shape):
            assert not admits(choice, labels), labels


def test_terms_that_differ_in_one_labels_values_are_one() -> None:
    """L4: eleven shapes of two clouds and one's own machines."""
    one, four = chosen(plan_on("l4-24gb", 1)), chosen(plan_on("l4-24gb", 4))
    assert len(accelerator("l4-24gb").shapes) == 11
    assert len(one.terms) == len(four.terms) == 6
    (types,) = [
        it["values"]
        for term in four.terms
        for it in term
        if it["key"] == "node.kubernetes.io/instance-type" and "g6.48xlarge" in it["values"]
    ]
    assert types == ["g6.12xlarge", "g6.24xlarge", "g6.48xlarge"]


GKE = {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}
GKE_COUNT = {**GKE, "cloud.google.com/gke-accelerator-count": "8"}
KARPENTER = {
    "karpenter.k8s.aws/instance-gpu-name": "h100",
    "karpenter.k8s.aws/instance-gpu-memory": "81920",
    "karpenter.k8s.aws/instance-gpu-count": "8",
}
GFD = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}


@pytest.mark.parametrize(
    ("labels", "admitted"),
    [
        (KARPENTER, True),
        (KARPENTER | {"nvidia.com/gpu.sharing-strategy": "none"}, True),
        (KARPENTER | {"nvidia.com/gpu.sharing-strategy": "time-slicing"}, False),
        (KARPENTER | {"nvidia.com/gpu.sharing-strategy": "mps"}, False),
        (KARPENTER | {"nvidia.com/mig.strategy": "single"}, True),
        (KARPENTER | {"nvidia.com/mig.strategy": "single", "nvidia.com/gpu.slices.gi": "1"}, False),
        (GFD | {"nvidia.com/gpu.sharing-strategy": "time-slicing"}, False),
        (GKE_COUNT, True),
        (GKE_COUNT | {"cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"}, False),
        (GKE_COUNT | {"cloud.google.com/gke-gpu-partition-size": "1g.10gb"}, False),
    ],
)
def test_only_nodes_with_whole_devices_are_admitted(labels: dict[str, str], admitted: bool) -> None:
    assert admits(chosen(plan_on("h100-80gb", 8)), labels) is admitted


@pytest.mark.parametrize(
    ("partition", "admitted"), [("spx_nps1", True), ("cpx_nps4", False), ("dpx_nps2", False)]
)
def test_a_partitioned_amd_device_is_no_whole_one(partition: str, admitted: bool) -> None:
    labels = {
        "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
        "amd.com/compute-memory-partition": partition,
    }
    assert admits(chosen(plan_on("mi300x-192gb", 8)), labels) is admitted


SPOT_MARKS = [
    {"karpenter.sh/capacity-type": "spot"},
    {"eks.amazonaws.com/capacityType": "SPOT"},
    {"kubernetes.azure.com/priority": "spot"},
    {"kubernetes.azure.com/scalesetpriority": "spot"},
    {"cloud.google.com/gke-spot": "true"},
    {"cloud.google.com/gke-provisioning": "preemptible"},
    {"cloud.google.com/gke-preemptible": "true"},
    {"nebius.com/preemptible": "true"},
]


@pytest.mark.parametrize("mark", SPOT_MARKS, ids=lambda it: next(iter(it)))
def test_on_demand_is_not_taken_in_by_a_labeller_that_knows_no_spot(mark: dict[str, str]) -> None:
    """GPU Feature Discovery runs on spot nodes of every cloud and says nothing of it."""
    choice = chosen(plan_on("h100-80gb", 8))
    assert admits(choice, GFD)
    assert not admits(choice, GFD | mark)


def test_marks_whose_opposite_has_no_end_are_refused() -> None:
    expression = SelectorRequirement(key="k", operator="Exists")
    mark = SelectorTerm(match_expressions=(expression,) * 32)
    plan = plan_on("gh200-96gb")
    (shape,) = plan.accelerator.shapes
    shape = shape.model_copy(update={"spot": SpotSelection(node_selector_terms=(mark,) * 16)})
    refused = node_choice(replace(plan, accelerator=replace(plan.accelerator, shapes=(shape,))))
    assert isinstance(refused, UnwieldySpotMarks)
    assert "gh200-96gb" in refused.path


def test_spot_taints_are_tolerated_only_by_spot_pods() -> None:
    keys = [
        {it["key"] for it in chosen(plan_on("l4-24gb", 1, purchase)).tolerations}
        for purchase in ("OnDemand", "Spot")
    ]
    assert keys == [{"nvidia.com/gpu"}, {"nvidia.com/gpu", "cloud.google.com/gke-spot"}]


def test_a_class_without_spot_nodes_is_no_answer_to_spot() -> None:
    refused = node_choice(plan_on("gh200-96gb", 1, "Spot"))
    assert isinstance(refused, NoSpotNodes)
    assert refused.allowed == "OnDemand"
    assert "gh200-96gb" in refused.hint


def test_a_refusal_reaches_the_renderer() -> None:
    images = {"images": [{"accelerator": "gh200-96gb", "image": "registry.example/ray:1"}]}
    item = planned(hardware=on("gh200-96gb", purchase="Spot"), engine=images)
    assert isinstance(model_objects(*item, NAMESPACE, ARCHIVE), NoSpotNodes)


def test_a_shape_without_labels_is_any_node() -> None:
    images = {"images": [{"accelerator": "gaudi3-128gb", "image": "registry.example/ray:1"}]}
    worker = worker_of(planned(hardware=on("gaudi3-128gb"), engine=images))
    assert "affinity" not in worker


def test_the_choice_stands_in_the_pod() -> None:
    worker = worker_of(planned())
    choice = chosen(PLAN)
    required = worker["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    terms = [tuple(term["matchExpressions"]) for term in required["nodeSelectorTerms"]]
    assert terms == [tuple(term) for term in choice.terms]
    assert worker["tolerations"] == list(choice.tolerations)


OWN_CLASS = """
apiVersion: freehold.dev/v1alpha1
kind: AcceleratorClass
metadata: {name: mine}
spec:
  vendor: nvidia
  memory: 80Gi
  features: [bf16]
  interconnect: {type: NVLink, fast: true}
  nodeShapes:
  - name: first
    provider: onprem
    devices: 8
    resourceName: example.com/gpu
    extraResources: {rdma/hca: "8", example.com/efa: "4"}
    nodeSelectorTerms:
    - matchExpressions: [{key: kind, operator: In, values: [first]}]
    spot:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: spot, operator: Exists}
        - {key: kept, operator: NotIn, values: ["yes"]}
  - name: second
    provider: onprem
    devices: 8
    nodeSelectorTerms:
    - matchExpressions: [{key: kind, operator: In, values: [second]}]
  images:
  - {engine: vllm, rayVersion: 2.60.0, image: 'registry.example/ray:1'}
---
"""


def own(layout: dict[str, int], purchase: str = "OnDemand") -> Any:
    """Return a Llama 3.1 8B on the class above."""
    model = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "llama"},
        "spec": {
            "model": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct", "contextLength": 8192},
            "hardware": on("mine", parallelism=layout, purchase=purchase),
        },
    }
    return planned_text(OWN_CLASS + yaml.safe_dump(model))


def test_pods_of_a_group_are_alike_so_shapes_that_differ_in_resources_are_left_out() -> None:
    choice = chosen(own({"tensor": 8})[1])
    assert choice.resources == {"example.com/gpu": "8"}
    assert admits(choice, {"kind": "first"})
    assert not admits(choice, {"kind": "second"})


def test_fabric_adapters_are_taken_only_between_nodes() -> None:
    limits = container_of(own({"tensor": 8, "pipeline": 2}))["resources"]["limits"]
    assert limits == {"example.com/gpu": "8", "example.com/efa": "4", "rdma/hca": "8"}
    assert list(limits) == ["example.com/gpu", "example.com/efa", "rdma/hca"]
    assert "efa" not in str(container_of(two_nodes()))


@pytest.mark.parametrize(
    ("labels", "spot"),
    [
        ({"spot": "1"}, True),
        ({"spot": "1", "kept": "no"}, True),
        ({"spot": "1", "kept": "yes"}, False),
        ({}, False),
        ({"kept": "yes"}, False),
    ],
)
def test_on_demand_is_what_spot_is_not(labels: dict[str, str], spot: bool) -> None:
    node = {"kind": "first"} | labels
    assert admits(chosen(own({"tensor": 8}, "Spot")[1]), node) is spot
    assert admits(chosen(own({"tensor": 8})[1]), node) is not spot
