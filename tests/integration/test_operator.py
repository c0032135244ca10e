"""The operator beside KubeRay: from a manifest to an endpoint that answers, and back to nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.processes import Processes, wait_for
from tests.installation.kuberay import KubeRay
from tests.integration.harness import Kubectl
from tests.integration.operator import (
    PATIENCE_S,
    RACK,
    Operator,
    apply_model,
    condition,
    example,
    start_operator,
    until,
    wait_for_condition,
)
from tests.integration.ray_services import NAME as TINY
from tests.integration.ray_services import ray_service
from tests.variations import every

from freehold.render.change import owned_differs


@pytest.fixture(scope="module", autouse=True)
def rack(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(RACK):
        yield


@pytest.fixture
def operator(cluster: Cluster, kuberay: KubeRay, processes: Processes, namespace: str) -> Operator:
    """An operator for the test's namespace alone."""
    arguments = (f"--namespace={namespace}", "--no-leader-election")
    return start_operator(processes, cluster.kubeconfig, kuberay.environment, *arguments)


NAME = "llama-guard-3-8b"
OURS = "rayservice,service,configmap,controllerrevision,secret"
KINDS = {"RayService", "Service", "ConfigMap", "ControllerRevision", "Secret"}
PASSES = 'freehold_pass_duration_seconds_count{outcome="done"}'


@pytest.fixture
def serving(cluster: Cluster, operator: Operator, namespace: str) -> dict[str, Any]:
    """A model that answers."""
    apply_model(cluster, namespace, example(NAME))
    return wait_for_condition(cluster, namespace, NAME, "Ready", "True")


def requests(kuberay: KubeRay, namespace: str, name: str = NAME) -> int:
    """Return how many requests of any kind reached a model's endpoint."""
    return sum(kuberay.ray.model(namespace, name)["requests"].values())


def child(cluster: Cluster, kind: str, namespace: str, name: str = NAME) -> dict[str, Any]:
    found = cluster.get(kind, name, namespace)
    assert found is not None
    return found


def test_a_manifest_becomes_an_endpoint_that_answers(
    cluster: Cluster, operator: Operator, kuberay: KubeRay, namespace: str, kubectl: Kubectl
) -> None:
    apply_model(cluster, namespace, example(NAME))
    kubectl("wait", "--for=condition=Ready", f"fmd/{NAME}", "--timeout=60s")
    model = child(cluster, "fmd", namespace)
    assert condition(model, "Ready")["reason"] == "Answers"
    assert condition(model, "Reconciling")["status"] == "False"
    assert model["status"]["readyReplicas"] == 1
    assert model["status"]["currentRevision"] == model["status"]["updateRevision"]
    assert kuberay.ray.model(namespace, NAME)["requests"] == {"/v1/completions": 1}


def test_the_load_and_what_was_decided_of_it_are_in_the_status(
    cluster: Cluster, operator: Operator, kuberay: KubeRay, namespace: str, kubectl: Kubectl
) -> None:
    told = {"reason": "ScalingUp", "message": "2 replicas are wanted.", "running": 16, "queued": 5}
    kuberay.ray.steer(namespace, NAME, scaling=json.dumps(told))
    apply_model(cluster, namespace, example(NAME))
    kubectl("wait", "--for=condition=Ready", f"fmd/{NAME}", "--timeout=60s")
    model = child(cluster, "fmd", namespace)
    assert model["status"]["scaling"] == {**told, "starting": 0}
    head, row = kubectl("get", "fmd", NAME, "--output=wide").splitlines()
    shown = dict(zip(head.split(), row.split(), strict=True))
    assert (shown["RUNNING"], shown["QUEUED"]) == ("16", "5")


def test_a_model_at_zero_is_ready_and_nothing_wakes_it(
    cluster: Cluster, operator: Operator, kuberay: KubeRay, namespace: str
) -> None:
    name = "llama-3-1-8b"
    hardware = {"candidates": [{"name": "l4", "accelerator": "l4-24gb"}]}
    apply_model(cluster, namespace, example("llama-3.1-8b", hardware=hardware))
    model = wait_for_condition(cluster, namespace, name, "Ready", "True", "ScaledToZero")
    assert model["status"]["replicas"] == 0
    for look in ("one", "two"):
        passes = operator.metric(PASSES)
        cluster.kubectl("annotate", "fmd", name, "-n", namespace, f"look={look}", "--overwrite")
        until("another pass", lambda passes=passes: operator.metric(PASSES) > passes)
    assert requests(kuberay, namespace, name) == 0


def test_what_is_changed_by_hand_is_put_back(
    cluster: Cluster, serving: dict[str, Any], namespace: str, kubectl: Kubectl
) -> None:
    before = child(cluster, "rayservice", namespace)
    head = "/spec/rayClusterConfig/headGroupSpec/template/spec/containers/0"
    spoil = [
        {"op": "replace", "path": f"{head}/image", "value": "somebody/elses"},
        {"op": "add", "path": "/spec/suspend", "value": True},
        {"op": "remove", "path": "/metadata/labels/freehold.dev~1model"},
    ]
    kubectl("patch", "rayservice", NAME, "--type=json", "-p", json.dumps(spoil))

    def put_back() -> bool:
        found = child(cluster, "rayservice", namespace)
        return bool(
            found["metadata"]["labels"] == before["metadata"]["labels"]
            and owned_differs({"spec": before["spec"]}, found) == []
        )

    until("it is as it was", put_back)


@pytest.mark.parametrize("kind", ["service", "rayservice"])
def test_a_child_that_is_deleted_by_hand_is_made_again(
    kind: str, cluster: Cluster, serving: dict[str, Any], namespace: str, kubectl: Kubectl
) -> None:
    old = child(cluster, kind, namespace)["metadata"]["uid"]

    def another() -> bool:
        found = cluster.get(kind, NAME, namespace)
        return found is not None and found["metadata"]["uid"] != old

    kubectl("delete", kind, NAME, "--wait=false")
    until(f"another {kind}", another)
    wait_for_condition(cluster, namespace, NAME, "Ready", "True")


def spec_of(cluster: Cluster, namespace: str) -> Any:
    return (cluster.get("rayservice", NAME, namespace) or {}).get("spec")


def test_somebody_else_s_object_is_left_alone_and_in_the_way(
    cluster: Cluster, operator: Operator, namespace: str, kubectl: Kubectl
) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }
    cluster.apply(theirs, namespace=namespace)
    before = child(cluster, "service", namespace)
    apply_model(cluster, namespace, example(NAME))
    model = wait_for_condition(cluster, namespace, NAME, "Ready", "False", "ChildNotOurs")
    assert f"Service named {NAME}" in condition(model, "Ready")["message"]
    assert child(cluster, "service", namespace)["metadata"] == before["metadata"]
    assert cluster.get("rayservice", NAME, namespace) is None  # no hardware for nothing
    kubectl("delete", "service", NAME)
    wait_for_condition(cluster, namespace, NAME, "Ready", "True")


def test_bounds_reach_the_live_cluster_and_restart_nothing(
    cluster: Cluster, serving: dict[str, Any], kuberay: KubeRay, namespace: str, kubectl: Kubectl
) -> None:
    (before,) = cluster.list("raycluster", namespace)
    kubectl("scale", "fmd", NAME, "--replicas=3")
    until(
        "three replicas in the live cluster",
        lambda: (
            cluster.list("raycluster", namespace)[0]["spec"]["workerGroupSpecs"][0]["maxReplicas"]
            == 3
        ),
    )
    (after,) = cluster.list("raycluster", namespace)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["workerGroupSpecs"][0]["minReplicas"] == 3
    assert len(cluster.list("controllerrevision", namespace)) == 1
    until(
        "three replicas are wanted",
        lambda: child(cluster, "fmd", namespace)["status"]["desiredReplicas"] == 3,
    )


def test_suspending_releases_the_hardware_and_keeps_the_object(
    cluster: Cluster, serving: dict[str, Any], namespace: str, kubectl: Kubectl
) -> None:
    kubectl("patch", "fmd", NAME, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    until("no pod is left", lambda: not cluster.list("pod", namespace))
    wait_for_condition(cluster, namespace, NAME, "Ready", "False", "Suspended")
    kubectl("patch", "fmd", NAME, "--type=merge", "-p", '{"spec": {"suspend": false}}')
    wait_for_condition(cluster, namespace, NAME, "Ready", "True")


def test_a_paused_model_is_left_as_it_is_until_it_is_not_paused(
    cluster: Cluster, serving: dict[str, Any], namespace: str, kubectl: Kubectl
) -> None:
    kubectl("annotate", "fmd", NAME, "freehold.dev/paused=true")
    wait_for_condition(cluster, namespace, NAME, "Reconciling", "False", "Paused")
    before = child(cluster, "rayservice", namespace)
    kubectl("scale", "fmd", NAME, "--replicas=2")
    wait_for_condition(cluster, namespace, NAME, "Ready", "False", "Paused")
    assert child(cluster, "rayservice", namespace)["spec"] == before["spec"]
    kubectl("annotate", "fmd", NAME, "freehold.dev/paused-")
    until(
        "two replicas",
        lambda: (
            spec_of(cluster, namespace)["rayClusterConfig"]["workerGroupSpecs"][0]["maxReplicas"]
            == 2
        ),
    )


def test_a_model_of_another_manager_is_left_alone(
    cluster: Cluster, operator: Operator, namespace: str
) -> None:
    apply_model(cluster, namespace, example(NAME, managedBy="example.com/other"))
    ours = example("llama-3.1-8b", suspend=True)
    apply_model(cluster, namespace, ours)
    until(
        "ours has a status",
        lambda: condition(cluster.get("fmd", "llama-3-1-8b", namespace), "Ready"),
    )
    assert child(cluster, "fmd", namespace)["status"] == {"observedGeneration": -1}
    assert cluster.get("rayservice", NAME, namespace) is None


OF_ANY_MODEL = "freehold.dev/model"


@pytest.mark.parametrize("cascade", every(("background", "foreground"), always=["background"]))
def test_deletion_leaves_nothing_but_keys_even_when_kuberay_is_gone(
    cascade: str,
    cluster: Cluster,
    serving: dict[str, Any],
    kuberay: KubeRay,
    namespace: str,
    kubectl: Kubectl,
) -> None:
    kuberay.server.stop()
    try:
        kubectl("delete", "fmd", NAME, f"--cascade={cascade}", "--wait=false")
        kinds = "fmd,rayservice,raycluster,pod,service,configmap,controllerrevision,secret"
        wait_for(
            "nothing but the keys is left",
            lambda: (
                [it["metadata"]["name"] for it in cluster.list(kinds, namespace, OF_ANY_MODEL)]
                == [f"{NAME}-api-key"]
            ),
            3 * PATIENCE_S,
        )
    finally:
        kuberay.server.start()


def test_a_cluster_that_is_gone_serves_nothing_whatever_kuberay_has_said(
    cluster: Cluster,
    serving: dict[str, Any],
    kuberay: KubeRay,
    namespace: str,
    kubectl: Kubectl,
) -> None:
    """KubeRay's status speaks of it until KubeRay has looked again."""
    gone = child(cluster, "rayservice", namespace)["status"]["activeServiceStatus"]
    kuberay.server.stop()
    try:
        kubectl("delete", "raycluster", gone["rayClusterName"])
        wait_for_condition(cluster, namespace, NAME, "Placed", "False", "Creating")
        wait_for_condition(cluster, namespace, NAME, "Ready", "False", "Creating")
        said = child(cluster, "rayservice", namespace)["status"]["activeServiceStatus"]
        assert said["rayClusterName"] == gone["rayClusterName"]
    finally:
        kuberay.server.start()
    wait_for_condition(cluster, namespace, NAME, "Ready", "True")


def wait_for_collector(cluster: Cluster, namespace: str) -> None:
    """Wait until the garbage collector follows RayServices: of new kinds it hears now and then.

    Before, it would orphan what it knows and later collect the rest.
    """
    place = {"namespace": namespace}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    cluster.apply(owner, **place)
    uid = child(cluster, "configmap", namespace, "owner")["metadata"]["uid"]
    owned = ray_service(suspend=True)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    owned["metadata"]["ownerReferences"] = [reference]
    cluster.apply(owned, **place)
    cluster.kubectl("delete", "configmap", "owner", "--namespace", namespace)
    until("it is collected", lambda: cluster.get("rayservice", TINY, namespace) is None)


def test_what_is_orphaned_stays_and_belongs_to_nobody(
    cluster: Cluster, serving: dict[str, Any], namespace: str, kubectl: Kubectl
) -> None:
    """A patch that writes a revision anew must find its data as the API server spells them."""
    wait_for_collector(cluster, namespace)
    kubectl("delete", "fmd", NAME, "--cascade=orphan", "--timeout=60s")
    left = cluster.list(OURS, namespace, f"freehold.dev/model={NAME}")
    assert {it["kind"] for it in left} == KINDS
    owners = [owner["kind"] for it in left for owner in it["metadata"].get("ownerReferences", [])]
    assert "ModelDeployment" not in owners
    assert child(cluster, "rayservice", namespace)["status"]["serviceStatus"] == "Running"
