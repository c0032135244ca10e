"""What KubeRay does about pods that go, fail or cannot be made, a real operator or the stand-in.

Nothing runs in these pods, so their ends are written into their statuses, as a kubelet would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.installation.kuberay import KubeRay
from tests.integration.ray_services import Object, World, group, ray_service
from tests.integration.recording import recording

INDEX = "ray.io/worker-group-replica-index"
REPLICA = "ray.io/worker-group-replica-name"
SCALED = {"enableInTreeAutoscaling": True, "autoscalerOptions": {"version": "v2"}}


@pytest.fixture(scope="module", autouse=True)
def node(cluster: Cluster) -> Iterator[None]:
    """One node with room for all pods of these tests."""
    with cluster.standing([SimulatedNode("kuberay-pods", allocatable={"cpu": "500"})]):
        yield


@pytest.fixture
def world(cluster: Cluster, namespace: str, kuberay: KubeRay) -> Iterator[World]:
    with recording(cluster, namespace) as recorded:
        found = World(cluster, namespace, kuberay, recorded)
        yield found
        found.kubectl("delete", "rayservices", "--all", "--wait=false")


def given(*, scaled: bool = False, **of_group: Any) -> Object:
    """Return a RayService whose one worker group is as told."""
    item = ray_service()
    cluster = item["spec"]["rayClusterConfig"]
    cluster["workerGroupSpecs"] = [group(**({"maxReplicas": 5} | of_group))]
    cluster |= SCALED if scaled else {}
    return item


def workers(world: World) -> dict[str, Object]:
    """Return the workers by name."""
    found = world.cluster.list("pods", world.namespace, "ray.io/node-type=worker")
    return {pod["metadata"]["name"]: pod for pod in found}


def labels(pod: Object) -> dict[str, str]:
    found: dict[str, str] = pod["metadata"]["labels"]
    return found


def replicas(world: World) -> dict[str, set[str]]:
    """Return the names of the workers by that of their replica."""
    found: dict[str, set[str]] = {}
    for name, pod in workers(world).items():
        found.setdefault(labels(pod)[REPLICA], set()).add(name)
    return found


def set_status(world: World, pod: str, **status: Any) -> None:
    patch = json.dumps({"status": status})
    world.kubectl("patch", "pod", pod, "--subresource=status", f"--patch={patch}")


def set_group(world: World, **fields: Any) -> None:
    """Change the live cluster's worker group, as Ray's autoscaler does."""
    changes = [
        {"op": "replace", "path": f"/spec/workerGroupSpecs/0/{key}", "value": value}
        for key, value in fields.items()
    ]
    patch = ("--type=json", f"--patch={json.dumps(changes)}")
    world.kubectl("patch", "raycluster", world.active, *patch)


def cluster_condition(world: World, type: str) -> Object:
    """Return a condition of the only RayCluster; empty without it."""
    (live,) = world.all("rayclusters")
    found = [it for it in live["status"].get("conditions", []) if it["type"] == type]
    return dict(found[0]) if found else {}


def all_replaced(world: World, *gone: str, count: int) -> bool:
    now = workers(world)
    return len(now) == count and not set(gone) & set(now)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended_is_made_again_in_its_place(world: World, phase: str) -> None:
    world.start(given(replicas=2))
    (first,) = (name for name, pod in workers(world).items() if labels(pod)[INDEX] == "0")
    set_status(world, first, phase=phase)
    world.eventually("another one", lambda: all_replaced(world, first, count=2))
    assert sorted(labels(pod)[INDEX] for pod in workers(world).values()) == ["0", "1"]


def test_a_pod_whose_ray_has_ended_for_good_is_made_again(world: World) -> None:
    """The pod is still Running, since its other container is."""
    world.start(given(scaled=True))
    ((name, pod),) = workers(world).items()
    assert pod["spec"]["restartPolicy"] == "Never"
    (told,) = pod["status"]["containerStatuses"]
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    set_status(world, name, containerStatuses=[told | {"state": ended, "ready": False}])
    world.eventually("another one", lambda: all_replaced(world, name, count=1))


def test_a_head_that_has_ended_is_made_again(world: World) -> None:
    world.start()
    (old,) = world.cluster.list("pods", world.namespace, "ray.io/node-type=head")
    set_status(world, old["metadata"]["name"], phase="Failed")

    def another() -> bool:
        heads = world.cluster.list("pods", world.namespace, "ray.io/node-type=head")
        return [it["metadata"]["uid"] for it in heads] not in ([], [old["metadata"]["uid"]])

    world.eventually("another head", another)


def test_one_host_takes_its_whole_replica_along(world: World) -> None:
    world.start(given(replicas=2, numOfHosts=2))
    whole = replicas(world)
    lost, kept = sorted(whole, key=lambda name: labels(workers(world)[min(whole[name])])[INDEX])
    world.kubectl("delete", "pod", min(whole[lost]))
    world.eventually("another replica", lambda: all_replaced(world, *whole[lost], count=4))
    now = replicas(world)
    assert now[kept] == whole[kept] and lost not in now
    assert {labels(pod)[INDEX] for pod in workers(world).values()} == {"0", "1"}


def test_a_replica_with_a_failed_host_is_made_again(world: World) -> None:
    world.start(given(numOfHosts=2))
    (whole,) = replicas(world).values()
    set_status(world, min(whole), phase="Failed")
    world.eventually("another replica", lambda: all_replaced(world, *whole, count=2))
    assert len(replicas(world)) == 1


def test_the_autoscaler_names_one_host_and_its_replica_goes(world: World) -> None:
    world.start(given(scaled=True, replicas=2, numOfHosts=2))
    whole = replicas(world)
    lost, kept = sorted(whole)
    set_group(world, replicas=1, scaleStrategy={"workersToDelete": [min(whole[lost])]})
    world.eventually("it is gone", lambda: replicas(world) == {kept: whole[kept]})


def test_with_an_autoscaler_a_lower_count_alone_deletes_nothing(world: World) -> None:
    world.start(given(scaled=True, replicas=2))
    before = set(workers(world))
    set_group(world, replicas=1)

    def seen() -> bool:
        (live,) = world.all("rayclusters")
        return bool(live["status"]["desiredWorkerReplicas"] == 1)

    world.eventually("it is seen", seen)
    assert set(workers(world)) == before


def test_without_an_autoscaler_a_lower_count_deletes_whole_replicas(world: World) -> None:
    world.start(given(replicas=2, numOfHosts=2))
    before = replicas(world)
    set_group(world, replicas=1)
    world.eventually("one replica", lambda: len(replicas(world)) == 1)
    ((name, members),) = replicas(world).items()
    assert before[name] == members


def test_pods_that_a_quota_refuses_are_told_of_until_they_can_be_made(world: World) -> None:
    world.start()
    world.kubectl("create", "quota", "few", "--hard=pods=2")
    set_group(world, replicas=2)
    world.eventually("told", lambda: bool(cluster_condition(world, "ReplicaFailure")))
    found = cluster_condition(world, "ReplicaFailure")
    assert (found["status"], found["reason"]) == ("True", "FailedCreateWorkerPod")
    first, second = found["message"].split("\n")
    assert first == "FailedCreateWorkerPod"
    assert second.endswith("exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2")
    world.kubectl("delete", "quota", "few")
    world.eventually("made", lambda: len(workers(world)) == 2)
    world.eventually("told no more", lambda: not cluster_condition(world, "ReplicaFailure"))


def test_why_a_head_is_not_ready_is_told_as_its_container_says(world: World) -> None:
    world.start()
    (head,) = world.cluster.list("pods", world.namespace, "ray.io/node-type=head")
    (told,) = head["status"]["containerStatuses"]
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    not_ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    set_status(
        world,
        head["metadata"]["name"],
        conditions=[not_ready | {"message": "containers with unready status: [ray]"}],
        containerStatuses=[told | {"state": waits, "ready": False}],
    )
    world.eventually(
        "told", lambda: cluster_condition(world, "HeadPodReady").get("status") == "False"
    )
    found = cluster_condition(world, "HeadPodReady")
    assert found["reason"] == "ImagePullBackOff"
    assert found["message"] == "containers with unready status: [ray]; ray: no such image"


def test_a_head_keeps_its_state_in_the_redis_that_its_cluster_names(world: World) -> None:
    item = ray_service()
    secret = {"valueFrom": {"secretKeyRef": {"name": "redis", "key": "password"}}}
    options = {"redisAddress": "redis:6379", "redisPassword": secret}
    item["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"] = options
    world.start(item)
    (live,) = world.all("rayclusters")
    (head,) = world.cluster.list("pods", world.namespace, "ray.io/node-type=head")
    annotations = head["metadata"]["annotations"]
    assert annotations["ray.io/ft-enabled"] == "true"
    assert annotations["ray.io/external-storage-namespace"] == live["metadata"]["uid"]
    ray = head["spec"]["containers"][0]
    env = {it["name"]: it for it in ray["env"]}
    assert env["RAY_REDIS_ADDRESS"]["value"] == "redis:6379"
    assert env["REDIS_PASSWORD"] == {"name": "REDIS_PASSWORD", **secret}
    assert env["RAY_external_storage_namespace"]["value"] == live["metadata"]["uid"]
    assert " --redis-password=$REDIS_PASSWORD " in ray["args"][0]
    ((_, worker),) = workers(world).items()
    waits = {it["name"]: it.get("value") for it in worker["spec"]["containers"][0]["env"]}
    assert waits["RAY_gcs_rpc_server_reconnect_timeout_s"] == "600"
    let_go(world, live)


def let_go(world: World, live: Object) -> None:
    """Take off the finalizer with which a real operator empties the Redis first: there is none."""
    if live["metadata"].get("finalizers"):
        world.kubectl("delete", "rayservices,rayclusters", "--all", "--wait=false")
        patch = ("--type=merge", '--patch={"metadata": {"finalizers": null}}')
        world.kubectl("patch", "raycluster", live["metadata"]["name"], *patch)
