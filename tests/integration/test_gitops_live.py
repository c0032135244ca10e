"""What stands in Git stands in the cluster, however often the operator looks and however it scales.

Models are applied in the two ways that GitOps engines have: what Argo CD and Helm, and Flux, do.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client as kubernetes
from kubernetes import config
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes, wait_for
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import devices
from tests.integration.one_model import Model, Object
from tests.integration.operator import Operator, condition, example, start_operator, until

L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
HEADS = SimulatedNode("gitops-heads", allocatable={"cpu": "64", "memory": "256Gi"})
NODES = [*devices("gitops-l4", L4, 10), HEADS]
LABELS = {
    "app.kubernetes.io/instance": "shop",
    "app.kubernetes.io/managed-by": "Helm",
    "argocd.argoproj.io/instance": "shop",
    "helm.sh/chart": "shop-1.0.0",
    "kustomize.toolkit.fluxcd.io/name": "shop",
}
ANNOTATIONS = {
    "argocd.argoproj.io/sync-wave": "1",
    "argocd.argoproj.io/tracking-id": "shop:freehold.dev/ModelDeployment:models/chat",
    "meta.helm.sh/release-name": "shop",
    "meta.helm.sh/release-namespace": "models",
}
APPLYING = {"client": [], "server": ["--server-side", "--field-manager=gitops"]}
# the ones that are scaled by their load, and the ones that somebody scales with kubectl
SCALING = {"client": {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}}, "server": {}}
# Several of each: the operator looks at one model again and again only once a second.
NAMES = [f"{way}-{i}" for i in range(4) for way in APPLYING]


def manifest(name: str) -> Object:
    """Return what stands in Git: nothing of replicas, which are nobody's or the load's."""
    spec = example("llama-guard-3-8b", replicas=None, **SCALING[way(name)])["spec"]
    return {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "labels": LABELS, "annotations": ANNOTATIONS},
        "spec": spec,
    }


def way(name: str) -> str:
    """Return how a model is applied."""
    return name.partition("-")[0]


@pytest.fixture(scope="module", autouse=True)
def nodes(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(NODES):
        yield


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster, kuberay: KubeRay, shared_processes: Processes, shared_namespace: str
) -> Operator:
    arguments = (f"--namespace={shared_namespace}", "--no-leader-election")
    return start_operator(shared_processes, cluster.kubeconfig, kuberay.environment, *arguments)


@pytest.fixture(scope="module")
def models(
    cluster: Cluster, operator: Operator, kuberay: KubeRay, shared_namespace: str
) -> dict[str, Model]:
    """The models, each applied in its way, and settled."""
    found = {name: Model(cluster, shared_namespace, name, kuberay) for name in NAMES}
    for name, model in found.items():
        text = json.dumps(manifest(name))
        model.kubectl("apply", *APPLYING[way(name)], "-f", "-", stdin=text)
    for model in found.values():
        model.until_settled()
    return found


def look(cluster: Cluster, operator: Operator, models: dict[str, Model], passes: int) -> None:
    """Have every model looked at, until there were so many passes."""
    wanted = operator.passes() + passes
    with config.new_client_from_config(str(cluster.kubeconfig)) as api:
        while (before := operator.passes()) < wanted:
            mark = {"freehold.test/look": secrets.token_hex(4)}
            kubernetes.CoreV1Api(api).patch_node(HEADS.name, {"metadata": {"labels": mark}})
            wait_for(
                "a pass over each",
                lambda before=before: operator.passes() >= before + len(models),
                60,
                every=0.01,
            )


def everything(models: dict[str, Model]) -> dict[str, Any]:
    """Return the models with their status, and their children."""
    return {name: [model.now, model.children()] for name, model in models.items()}


@pytest.mark.thorough
def test_a_hundred_looks_at_what_is_at_rest_write_nothing(
    cluster: Cluster, operator: Operator, models: dict[str, Model]
) -> None:
    look(cluster, operator, models, 2 * len(models))
    before, writes = everything(models), operator.writes()
    look(cluster, operator, models, 100)
    assert operator.writes() == writes
    assert everything(models) == before
    assert_as_in_git(models)


def test_scaling_up_leaves_the_spec_as_it_is_in_git(
    cluster: Cluster, operator: Operator, models: dict[str, Model]
) -> None:
    by_load, by_hand = models[NAMES[0]], models[NAMES[1]]
    scaled = (by_load, by_hand)
    by_load.kuberay.ray.steer(by_load.namespace, by_load.name, target=2)
    # as Ray's autoscaler writes it
    patch = [{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 2}]
    by_load.kubectl("patch", "raycluster", by_load.active, "--type=json", f"-p={json.dumps(patch)}")
    by_hand.kubectl("scale", "fmd", by_hand.name, "--replicas=2")
    until("a pod for each", lambda: all(len(it.pods(it.active)) == 3 for it in scaled))
    look(cluster, operator, models, len(models))
    for model in scaled:
        status = model.until("two are wanted", lambda it: it["desiredReplicas"] == 2)
        assert condition({"status": status}, "Ready")["status"] == "True"
    look(cluster, operator, models, 4 * len(models))
    assert_as_in_git(models)
    # what the autoscaler wrote is the autoscaler's
    (group,) = (cluster.get("raycluster", by_load.active, by_load.namespace) or {})["spec"][
        "workerGroupSpecs"
    ]
    assert [group[it] for it in ("replicas", "minReplicas", "maxReplicas")] == [2, 1, 3]


def assert_as_in_git(models: dict[str, Model]) -> None:
    """Assert that no way of comparing finds a difference, and that only users own the spec."""
    for name, model in models.items():
        text = json.dumps(manifest(name))
        for options in APPLYING.values() if way(name) == "server" else [[]]:
            model.kubectl("diff", *options, "-f", "-", stdin=text)
        shown = model.kubectl("get", "fmd", name, "-ojson", "--show-managed-fields")
        owners = json.loads(shown)["metadata"]["managedFields"]
        of_spec = {it["manager"] for it in owners if "f:spec" in it["fieldsV1"]}
        assert of_spec <= {"kubectl-client-side-apply", "gitops", "kubectl"}


def test_no_child_bears_what_a_gitops_engine_would_prune_it_by(
    cluster: Cluster, models: dict[str, Model], shared_namespace: str
) -> None:
    assert set(LABELS) <= set(models[NAMES[0]].now["metadata"]["labels"])
    kinds = "rayservices,rayclusters,pods,services,endpointslices,configmaps,secrets"
    children = cluster.list(f"{kinds},controllerrevisions,serviceaccounts", shared_namespace)
    assert len(children) > 12
    engines = ("argocd.argoproj.io/", "helm.sh/", "meta.helm.sh/", "kustomize.toolkit.fluxcd.io/")
    names = ("app.kubernetes.io/instance", "kubectl.kubernetes.io/last-applied-configuration")
    for child in children:
        metadata = child["metadata"]
        marks = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
        told = f"{child['kind']} {metadata['name']}: {marks}"
        assert not [it for it in marks if it.startswith(engines) or it in names], told
        assert marks.get("app.kubernetes.io/managed-by") != "Helm", told
