"""A frozen revision and its objects at a real API server, beside KubeRay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster, KubectlFailed
from tests.control_plane.processes import wait_for
from tests.installation.kuberay import KubeRay
from tests.integration.harness import Kubectl
from tests.unit.render.rendered import on, planned, two_nodes
from tests.unit.render.test_revision import frozen_for, read

from freehold.render.change import owned_differs, ray_cluster_bounds_patch
from freehold.render.numbers import Numbers
from freehold.render.revision import Frozen, freeze, objects_of

SECONDS = 60.0
Object = dict[str, Any]
FROZEN = {
    "a replica of one pod": frozen_for(planned(hardware=on("l4-24gb"))),
    "a replica over two nodes": frozen_for(two_nodes()),
}


def here(objects: list[Object], namespace: str) -> list[Object]:
    for item in objects:
        item["metadata"]["namespace"] = namespace
    return objects


def apply(kubectl: Kubectl, item: Object) -> Object:
    """Apply an object as the operator does, under strict validation."""
    return dict(
        json.loads(
            kubectl(
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=freehold",
                "--validate=strict",
                "--output=json",
                "-f-",
                stdin=json.dumps(item),
            )
        )
    )


@pytest.fixture(name="owner")
def _owner(kubectl: Kubectl) -> Iterator[str]:
    """Return the uid of a ModelDeployment named ``llama``."""
    model = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "llama"},
        "spec": {"model": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct"}},
    }
    made = json.loads(kubectl("create", "-f-", "--output=json", stdin=json.dumps(model)))
    yield made["metadata"]["uid"]
    kubectl("delete", "modeldeployment", "llama", "--wait=false")


@pytest.mark.parametrize("frozen", FROZEN.values(), ids=FROZEN)
def test_a_revision_comes_back_as_it_was(
    kubectl: Kubectl, namespace: str, owner: str, frozen: Frozen
) -> None:
    frozen = replace(frozen, objects=tuple(_placed(it, namespace) for it in frozen.objects))
    raw = freeze(frozen, "llama", namespace, owner, 1)
    kubectl("create", "--validate=strict", "-f-", stdin=json.dumps(raw))
    name = raw["metadata"]["name"]
    found = read(json.loads(kubectl("get", "controllerrevision", name, "--output=json")))
    assert found.decided.parts == frozen.parts
    before, after = (
        json.dumps(objects_of(it, Numbers(1, 3)), sort_keys=True) for it in (frozen, found.frozen)
    )
    assert after == before


def _placed(item: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    return {**item, "metadata": {**item["metadata"], "namespace": namespace}}


def test_nobody_changes_what_was_frozen(kubectl: Kubectl, namespace: str, owner: str) -> None:
    raw = freeze(frozen_for(planned()), "llama", namespace, owner, 1)
    kubectl("create", "-f-", stdin=json.dumps(raw))
    patch = json.dumps({"data": {"modelCommit": "another"}})
    with pytest.raises(KubectlFailed, match="immutable"):
        kubectl(
            "patch", "controllerrevision", raw["metadata"]["name"], "--type=merge", f"-p={patch}"
        )


@pytest.mark.parametrize("frozen", FROZEN.values(), ids=FROZEN)
def test_kuberay_and_we_do_not_write_in_turn(
    cluster: Cluster,
    kuberay: KubeRay,
    kubectl: Kubectl,
    namespace: str,
    owner: str,
    frozen: Frozen,
) -> None:
    """KubeRay writes the object back with its finalizer, and nothing else is another then."""
    objects = here(
        objects_of(frozen, Numbers(1, 3), revision="llama-1", owner_uid=owner), namespace
    )
    applied = [apply(kubectl, item) for item in objects]
    assert [owned_differs(*pair) for pair in zip(objects, applied, strict=True)] == [[], [], []]

    def has_cluster() -> Object | None:
        found = cluster.get("rayservice", "llama", namespace)
        status = (found or {}).get("status") or {}
        pending = status.get("pendingServiceStatus") or status.get("activeServiceStatus") or {}
        return found if pending.get("rayClusterName") else None

    wait_for("KubeRay has made a cluster", lambda: has_cluster() is not None, SECONDS)
    live = has_cluster()
    assert live is not None
    assert live["metadata"]["finalizers"] == ["ray.io/rayservice-finalizer"]
    assert live["metadata"]["generation"] == 1
    assert owned_differs(objects[1], live) == []
    again = apply(kubectl, objects[1])
    assert owned_differs(objects[1], again) == []


def test_bounds_reach_the_cluster_and_what_the_autoscaler_wrote_stays(
    cluster: Cluster, kuberay: KubeRay, kubectl: Kubectl, namespace: str, owner: str
) -> None:
    frozen = FROZEN["a replica of one pod"]
    objects = here(objects_of(frozen, Numbers(1, 1), owner_uid=owner), namespace)
    for item in objects:
        apply(kubectl, item)

    def clusters() -> list[Object]:
        label = "ray.io/originated-from-cr-name=llama"
        return list(json.loads(kubectl("get", "rayclusters", "-l", label, "-ojson"))["items"])

    wait_for("there is a cluster", lambda: bool(clusters()), SECONDS)
    (live,) = clusters()
    name = live["metadata"]["name"]
    scaled = [{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 1}]
    kubectl("patch", "raycluster", name, "--type=json", f"-p={json.dumps(scaled)}")
    wanted = objects_of(frozen, Numbers(1, 4))[1]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    patch = ray_cluster_bounds_patch(wanted, live)
    assert patch is not None
    kubectl("patch", "raycluster", name, "--type=json", f"-p={json.dumps(patch)}")
    (changed,) = clusters()
    (group,) = changed["spec"]["workerGroupSpecs"]
    assert [group[it] for it in ("replicas", "minReplicas", "maxReplicas")] == [1, 1, 4]
    assert ray_cluster_bounds_patch(wanted, changed) is None
    patch[0]["value"] = "another"
    with pytest.raises(KubectlFailed, match="test"):
        kubectl("patch", "raycluster", name, "--type=json", f"-p={json.dumps(patch)}")


@pytest.mark.parametrize("name", ["llama-head-svc", "llama-serve-svc"])
def test_a_name_that_kuberay_takes_is_refused(kubectl: Kubectl, name: str) -> None:
    model = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct"}},
    }
    with pytest.raises(KubectlFailed, match="does not end in -head-svc or -serve-svc"):
        kubectl("create", "-f-", stdin=json.dumps(model))
