"""What KubeRay does with a RayService: the same tests for a real operator and for the stand-in.

What they hold to is what was recorded from a real one (``tests/data/kuberay/sequences.yaml``), and
what the real one does where no recording shows it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.installation.kuberay import KubeRay
from tests.integration.harness import ROOT
from tests.integration.ray_services import NAME, Object, World, group, ray_service, serve_config
from tests.integration.recording import recording

RECORDED = yaml.safe_load((ROOT / "tests/data/kuberay/sequences.yaml").read_text())
SERVER = f"LLMServer:{NAME}"


@pytest.fixture(scope="module", autouse=True)
def node(cluster: Cluster) -> Iterator[None]:
    """One node with room for all pods of these tests."""
    with cluster.standing([SimulatedNode("kuberay", allocatable={"cpu": "500"})]):
        yield


@pytest.fixture
def world(cluster: Cluster, namespace: str, kuberay: KubeRay) -> Iterator[World]:
    with recording(cluster, namespace) as recorded:
        yield World(cluster, namespace, kuberay, recorded)
        # a namespace does not end before its RayServices do
        cluster.kubectl("--namespace", namespace, "delete", "rayservices", "--all", "--wait=false")


def pods(world: World, type: str = "") -> list[Object]:
    selector = f"ray.io/node-type={type}" if type else ""
    return world.cluster.list("pods", world.namespace, selector)


def cluster_names(world: World) -> list[str]:
    return sorted(item["metadata"]["name"] for item in world.all("rayclusters"))


def test_a_rayservice_becomes_ready_in_the_recorded_order(world: World) -> None:
    found = world.start()
    assert world.recorded.steps() == RECORDED["start"]
    assert found["status"]["serviceStatus"] == "Running"
    active, name = found["status"]["activeServiceStatus"], world.active
    assert name.startswith(f"{NAME}-") and len(name) == len(NAME) + 6
    assert active["rayClusterStatus"]["head"]["serviceName"] == f"{name}-head-svc"
    told = active["applicationStatuses"][NAME]
    assert told["status"] == "RUNNING"
    assert told["serveDeploymentStatuses"][SERVER] == {"status": "HEALTHY"}
    # the head and the worker both take requests
    assert world.wait("both", lambda item: item["status"]["numServeEndpoints"] == 2)
    assert world.asked["declared"] == 1


def test_the_children_are_those_recorded(world: World) -> None:
    world.start()
    name = world.active
    (cluster,) = world.all("rayclusters")
    assert cluster["metadata"]["labels"] == {
        "team": "a",
        "ray.io/originated-from-cr-name": NAME,
        "ray.io/originated-from-crd": "RayService",
    }
    annotations = cluster["metadata"]["annotations"]
    assert annotations["note"] == "b"
    assert annotations["ray.io/num-worker-groups"] == "1"
    assert len(annotations["ray.io/hash-without-replicas-and-workers-to-delete"]) == 32
    services = {item["metadata"]["name"]: item["spec"] for item in world.all("services")}
    assert set(services) == {f"{name}-head-svc", f"{NAME}-head-svc", f"{NAME}-serve-svc"}
    assert services[f"{NAME}-serve-svc"]["selector"] == {
        "ray.io/cluster": name,
        "ray.io/serve": "true",
    }
    assert services[f"{NAME}-head-svc"]["selector"]["ray.io/cluster"] == name
    for type in ("head", "worker"):
        (pod,) = pods(world, type)
        labels = json.loads(json.dumps(RECORDED[f"{type} labels"]).replace("CLUSTER", name))
        more = {"ray.io/serve": "true"} if type == "head" else {"freehold.dev/model": NAME}
        # of the RayService's labels no pod has any
        assert pod["metadata"]["labels"] == labels | more


QUANTITIES = {
    "whole gibibytes": ({"memory": "8192Mi"}, {"memory": "8Gi"}),
    "half a processor": ({"cpu": "0.5"}, {"cpu": "500m"}),
    "a number": ({"example.com/gpu": 1}, {"example.com/gpu": "1"}),
    "as it should be": ({"cpu": "1", "memory": "1536Mi"}, {"cpu": "1", "memory": "1536Mi"}),
}


def test_what_is_written_into_the_spec(world: World) -> None:
    item = ray_service(suspend=False, excludeHeadPodFromServeSvc=False)
    container = {"name": "bare", "image": "ray:1"}
    spec = item["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    spec["containers"] += [
        container | {"name": f"c{index}", "resources": {"limits": given}}
        for index, (given, _) in enumerate(QUANTITIES.values())
    ]
    spec["containers"].append(container)
    spec["volumes"] = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2048Mi"}}]
    world.apply(item)
    found = world.wait("taken", lambda found: "pendingServiceStatus" in found["status"])
    assert found["metadata"]["finalizers"] == ["ray.io/rayservice-finalizer"]
    assert found["metadata"]["generation"] == 2
    assert not {"suspend", "excludeHeadPodFromServeSvc"} & set(found["spec"])
    cluster = found["spec"]["rayClusterConfig"]
    assert cluster["headGroupSpec"]["template"]["metadata"] == {}
    assert cluster["workerGroupSpecs"][0]["scaleStrategy"] == {}
    head = cluster["headGroupSpec"]["template"]["spec"]
    _, *counted, bare = head["containers"]
    assert [one["resources"]["limits"] for one in counted] == [
        wanted for _, wanted in QUANTITIES.values()
    ]
    assert bare["resources"] == {}
    assert head["volumes"][0]["emptyDir"]["sizeLimit"] == "2Gi"


def test_what_is_whole_already_is_not_rewritten(world: World) -> None:
    """The three fields, canonical quantities: then the finalizer is all that KubeRay adds."""
    item = ray_service()
    cluster = item["spec"]["rayClusterConfig"]
    cluster["headGroupSpec"]["template"]["metadata"] = {"labels": {"freehold.dev/model": NAME}}
    cluster["workerGroupSpecs"][0]["scaleStrategy"] = {}
    found = world.start(item)
    assert found["metadata"]["generation"] == 1
    world.kubectl("apply", "--server-side", "-f-", stdin=json.dumps(item))  # no conflict
    assert world.now["metadata"]["generation"] == 1


def test_serve_changes_are_taken_in_place(world: World) -> None:
    world.start()
    mark, name = world.mark, world.active
    (before,) = world.asked["clusters"].values()
    scaling = {"min_replicas": 2, "max_replicas": 3}
    changed = [{"name": SERVER, "autoscaling_config": scaling, "max_ongoing_requests": 8}]
    world.apply(ray_service(serveConfigV2=serve_config(deployments=changed)))
    world.eventually("declared again", lambda: world.asked["declared"] == 2)
    world.wait("settled", world.is_settled)
    assert world.active == name
    (after,) = world.asked["clusters"].values()
    assert after[SERVER][:1] == before[SERVER] and len(after[SERVER]) == 2
    assert world.recorded.steps(mark) == RECORDED["in place"]


def test_a_failed_application_shows_in_its_own_status_alone(world: World) -> None:
    world.start()
    mark = world.mark
    words = "Deploying app 'tiny' failed with exception: no such module"
    world.kuberay.ray.steer(world.namespace, NAME, status="DEPLOY_FAILED", message=words)
    world.apply(ray_service(serveConfigV2=serve_config(import_path="no.such:thing")))
    found = world.wait("it failed", lambda item: application(item).get("status") == "DEPLOY_FAILED")
    assert application(found) == {"status": "DEPLOY_FAILED", "message": words}
    assert world.recorded.steps(mark) == RECORDED["in place"]
    world.kuberay.ray.steer(world.namespace, NAME)
    world.wait("it runs again", lambda item: application(item).get("status") == "RUNNING")


def application(found: Object, part: str = "activeServiceStatus") -> Object:
    told: Object = found["status"].get(part, {}).get("applicationStatuses", {}).get(NAME, {})
    return told


def test_bounds_stay_as_they_are_on_the_live_cluster(world: World) -> None:
    world.start()
    item = ray_service()
    item["spec"]["rayClusterConfig"]["workerGroupSpecs"] = [group(minReplicas=2, maxReplicas=5)]
    world.apply(item)
    found = world.wait("seen", world.is_settled)
    assert found["metadata"]["generation"] == found["status"]["observedGeneration"]
    (cluster,) = world.all("rayclusters")
    (live,) = cluster["spec"]["workerGroupSpecs"]
    assert (live["minReplicas"], live["maxReplicas"]) == (1, 2)


def test_an_appended_group_is_taken_in_place(world: World) -> None:
    world.start()
    name = world.active
    item = ray_service()
    two_hosts = group("multi", numOfHosts=2)
    # with a group more, the bounds go to the live cluster too
    groups = [group(maxReplicas=4), two_hosts]
    item["spec"]["rayClusterConfig"]["workerGroupSpecs"] = groups
    world.apply(item)
    world.eventually("three workers", lambda: len(pods(world, "worker")) == 3)
    assert cluster_names(world) == [name]
    (cluster,) = world.all("rayclusters")
    assert [one["maxReplicas"] for one in cluster["spec"]["workerGroupSpecs"]] == [4, 2]
    members = [pod for pod in pods(world, "worker") if "multi" in pod["metadata"]["name"]]
    labels = [pod["metadata"]["labels"] for pod in members]
    assert sorted(one["ray.io/replica-host-index"] for one in labels) == ["0", "1"]
    assert {one["ray.io/worker-group-replica-index"] for one in labels} == {"0"}
    assert len({one["ray.io/worker-group-replica-name"] for one in labels}) == 1
    assert any(one["metadata"]["name"] == f"{name}-headless" for one in world.all("services"))


def other_environment() -> Object:
    item = ray_service()
    template = item["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "GENERATION", "value": "2"}]
    return item


def test_another_cluster_spec_builds_a_new_cluster_and_switches(world: World) -> None:
    world.start()
    mark, old = world.mark, world.active
    world.kuberay.ray.steer(world.namespace, NAME, status="DEPLOYING")
    world.apply(other_environment())
    found = world.wait(
        "the new one deploys",
        lambda item: application(item, "pendingServiceStatus").get("status") == "DEPLOYING",
    )
    new = found["status"]["pendingServiceStatus"]["rayClusterName"]
    assert cluster_names(world) == sorted([old, new])
    # what serves is not asked meanwhile
    assert application(found) == {} and world.active == old
    world.kuberay.ray.steer(world.namespace, NAME)
    world.wait("switched", world.is_settled)
    assert world.active == new
    assert world.recorded.steps(mark) == RECORDED["new cluster"]
    world.eventually("the old one is gone", lambda: cluster_names(world) == [new])
    selectors = [
        item["spec"]["selector"]["ray.io/cluster"]
        for item in world.all("services")
        if item["metadata"]["name"] in (f"{NAME}-head-svc", f"{NAME}-serve-svc")
    ]
    assert selectors == [new, new]


def test_a_pending_cluster_that_is_not_wanted_any_more_is_given_up_for_another(
    world: World,
) -> None:
    world.start()
    old = world.active
    world.kuberay.ray.steer(world.namespace, NAME, status="DEPLOYING")
    world.apply(other_environment())
    found = world.wait("pending", lambda item: "applicationStatuses" in pending(item))
    first = pending(found)["rayClusterName"]
    world.apply(ray_service())
    # back to what serves is no way back: KubeRay compares with the pending cluster alone
    world.wait("another one", lambda item: pending(item).get("rayClusterName") not in (None, first))
    assert world.active == old


def pending(found: Object) -> Object:
    told: Object = found["status"].get("pendingServiceStatus", {})
    return told


def test_a_pending_cluster_that_is_struck_from_the_status_is_none(world: World) -> None:
    """With the strategy None there is no third one before it is struck, and none after."""
    world.start()
    old = world.active
    world.kuberay.ray.steer(world.namespace, NAME, status="DEPLOYING", next_only=True)
    world.apply(other_environment())
    found = world.wait("pending", lambda item: "applicationStatuses" in pending(item))
    name = pending(found)["rayClusterName"]
    world.apply(ray_service(upgradeStrategy={"type": "None"}))
    world.wait("it was looked at", lambda it: is_observed(it))
    assert pending(world.now)["rayClusterName"] == name
    patch = [
        {"op": "test", "path": "/status/pendingServiceStatus/rayClusterName", "value": name},
        {"op": "replace", "path": "/status/pendingServiceStatus", "value": {}},
    ]
    status = ("--subresource=status", "--type=json", f"-p={json.dumps(patch)}")
    world.kubectl("patch", "rayservice", NAME, *status)
    world.apply(ray_service())
    world.wait("settled", world.is_settled)
    assert world.active == old
    world.eventually("it is gone", lambda: cluster_names(world) == [old])


def is_observed(found: Object) -> bool:
    return bool(found["status"].get("observedGeneration") == found["metadata"]["generation"])


def test_what_is_not_ready_in_time_is_given_up_for_good(world: World) -> None:
    world.kuberay.ray.steer(world.namespace, NAME, status="DEPLOYING")
    item = ray_service()
    item["metadata"]["annotations"] = {"ray.io/initializing-timeout": "2s"}
    world.apply(item)
    world.wait("given up", lambda it: reason(it, "Ready") == "InitializingTimeout")
    world.eventually("nothing is left", lambda: cluster_names(world) == [])
    world.kuberay.ray.steer(world.namespace, NAME)
    world.kubectl("delete", "rayservice", NAME)
    world.start()


def test_with_upgrade_none_a_new_cluster_comes_when_the_old_is_deleted(world: World) -> None:
    none = {"type": "None"}
    world.start(ray_service(upgradeStrategy=none))
    old = world.active
    item = other_environment()
    item["spec"] |= {"upgradeStrategy": none, "serveConfigV2": serve_config(route_prefix="/v2")}
    world.apply(item)
    world.eventually("Serve gets its change", lambda: world.asked["declared"] == 2)
    world.wait("seen", world.is_settled)
    assert cluster_names(world) == [old]
    world.kubectl("delete", "raycluster", old)
    world.wait("settled", lambda found: world.is_settled(found) and world.active != old)
    (cluster,) = world.all("rayclusters")
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["env"][0]["value"] == "2"


def test_suspend_deletes_all_and_resume_begins_anew(world: World) -> None:
    world.start()
    mark, old = world.mark, world.active
    world.apply(ray_service(suspend=True))
    found = world.wait("suspended", lambda item: reason(item, "Suspended") == "SuspendComplete")
    assert world.recorded.steps(mark) == RECORDED["suspend"]
    assert "rayClusterName" not in found["status"]["activeServiceStatus"]
    assert "numServeEndpoints" not in found["status"]
    assert cluster_names(world) == []
    # what the cluster owned is the garbage collector's, which comes later
    world.eventually("no services", lambda: world.all("services") == [])
    world.apply(ray_service())
    world.wait("ready again", world.is_settled)
    assert world.active != old
    assert reason(world.now, "Suspended") == "RayServiceResumed"


def reason(found: Object, type: str) -> str:
    conditions: list[dict[str, Any]] = found["status"]["conditions"]
    return next((str(one["reason"]) for one in conditions if one["type"] == type), "")


def test_deletion_takes_everything_along(world: World) -> None:
    world.start()
    world.kubectl("delete", "rayservice", NAME, "--timeout=30s")
    for kind in ("rayclusters", "pods", "services"):
        world.eventually(f"no {kind}", lambda kind=kind: world.all(kind) == [])


def test_pods_follow_the_live_clusters_replicas(world: World) -> None:
    world.start()
    name = world.active

    def patch(**fields: Any) -> None:
        changes = [
            {"op": "replace", "path": f"/spec/workerGroupSpecs/0/{key}", "value": value}
            for key, value in fields.items()
        ]
        world.kubectl("patch", "raycluster", name, "--type=json", f"--patch={json.dumps(changes)}")

    patch(replicas=2)
    world.eventually("two workers", lambda: len(pods(world, "worker")) == 2)
    first, second = sorted(pod["metadata"]["name"] for pod in pods(world, "worker"))
    patch(replicas=1, scaleStrategy={"workersToDelete": [first]})
    world.eventually(
        "one worker", lambda: [pod["metadata"]["name"] for pod in pods(world, "worker")] == [second]
    )


def test_a_head_that_is_lost_is_replaced_and_declared_to_again(world: World) -> None:
    world.start()
    mark = world.mark
    (old,) = pods(world, "head")
    world.kubectl("delete", "pod", old["metadata"]["name"])
    world.kuberay.ray.restart_head(world.namespace, NAME)
    world.eventually("declared again", lambda: world.asked["declared"] >= 2)
    world.wait("it runs", lambda item: application(item).get("status") == "RUNNING")
    (new,) = pods(world, "head")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert world.recorded.ready(mark) == ["True"]  # a worker answers meanwhile


def test_without_applications_a_cluster_is_never_switched_to(world: World) -> None:
    """It is declared to again and again, and the RayService initializes for good."""
    world.apply(ray_service(serveConfigV2="applications: []\n"))
    world.eventually("declared often", lambda: world.asked["declared"] >= 3)
    assert "rayClusterName" not in world.now["status"].get("activeServiceStatus", {})
    assert world.recorded.steps() == RECORDED["start"][:1]


def test_applications_may_go_from_a_cluster_that_serves(world: World) -> None:
    world.start()
    mark = world.mark
    world.apply(ray_service(serveConfigV2="applications: []\n"))
    world.eventually("declared often", lambda: world.asked["declared"] >= 4)
    found = world.wait("seen", world.is_settled)
    assert "applicationStatuses" not in found["status"]["activeServiceStatus"]
    assert world.recorded.ready(mark) == ["True"]


def test_the_dashboard_is_shown_the_token_of_the_named_secret(world: World) -> None:
    item = ray_service()
    token = {"mode": "token", "secretName": "ray-token"}
    item["spec"]["rayClusterConfig"]["authOptions"] = token
    world.kuberay.ray.steer(world.namespace, NAME, token="s3cret")
    world.apply(item)
    world.eventually("there is a head", lambda: len(pods(world, "head")) == 1)
    # without the Secret nothing is declared; KubeRay makes none of a name that it was given
    world.kubectl("create", "secret", "generic", "ray-token", "--from-literal=auth_token=s3cret")
    world.wait("settled", world.is_settled)
    assert world.asked["tokens"] == ["s3cret"]


def test_a_refused_spec_is_told_and_its_generation_is_not_observed(world: World) -> None:
    found = world.start()
    item = copy.deepcopy(ray_service())
    item["spec"]["rayClusterConfig"]["workerGroupSpecs"] = [group(minReplicas=3, maxReplicas=2)]
    world.apply(item)
    found = world.wait("refused", lambda found: reason(found, "Ready") == "ValidationFailed")
    assert found["status"]["observedGeneration"] < found["metadata"]["generation"]
    (told,) = [one for one in found["status"]["conditions"] if one["type"] == "Ready"]
    assert told["message"] == (
        "The RayService spec is invalid: worker group cpu has minReplicas 3 greater than "
        "maxReplicas 2"
    )
