"""The real scheduler places what we render, on the nodes of every environment, as we say it will.

What kwok simulates is a kubelet, not a scheduler: labels, taints and resources are judged by the
kube-scheduler that clusters run.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import FAKE
from tests.control_plane.processes import wait_for
from tests.environments import Environment, EnvironmentNode, environments
from tests.integration.harness import ROOT, objects_list

from freehold.api.manifest import parse_manifest
from freehold.api.modeldeployment import ModelDeployment
from freehold.catalog.builtin import builtin_catalog
from freehold.cluster_plan import plan_on_cluster, read_cluster_catalog, refusal
from freehold.compose import Planned
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.layout import Layout
from freehold.plan.node import Node, read_node
from freehold.plan.plan import NoPlan, Plan
from freehold.render.cluster import Cluster as Nodes
from freehold.render.hardware import Hardware
from freehold.render.node_choice import NodeChoice, node_choice
from freehold.render.objects import model_objects
from freehold.render.placement import suits
from freehold.render.pod_template import worker_template

ENVIRONMENTS = environments()
CATALOG = read_cluster_catalog(builtin_catalog(), [])
MANIFESTS = {
    "OnDemand": ROOT / "tests/data/manifests/everywhere.yaml",
    "Spot": ROOT / "tests/data/manifests/everywhere-spot.yaml",
}


@contextmanager
def standing(cluster: Cluster, nodes: tuple[EnvironmentNode, ...]) -> Iterator[None]:
    """Let nodes stand in the cluster; kwok's are ready, and nobody answers for the others."""
    names = [it.name for it in nodes]
    cluster.kubectl("create", "-f", "-", stdin=objects_list(_created(it) for it in nodes))
    try:
        wait_for("the nodes are as they should be", lambda: _as_told(cluster, nodes), 60)
        yield
    finally:
        cluster.remove_nodes(names)


def _created(node: EnvironmentNode) -> dict[str, Any]:
    manifest = copy.deepcopy(dict(node.manifest))
    if node.ready:
        manifest["metadata"]["annotations"] = FAKE
        del manifest["status"]["conditions"]
    return manifest


def _as_told(cluster: Cluster, nodes: tuple[EnvironmentNode, ...]) -> bool:
    """Say whether the control plane shows the nodes with what their environment gives them.

    Of a node that is not ready it makes its own picture, with more taints as time goes by.
    """
    shown = {it["metadata"]["name"]: read_node(it) for it in cluster.list("nodes")}
    return all(
        (found := shown.get(it.name)) is not None
        and found.ready == it.ready
        and (not it.ready or set(found.taints) == set(it.node.taints))
        and found.allocatable == it.node.allocatable
        for it in nodes
    )


def pod_of(name: str, template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod that a template becomes."""
    labels = template["metadata"]["labels"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": template["spec"],
    }


class Pods:
    """The pods of a namespace, over one connection: hundreds are made and judged in a round."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.api = CoreV1Api(new_client_from_config(str(cluster.kubeconfig)))
        self.namespace = namespace

    def judged(self, pods: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Create pods and return the node that the scheduler gives each, "" where it refuses."""
        wanted = [*pods]
        for pod in wanted:
            self.api.create_namespaced_pod(self.namespace, pod, _preload_content=False)
        wait_for(f"{len(wanted)} pods are judged", lambda: all(self._verdicts()), 120, every=0.5)
        return {it["metadata"]["name"]: it["spec"].get("nodeName", "") for it in self._list()}

    def clear(self) -> None:
        """Delete all pods and wait until they are gone."""
        self.api.delete_collection_namespaced_pod(
            self.namespace, grace_period_seconds=0, _preload_content=False
        )
        wait_for("the pods are gone", lambda: not self._list(), 60, every=0.1)

    def _list(self) -> list[dict[str, Any]]:
        # as plain data: the client takes longer to build its objects than the scheduler to judge
        found = self.api.list_namespaced_pod(self.namespace, _preload_content=False)
        return list(json.loads(found.data)["items"])

    def _verdicts(self) -> Iterator[bool]:
        for pod in self._list():
            conditions = {it["type"]: it for it in pod["status"].get("conditions", [])}
            verdict = conditions.get("PodScheduled")
            if verdict is not None:
                assert verdict["status"] == "True" or verdict["reason"] == "Unschedulable", verdict
            yield verdict is not None


@pytest.fixture
def pods(cluster: Cluster, namespace: str) -> Pods:
    return Pods(cluster, namespace)


def planned_there(cluster: Cluster, model: ModelDeployment) -> tuple[Planned, Hardware]:
    """Plan a model by the nodes that the API server shows."""
    hardware = Hardware(Nodes(read_node(it) for it in cluster.list("nodes")))
    found = plan_on_cluster(model, CATALOG, hardware, offline=True)
    assert isinstance(found, Planned), [str(it) for it in found]
    return found, hardware


def worker_of(model: ModelDeployment, plan: Plan) -> dict[str, Any]:
    objects = model_objects(model, plan, "default", b"archive")
    assert isinstance(objects, list), str(objects)
    (service,) = [it for it in objects if it["kind"] == "RayService"]
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return dict(group["template"])


@pytest.mark.parametrize("purchase", MANIFESTS)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda it: it.name)
def test_one_manifest_lands_where_it_should_and_nowhere_else(
    cluster: Cluster, pods: Pods, environment: Environment, purchase: str
) -> None:
    """More pods than there is room for: they fill the right nodes, and the last fits nowhere."""
    (model,) = parse_manifest(MANIFESTS[purchase].read_text("utf-8")).models
    with standing(cluster, environment.nodes):
        planned, hardware = planned_there(cluster, model)
        right = _right_nodes(environment, purchase)
        if not right:
            assert isinstance(planned.answer, NoPlan)
            assert refusal(planned, CATALOG, hardware).reason == "NoHardware"
            return
        assert isinstance(planned.answer, Plan), str(planned.answer)
        devices = planned.answer.layout.devices_per_node
        room = sum(it.carries.devices // devices for it in right if it.carries)
        template = worker_of(model, planned.answer)
        landed = pods.judged(pod_of(f"worker-{i}", template) for i in range(room + 1))
        assert {it for it in landed.values() if it} == {it.name for it in right}
        assert [*landed.values()].count("") == 1
        pods.clear()


def _right_nodes(environment: Environment, purchase: str) -> list[EnvironmentNode]:
    for accelerator in ("h100-80gb", "mi300x-192gb"):
        found = [it for it in environment.nodes if it.suits(accelerator, 4, purchase)]
        if found:
            return found
    return []


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda it: it.name)
def test_nothing_lands_where_only_decoys_are(
    cluster: Cluster, pods: Pods, environment: Environment
) -> None:
    """What is planned with the right nodes there finds no other when they are gone."""
    decoys = tuple(it for it in environment.nodes if it.carries is None)
    everything = [it.node for it in environment.nodes]
    templates = []
    for path in MANIFESTS.values():
        (model,) = parse_manifest(path.read_text("utf-8")).models
        found = plan_on_cluster(model, CATALOG, Hardware(Nodes(everything)), offline=True)
        if isinstance(found, Planned) and isinstance(found.answer, Plan):
            templates.append(worker_of(model, found.answer))
    assert templates
    with standing(cluster, decoys):
        landed = pods.judged(pod_of(f"worker-{i}", it) for i, it in enumerate(templates))
        assert set(landed.values()) == {""}
        pods.clear()


def templates() -> dict[str, dict[str, Any]]:
    """Return worker templates of many classes, sizes and purchases, and some with an overlay."""
    (model,) = parse_manifest(MANIFESTS["OnDemand"].read_text("utf-8")).models
    found = plan_on_cluster(model, CATALOG, Hardware(Nodes(_every_node())), offline=True)
    assert isinstance(found, Planned)
    assert isinstance(found.answer, Plan)
    made = {}
    for name, layout in LAYOUTS:
        for purchase in ("OnDemand", "Spot"):
            plan = replace(
                found.answer, accelerator=accelerator(name), layout=layout, purchase=purchase
            )
            choice = node_choice(plan)
            if isinstance(choice, NodeChoice):
                title = f"{name}, {layout}, {purchase}"
                made[title] = worker_template(model, plan, "image", choice)
    template = made["h100-80gb, tensor 8, pipeline 1, OnDemand"]
    return made | {title: _overlaid(template, it) for title, it in OVERLAYS.items()}


LAYOUTS = [
    ("h100-80gb", Layout(1, 1)),
    ("h100-80gb", Layout(8, 1)),
    ("h100-80gb", Layout(8, 2, 2)),
    ("h100-nvl-94gb", Layout(2, 1)),
    ("h200-141gb", Layout(8, 1)),
    ("b200-180gb", Layout(8, 1)),
    ("a100-40gb", Layout(8, 1)),
    ("a100-80gb", Layout(8, 1)),
    ("l4-24gb", Layout(1, 1)),
    ("mi300x-192gb", Layout(8, 1)),
    ("mi325x-256gb", Layout(1, 1)),
    ("gaudi3-128gb", Layout(1, 1)),
    ("cpu", Layout(2, 1)),
]
_EVERYTHING = [{"operator": "Exists"}]
OVERLAYS: dict[str, dict[str, Any]] = {
    "every taint tolerated": {"tolerations": _EVERYTHING},
    "any node, every taint tolerated": {"tolerations": _EVERYTHING, "affinity": None},
    "a label of the user": {"nodeSelector": {"topology.kubernetes.io/zone": "us-central1-a"}},
    "more devices than eight": {"affinity": None, "tolerations": _EVERYTHING, "devices": "9"},
    "numbers of labels": {
        "tolerations": _EVERYTHING,
        "affinity": None,
        "numbers": [
            {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["81558"]},
            {"key": "nvidia.com/gpu.memory", "operator": "Lt", "values": ["95830"]},
        ],
    },
}


def _overlaid(template: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(template))
    for key, value in overlay.items():
        if key == "devices":
            changed["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = value
        elif key == "numbers":
            changed["spec"]["affinity"] = _required([{"matchExpressions": value}])
        elif value is None:
            changed["spec"].pop(key, None)
        else:
            changed["spec"][key] = value
    return changed


def _required(terms: list[dict[str, Any]]) -> dict[str, Any]:
    required = {"nodeSelectorTerms": terms}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def accelerator(name: str) -> Accelerator:
    found = resolve_class(name, CATALOG.catalog.classes, name)
    assert isinstance(found, Accelerator)
    return found


def _every_node() -> list[Node]:
    return [node.node for it in ENVIRONMENTS for node in it.nodes]


HOSTNAME = "kubernetes.io/hostname"


def only_on(names: set[str], template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template whose pods ask for one of some nodes besides."""
    changed = copy.deepcopy(dict(template))
    affinity = changed["spec"].get("affinity") or _required([{}])
    required = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    one_of = {"key": HOSTNAME, "operator": "In", "values": sorted(names) or ["none"]}
    for term in required["nodeSelectorTerms"]:
        term["matchExpressions"] = [*term.get("matchExpressions", []), one_of]
    changed["spec"]["affinity"] = affinity
    return changed


@pytest.mark.thorough
def test_the_scheduler_agrees_on_every_node_and_template(cluster: Cluster, pods: Pods) -> None:
    """Every pair, on nodes that are empty: what suits by our account, and what does not.

    That a node is not Ready the scheduler sees by its taints alone.
    """
    nodes = {node.name for it in ENVIRONMENTS for node in it.nodes}
    with standing(cluster, tuple(node for it in ENVIRONMENTS for node in it.nodes)):
        every = [replace(read_node(it), ready=True) for it in cluster.list("nodes")]
        shown = [it for it in every if it.name in nodes]
        assert len(shown) == len(nodes)
        ours = {
            title: (template, [it.name for it in shown if suits(it, template)])
            for title, template in templates().items()
        }
        elsewhere = pods.judged(
            pod_of(f"t{i}", only_on({*nodes} - {*suited}, template))
            for i, (template, suited) in enumerate(ours.values())
        )
        titles = {f"t{i}": title for i, title in enumerate(ours)}
        assert {titles[name]: on for name, on in elsewhere.items() if on} == {}
        pods.clear()
        for group in rounds(ours):
            landed = pods.judged(
                pod_of(f"on-{name}", only_on({name}, template))
                for template, suited in group.values()
                for name in suited
            )
            assert {name: on for name, on in landed.items() if name != f"on-{on}"} == {}, [*group]
            pods.clear()
    assert sum(len(suited) for _, suited in ours.values()) > len(nodes)


Suited = tuple[Mapping[str, Any], list[str]]


def rounds(every: Mapping[str, Suited]) -> list[dict[str, Suited]]:
    """Return the templates in groups, no two of which take the same node."""
    groups: list[dict[str, Suited]] = []
    taken: list[set[str]] = []
    for title, (template, suited) in every.items():
        free = [i for i, names in enumerate(taken) if not names & set(suited)]
        if not free:
            free = [len(groups)]
            groups.append({})
            taken.append(set())
        groups[free[0]][title] = (template, suited)
        taken[free[0]] |= set(suited)
    return groups
