"""The scheduler's filters, each operator, taint and resource in a table."""

from __future__ import annotations

from typing import Any

import pytest

from freehold.plan.node import Node, Taint
from freehold.render.cluster import Cluster
from freehold.render.placement import Obstacle, obstacle, read_placement, suits

GIB = 1 << 30
LABELS = {"zone": "a", "size": "8", "word": "x8", "empty": "", "big": str(2**63), "signed": "-5"}


def node(**changed: Any) -> Node:
    resources = {"cpu": 4000, "memory": 8 * GIB, "pods": 10, "nvidia.com/gpu": 2}
    resources |= changed.pop("allocatable", {})
    taints = changed.pop("taints", ())
    return Node("n", changed.pop("labels", LABELS), taints, resources, **changed)


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [], **spec}}


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*terms]}}
    return pod(affinity={"nodeAffinity": affinity})


def label(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": [*values]} if values else {})


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        (label("zone", "In", "b", "a"), True),
        (label("zone", "In", "b"), False),
        (label("none", "In", "a"), False),
        (label("empty", "In", ""), True),
        (label("zone", "NotIn", "a"), False),
        (label("zone", "NotIn", "b"), True),
        (label("none", "NotIn", "a"), True),
        (label("zone", "Exists"), True),
        (label("empty", "Exists"), True),
        (label("none", "Exists"), False),
        (label("zone", "DoesNotExist"), False),
        (label("none", "DoesNotExist"), True),
        (label("size", "Gt", "7"), True),
        (label("size", "Gt", "8"), False),
        (label("size", "Lt", "10"), True),
        (label("size", "Lt", "8"), False),
        (label("signed", "Lt", "-4"), True),
        (label("none", "Gt", "0"), False),
        (label("none", "Lt", "0"), False),
        (label("word", "Gt", "7"), False),
        (label("empty", "Lt", "7"), False),
        (label("big", "Gt", "7"), False),
    ],
    ids=lambda it: " ".join(str(v) for v in it.values()) if isinstance(it, dict) else str(it),
)
def test_each_operator_on_labels(requirement: dict[str, Any], holds: bool) -> None:
    assert suits(node(), required({"matchExpressions": [requirement]})) is holds


YES, NO = label("zone", "In", "a"), label("zone", "In", "b")
NAMED = {"key": "metadata.name", "operator": "In", "values": ["n"]}
OTHER = {"key": "metadata.name", "operator": "NotIn", "values": ["n"]}


@pytest.mark.parametrize(
    ("template", "holds"),
    [
        (pod(), True),
        (pod(nodeSelector={"zone": "a", "size": "8"}), True),
        (pod(nodeSelector={"zone": "a", "size": "9"}), False),
        (required({"matchExpressions": [NO]}, {"matchExpressions": [YES]}), True),
        (required({"matchExpressions": [NO, YES]}), False),
        (required({}), False),
        (required({}, {"matchExpressions": [YES]}), True),
        (required({"matchFields": [NAMED]}), True),
        (required({"matchFields": [OTHER]}), False),
        (required({"matchExpressions": [NO], "matchFields": [NAMED]}), False),
        (pod(affinity={"nodeAffinity": {}}), True),
        (pod(affinity={"podAffinity": {}}), True),
    ],
)
def test_terms_are_alternatives_and_an_empty_one_is_none(
    template: dict[str, Any], holds: bool
) -> None:
    assert suits(node(), template) is holds


TAINT = Taint("gpu", "present", "NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "holds"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "value": "present"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "absent"}, False),
        ({"key": "gpu"}, False),
        ({"key": "cpu", "operator": "Exists"}, False),
        ({"operator": "Exists"}, True),
    ],
)
def test_each_toleration(toleration: dict[str, Any], holds: bool) -> None:
    assert suits(node(taints=(TAINT,)), pod(tolerations=[toleration])) is holds


@pytest.mark.parametrize(
    ("effect", "holds"), [("NoSchedule", False), ("NoExecute", False), ("PreferNoSchedule", True)]
)
def test_each_effect(effect: str, holds: bool) -> None:
    assert suits(node(taints=(Taint("k", "", effect),)), pod()) is holds


def test_all_taints_must_be_tolerated() -> None:
    tolerated = pod(tolerations=[{"key": "gpu", "operator": "Exists"}])
    more = Taint("team", "x", "NoExecute")
    assert obstacle(read_placement(tolerated), node(taints=(TAINT, more))) == Obstacle(
        "Tainted", "team=x:NoExecute"
    )


def test_a_cordon_is_tolerated_as_its_taint_is() -> None:
    cordon = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    cordoned = node(cordoned=True, taints=(cordon,))
    assert obstacle(read_placement(pod()), cordoned) == Obstacle("Cordoned")
    assert suits(cordoned, pod(tolerations=[{"key": cordon.key, "operator": "Exists"}]))


def test_a_node_that_is_not_ready_suits_nobody() -> None:
    everything = pod(tolerations=[{"operator": "Exists"}])
    assert obstacle(read_placement(everything), node(ready=False)) == Obstacle("NotReady")


def uses(requests: dict[str, str], limits: dict[str, str] | None = None, **more: Any) -> Any:
    resources = {"requests": requests} | ({"limits": limits} if limits else {})
    return {"name": "c", "resources": resources, **more}


ASKED: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "nothing but a pod": (pod(), {"pods": 1}),
    "containers together": (
        pod(containers=[uses({"cpu": "1"}), uses({"cpu": "500m", "memory": "1Gi"})]),
        {"cpu": 1500, "memory": GIB, "pods": 1},
    ),
    "a limit where there is no request": (
        pod(containers=[uses({"cpu": "1"}, {"cpu": "2", "nvidia.com/gpu": "8"})]),
        {"cpu": 1000, "nvidia.com/gpu": 8, "pods": 1},
    ),
    "the largest init container": (
        pod(
            initContainers=[uses({"cpu": "3"}), uses({"memory": "2Gi"})],
            containers=[uses({"cpu": "1", "memory": "1Gi"})],
        ),
        {"cpu": 3000, "memory": 2 * GIB, "pods": 1},
    ),
    "init containers that stay": (
        pod(
            initContainers=[uses({"cpu": "1"}, restartPolicy="Always"), uses({"cpu": "3"})],
            containers=[uses({"cpu": "2"})],
        ),
        {"cpu": 4000, "pods": 1},
    ),
    "a request of the whole pod, and overhead": (
        pod(
            containers=[uses({"cpu": "1", "nvidia.com/gpu": "1"})],
            resources={"requests": {"cpu": "3", "nvidia.com/gpu": "9"}},
            overhead={"cpu": "250m"},
        ),
        {"cpu": 3250, "nvidia.com/gpu": 1, "pods": 1},
    ),
}


@pytest.mark.parametrize(("template", "amounts"), ASKED.values(), ids=ASKED)
def test_what_a_pod_asks_for(template: dict[str, Any], amounts: dict[str, int]) -> None:
    assert dict(read_placement(template).requests) == amounts


@pytest.mark.parametrize(
    ("requests", "short"),
    [
        ({"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "2"}, None),
        ({"cpu": "4001m"}, "cpu"),
        ({"memory": "8193Mi"}, "memory"),
        ({"nvidia.com/gpu": "3"}, "nvidia.com/gpu"),
        ({"amd.com/gpu": "1"}, "amd.com/gpu"),
        ({"cpu": "9", "nvidia.com/gpu": "3"}, "nvidia.com/gpu"),
        ({"amd.com/gpu": "0"}, None),
    ],
)
def test_each_resource_must_suffice(requests: dict[str, str], short: str | None) -> None:
    found = obstacle(read_placement(pod(containers=[uses(requests)])), node())
    assert found == (Obstacle("TooSmall", short) if short else None)


def test_a_node_without_room_for_pods_suits_none() -> None:
    assert not suits(node(allocatable={"pods": 0}), pod())


def test_a_cluster_counts_nodes_pods_and_what_was_missed() -> None:
    template = pod(nodeSelector={"zone": "a"}, containers=[uses({"nvidia.com/gpu": "1"})])
    nodes = [
        node(),
        node(),
        node(cordoned=True),
        node(allocatable={"nvidia.com/gpu": 0}),
        node(labels={}),
    ]
    found = Cluster(nodes).search(read_placement(template))
    assert (found.nodes, found.pods) == (2, 4)
    assert dict(found.missed) == {
        Obstacle("Cordoned"): 1,
        Obstacle("TooSmall", "nvidia.com/gpu"): 1,
    }


def test_nodes_are_told_apart_by_name_where_a_pod_asks_for_it() -> None:
    a, b = Node("a", {}, (), {"pods": 9}), Node("b", {}, (), {"pods": 9})
    field = {"key": "metadata.name", "operator": "In", "values": ["b"]}
    cluster = Cluster([a, b])
    assert cluster.search(read_placement(pod())).nodes == 2
    assert cluster.search(read_placement(required({"matchFields": [field]}))).nodes == 1
