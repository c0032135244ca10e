"""A rollout that does not come to its end goes back to the revision that served before.

One operator beside KubeRay looks after all models of these tests. Only edits that fail have a
short deadline: good ones take as long as the machine needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import accelerator_class, devices, of_class
from tests.integration.load import load
from tests.integration.one_model import Model, Object
from tests.integration.operator import (
    Operator,
    condition,
    example,
    start_operator,
    until,
    wait_until_ready,
)
from tests.integration.recording import Recording, recording

NAME = "llama-guard-3-8b"
L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
# One device of this class: there is no room for two clusters.
SCARCE = "rollback-scarce"
NODES = [
    *devices("rollback-l4", L4, 8),
    *of_class(SCARCE, 1),
    SimulatedNode("rollback-heads", allocatable={"cpu": "64", "memory": "256Gi"}),
]
SOON = {"progressDeadline": "3s"}
LATE = {"progressDeadline": "10m"}
IMAGE = {"accelerator": "l4-24gb", "image": "mirror.example.com/ray-llm:next"}
NEXT = {"name": "vllm", "images": [IMAGE]}
EAGER = {"name": "vllm", "args": {"enforce_eager": True}}
FAILED = "freehold.dev/failed"


@pytest.fixture(scope="module", autouse=True)
def hardware(cluster: Cluster) -> Iterator[None]:
    cluster.apply(accelerator_class(SCARCE, "0.1"))
    with cluster.standing(NODES):
        yield
    cluster.kubectl("delete", "facc", SCARCE)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, kuberay: KubeRay) -> Iterator[Operator]:
    """One operator for all namespaces."""
    with Processes.begin("freehold-test-") as processes:
        yield start_operator(
            processes, cluster.kubeconfig, kuberay.environment, "--no-leader-election"
        )


@pytest.fixture
def model(cluster: Cluster, operator: Operator, kuberay: KubeRay, namespace: str) -> Model:
    return Model(cluster, namespace, NAME, kuberay)


@pytest.fixture
def serving(model: Model) -> str:
    """A model that answers; returns its revision."""
    model.apply(example(NAME))
    return model.until_settled()


@pytest.fixture
def recorded(model: Model) -> Iterator[Recording]:
    with recording(model.cluster, model.namespace, "fmd") as found:
        yield found


def until_back(model: Model, serving: str) -> str:
    """Wait until a rollout was given up and the former revision serves; returns the other one."""

    def back(status: Object) -> bool:
        ready, stalled, serves = (
            condition({"status": status}, it) for it in ("Ready", "Stalled", "Serving")
        )
        return (
            (ready["status"], ready["reason"]) == ("False", "RolledBack")
            and (stalled["status"], stalled["reason"]) == ("True", "RolledBack")
            and serves["status"] == "True"
        )

    status = model.until("it has gone back", back)
    assert status["currentRevision"] == serving != status["updateRevision"]
    return str(status["updateRevision"])


def fail(model: Model, serving: str, **spec: Any) -> str:
    """Make an edit whose new cluster never comes up, and wait until it was given up.

    Not before there is the cluster: what KubeRay makes while it is given up stays for a minute.
    """
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    deadline = spec.pop("rollout", SOON)
    model.edit(rollout=LATE, **(spec or {"engine": NEXT}))
    until("another is to take over", lambda: model.pending in model.ray_clusters)
    model.edit(rollout=deadline)
    failed = until_back(model, serving)
    model.kuberay.ray.steer(model.namespace, NAME)
    return failed


def failure(model: Model, revision: str) -> Any:
    """Return what is written on a revision whose rollout was given up; None on others."""
    found = model.cluster.get("controllerrevision", revision, model.namespace)
    assert found is not None
    text = (found["metadata"].get("annotations") or {}).get(FAILED)
    return text and json.loads(text)


def warnings(model: Model, reason: str) -> list[str]:
    """Return the notes of the Warnings of a reason."""
    found = model.cluster.list("events.v1.events.k8s.io", model.namespace)
    return [it["note"] for it in found if (it["type"], it["reason"]) == ("Warning", reason)]


def upgrade(model: Model) -> str:
    return str(model.service["spec"]["upgradeStrategy"]["type"])


def runs_as_before(model: Model, ray_cluster: str, serving: str) -> None:
    """Wait until there is the one cluster of before, and KubeRay has nothing else in mind."""
    until("one cluster", lambda: model.ray_clusters == [ray_cluster])
    serves_as_before(model, ray_cluster, serving)


def serves_as_before(model: Model, ray_cluster: str, serving: str) -> None:
    """Wait until the cluster of before serves and none is to take over.

    One that was to, and was followed by another, KubeRay deletes after a minute.
    """
    until("KubeRay may build again", lambda: upgrade(model) == "NewCluster")
    until("nothing is pending", lambda: not model.pending)
    assert model.service["metadata"]["annotations"]["freehold.dev/revision"] == serving
    assert (model.active, model.leads_to) == (ray_cluster, ray_cluster)


def test_a_new_cluster_that_does_not_come_up_is_given_up_and_the_old_one_answers_throughout(
    model: Model, serving: str, recorded: Recording
) -> None:
    old, engines = model.active, model.engines
    pods = {it["metadata"]["uid"] for it in model.pods(old)}
    until("the watch has begun", lambda: recorded.has(model.now))
    with load(model) as requests:
        failed = fail(model, serving)
        runs_as_before(model, old, serving)
        answered = requests.answered
        until("it goes on answering", lambda: requests.answered > answered)
    assert requests.lost == []
    assert model.engines == engines
    assert {it["metadata"]["uid"] for it in model.pods(old)} == pods
    assert model.revisions == {serving: 1, failed: 2}
    until("it is recorded", lambda: recorded.has(model.now))
    assert {condition(it, "Serving")["status"] for it in recorded.states} == {"True"}
    assert recorded.ready() == ["True", "False"]

    message = condition(model.now, "Stalled")["message"]
    assert message.startswith(
        f"Revision {failed} was given up: Not done within spec.rollout.progressDeadline (3 s). "
    )
    assert message.endswith(f"Back to revision {serving}.")
    assert "of cluster llama-guard-3-8b-" in message or "Serve on cluster" in message
    assert warnings(model, "RolledBack") == [message]
    told = failure(model, failed)
    assert told["generation"] == model.now["metadata"]["generation"]
    assert (told["backTo"], told["progressDeadline"]) == (serving, "3s")
    assert told["cause"] in message
    assert model.status["plan"] == revision_of(model, serving)["data"]["plan"]


def revision_of(model: Model, name: str) -> Object:
    found = model.cluster.get("controllerrevision", name, model.namespace)
    assert found is not None
    return found


def test_without_room_for_two_clusters_the_pod_without_a_node_is_named(model: Model) -> None:
    hardware = {"candidates": [{"name": "scarce", "accelerator": SCARCE}]}
    model.apply(example(NAME, hardware=hardware))
    serving = model.until_settled()
    old, served = model.active, model.engines
    # KubeRay has to make the pod first
    deadline = {"progressDeadline": "10s"}
    failed = fail(model, serving, serviceAccountName="default", rollout=deadline)
    runs_as_before(model, old, serving)
    message = condition(model.now, "Stalled")["message"]
    assert "No node takes 1 pod (llama-guard-3-8b-" in message
    assert "Insufficient nvidia.com/gpu" in message
    assert model.engines == served
    # the way that frees the hardware first needs no room
    model.edit(rollout={**LATE, "type": "Recreate"})
    after = model.until_settled(serving, failed)
    assert model.active != old
    assert model.service["metadata"]["annotations"]["freehold.dev/revision"] == after


def test_a_worker_that_the_kernel_ended_is_told_though_it_is_gone(
    model: Model, serving: str
) -> None:
    old = model.active
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    model.edit(engine=NEXT, rollout=LATE)
    (new,) = until("there is a new cluster", lambda: {*model.ray_clusters} - {old})
    (name, worker), *_ = until("its worker runs", lambda: running_workers(model, new)).items()
    end_by_kernel(model, worker)
    until("another one runs", lambda: {*running_workers(model, new)} - {name})
    model.edit(rollout=SOON)
    until_back(model, serving)
    message = condition(model.now, "Stalled")["message"]
    assert f"Pod {name}, container " in message
    assert "OOMKilled (exit code 137)" in message


def running_workers(model: Model, ray_cluster: str) -> dict[str, Object]:
    """Return the workers of a cluster that run, by name."""
    found = [it for it in model.pods(ray_cluster) if _is_worker(it) and _runs(it)]
    return {it["metadata"]["name"]: it for it in found}


def end_by_kernel(model: Model, pod: Object) -> None:
    """Have the container of a pod end as one does that takes more memory than it may."""
    (told,) = pod["status"]["containerStatuses"]
    end = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    ended = {"containerStatuses": [told | {"state": end, "ready": False}]}
    model.cluster.say_of(pod, ended)


def test_with_recreate_the_old_cluster_is_built_again(model: Model, recorded: Recording) -> None:
    """Serve gives up on the new one and nothing answers, so nothing is waited for."""
    recreate = {**LATE, "type": "Recreate"}
    model.apply(example(NAME, rollout=recreate, replicas=2))
    serving, old = model.until_settled(), model.active
    model.kuberay.ray.steer(
        model.namespace,
        NAME,
        status="DEPLOY_FAILED",
        message="Traceback\nRuntimeError: the weights are cut",
        next_only=True,
    )
    model.edit(engine=NEXT)
    model.until("it was given up", lambda it: reason(it, "Stalled") == "RolledBack")
    model.kuberay.ray.steer(model.namespace, NAME)
    failed = until_back(model, serving)
    until("one cluster", lambda: len(model.ray_clusters) == 1)
    assert model.ray_clusters == [model.active] != [old]
    until("the endpoint leads to it", lambda: model.leads_to == model.active)
    assert worker_image(model) != IMAGE["image"]
    message = condition(model.now, "Stalled")["message"]
    assert message.startswith(f"Revision {failed} was given up: Serve could not deploy {NAME}")
    assert message.endswith(f"RuntimeError: the weights are cut. Back to revision {serving}.")
    # nobody was left waiting
    assert [it["desiredReplicas"] for it in [model.status]] == [2]
    assert len(model.pods(model.active)) == 1 + 2
    assert len(warnings(model, "RolledBack")) == 1


def reason(status: Object, kind: str) -> str:
    return str(condition({"status": status}, kind).get("reason"))


def worker_image(model: Model) -> str:
    (group,) = model.service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return str(group["template"]["spec"]["containers"][0]["image"])


def test_an_argument_that_serve_cannot_take_is_taken_back_and_restarts_nothing(
    model: Model, serving: str
) -> None:
    clusters, engines = model.ray_clusters, model.engines
    words = "ValueError: no such argument"
    model.kuberay.ray.steer(model.namespace, NAME, refuses="enforce_eager", message=words)
    with load(model) as requests:
        # time enough for Serve's word to be heard
        model.edit(rollout={"progressDeadline": "10s"}, engine=EAGER)
        failed = until_back(model, serving)
        until("Serve has the former", lambda: "enforce_eager" not in json.dumps(declared(model)))
    assert requests.lost == [] and requests.answered > 0
    assert (model.ray_clusters, model.engines) == (clusters, engines)
    assert words in condition(model.now, "Stalled")["message"]
    assert failure(model, failed)["backTo"] == serving
    assert model.status["readyReplicas"] == 1


def declared(model: Model) -> Any:
    return model.application["args"]


@pytest.mark.thorough
def test_without_the_keys_that_its_pods_wait_for_it_goes_back_all_the_same(model: Model) -> None:
    """The former revision needs them too; its pods have what they had."""
    key = ("secret", "generic", "team-keys", "--from-literal=first=s3cret")
    model.kubectl("create", *key)
    named = {"type": "APIKey", "secretRef": {"name": "team-keys"}}
    model.apply(example(NAME, endpoint={"authentication": named}))
    serving, old = model.until_settled(), model.active
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    # Secrets that were found are looked for again after ten seconds
    model.edit(engine=NEXT, rollout={"progressDeadline": "20s"})
    (new,) = until("there is a new cluster", lambda: {*model.ray_clusters} - {old})
    model.kubectl("delete", "secret", "team-keys")
    until("its worker waits for a volume", lambda: wait_for_volumes(model, new))
    model.wait("Placed", "False", "APIKeysMissing")
    model.wait("Stalled", "True", "RolledBack")
    runs_as_before(model, old, serving)
    assert "names the Secret team-keys" in condition(model.now, "Stalled")["message"]
    assert condition(model.now, "Serving")["status"] == "True"
    model.kubectl("create", *key)
    until_back(model, serving)


def wait_for_volumes(model: Model, ray_cluster: str) -> bool:
    """Have workers wait as for a Secret, once they are there: simulated nodes mount nothing."""
    workers = running_workers(model, ray_cluster)
    waits = {"type": "PodReadyToStartContainers", "status": "False"}
    for pod in workers.values():
        model.cluster.say_of(pod, {"phase": "Pending", "conditions": [waits]})
    return bool(workers)


def _is_worker(pod: Object) -> bool:
    return bool(pod["metadata"]["labels"]["ray.io/node-type"] == "worker")


def _runs(pod: Object) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def test_after_it_a_good_edit_is_rolled_out(model: Model, serving: str) -> None:
    failed = fail(model, serving)
    model.edit(rollout=LATE, engine=EAGER)
    after = model.until_settled(serving, failed)
    assert failure(model, after) is None
    assert failure(model, failed)["backTo"] == serving
    assert condition(model.now, "Ready")["status"] == "True"
    assert model.revisions == {serving: 1, failed: 2, after: 3}


def test_the_way_back_by_hand_is_ready_and_the_same_edit_is_then_tried_again(
    model: Model, serving: str
) -> None:
    old, failed = model.active, fail(model, serving)
    model.edit(engine=None, rollout=None)
    assert model.until_settled() == serving
    assert (model.ray_clusters, model.active) == ([old], old)
    assert condition(model.now, "Ready")["status"] == "True"
    model.edit(engine=NEXT)
    assert model.until_settled(serving) == failed
    assert failure(model, failed) is None
    assert model.active != old and worker_image(model) == IMAGE["image"]
    assert model.revisions == {serving: 3, failed: 4}


def test_another_deadline_tries_it_again_and_what_is_not_asked_for_does_not(
    model: Model, operator: Operator, serving: str
) -> None:
    old, failed = model.active, fail(model, serving)
    runs_as_before(model, old, serving)
    children = model.children()
    passes = operator.passes()
    model.kubectl("annotate", "fmd", NAME, "team=a")
    until("it was looked at", lambda: operator.passes() > passes)
    assert until_back(model, serving) == failed
    assert model.children() == children
    model.edit(rollout=LATE)
    assert model.until_settled(serving) == failed
    assert failure(model, failed) is None


def test_bounds_and_suspension_are_those_of_what_serves(model: Model, serving: str) -> None:
    old, failed = model.active, fail(model, serving)
    runs_as_before(model, old, serving)
    model.kubectl("scale", "fmd", NAME, "--replicas=2")
    until("two in Serve", lambda: bounds(model) == (2, 2))
    until("two live", lambda: model.live_bounds(old) == (2, 2))
    assert until_back(model, serving) == failed
    runs_as_before(model, old, serving)

    model.edit(suspend=True)
    model.wait("Ready", "False", "Suspended")
    model.edit(suspend=False)
    assert until_back(model, serving) == failed
    assert model.service["metadata"]["annotations"]["freehold.dev/revision"] == serving
    assert bounds(model) == (2, 2)
    assert set(model.revisions) == {serving, failed}


def bounds(model: Model) -> tuple[int, int]:
    block = model.application["deployments"][0]["autoscaling_config"]
    return block["min_replicas"], block["max_replicas"]


def test_another_operator_knows_of_it(model: Model, operator: Operator, serving: str) -> None:
    old, failed = model.active, fail(model, serving)
    runs_as_before(model, old, serving)
    until("it is at rest", lambda: reason(model.status, "Scaled") == "AsDesired")
    children, told = model.children(), condition(model.now, "Stalled")
    operator.server.stop()
    operator.server.start()
    wait_until_ready(operator)
    model.kubectl("scale", "fmd", NAME, "--replicas=2")
    until("two in Serve", lambda: bounds(model) == (2, 2))
    assert until_back(model, serving) == failed
    again = condition(model.now, "Stalled")
    assert (again["message"], again["lastTransitionTime"]) == (
        told["message"],
        told["lastTransitionTime"],
    )
    assert len(warnings(model, "RolledBack")) == 1
    assert model.children().keys() == children.keys()


def test_an_edit_in_the_middle_of_one_that_fails_is_what_counts(model: Model, serving: str) -> None:
    """The first never comes up; what was asked for in its place has a deadline of its own."""
    old = model.active
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    model.edit(engine=NEXT)
    first = model.until("on its way", lambda it: it["updateRevision"] != serving)
    until("two clusters", lambda: len(model.ray_clusters) == 2)
    model.edit(rollout=SOON, engine=NEXT, serviceAccountName="default")
    failed = until_back(model, serving)
    assert failed != first["updateRevision"]
    serves_as_before(model, old, serving)
    assert failure(model, first["updateRevision"]) is None
    # and one that goes back in the middle leaves nothing behind
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    model.edit(rollout=LATE, serviceAccountName=None)
    until("another is to take over", lambda: model.pending in model.ray_clusters)
    model.edit(engine=None)
    assert model.until_settled() == serving
    serves_as_before(model, old, serving)


def test_a_refused_edit_leaves_what_was_gone_back_to(model: Model, serving: str) -> None:
    old = model.active
    fail(model, serving)
    runs_as_before(model, old, serving)
    children = model.children()
    model.edit(hardware={"candidates": [{"name": "no", "accelerator": "no-such-class"}]})
    model.wait("Ready", "False", "UnknownAccelerator")
    until("it serves", lambda: condition(model.now, "Serving")["status"] == "True")
    assert model.status["currentRevision"] == serving
    assert model.children() == children


def test_a_first_rollout_has_nothing_to_go_back_to_and_comes_up_when_its_cause_is_gone(
    model: Model,
) -> None:
    """Serve gave up for good; the operator has it begin again."""
    words = "FileNotFoundError: no such Secret"
    model.kuberay.ray.steer(model.namespace, NAME, refuses=NAME, message=words)
    model.apply(example(NAME, rollout=SOON))
    model.wait("Stalled", "True", "DeployFailed")
    assert words in condition(model.now, "Ready")["message"]
    # by KubeRay at first, then nothing by the operator, upon which KubeRay has its turn again
    until("Serve is given it again", lambda: declarations(model) >= 3)
    model.kuberay.ray.steer(model.namespace, NAME)
    model.wait("Ready", "True", "Answers")
    (only,) = model.revisions
    assert failure(model, only) is None
    assert warnings(model, "RolledBack") == []


def declarations(model: Model) -> int:
    return int(model.kuberay.ray.model(model.namespace, NAME)["declared"])


def test_what_kuberay_has_given_up_for_good_is_made_anew(model: Model) -> None:
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING")
    model.apply(example(NAME))
    until("there is a RayService", lambda: model.cluster.get("rayservice", NAME, model.namespace))
    first = model.service["metadata"]["uid"]
    model.kubectl("annotate", "rayservice", NAME, "ray.io/initializing-timeout=1")
    model.wait("Ready", "False", "InitializingTimeout")
    model.kuberay.ray.steer(model.namespace, NAME)
    model.wait("Ready", "True", "Answers")
    assert model.service["metadata"]["uid"] != first
    assert len(model.revisions) == 1


def test_deletion_in_the_middle_of_it_leaves_nothing(model: Model, serving: str) -> None:
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    model.edit(rollout=SOON, engine=NEXT)
    model.until("it was given up", lambda it: reason(it, "Stalled") == "RolledBack")
    model.kubectl("delete", "fmd", NAME, "--wait=false")
    kinds = ("rayservices", "rayclusters", "pods", "services", "controllerrevisions")
    until("all is gone", lambda: not any(model.all(it) for it in kinds))
