"""What a change of the spec costs, as the status says it before and while it happens.

One operator beside KubeRay looks after all models of these tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.control_plane.cluster import Cluster
from tests.control_plane.nodes import SimulatedNode
from tests.control_plane.processes import Processes
from tests.installation.kuberay import KubeRay
from tests.integration.hardware import devices
from tests.integration.one_model import Model, Object
from tests.integration.operator import Operator, condition, example, start_operator, until
from tests.integration.recording import Recording, recording

NAME, ROLE = "llama-guard-3-8b", "ray.io/node-type"
L4 = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "1"}
A10G = {**L4, "nvidia.com/gpu.product": "NVIDIA-A10G"}
NODES = [
    *devices("rollout-l4", L4, 8),
    *devices("rollout-a10g", A10G, 2),
    SimulatedNode("rollout-heads", allocatable={"cpu": "64", "memory": "256Gi"}),
]


@pytest.fixture(scope="module", autouse=True)
def nodes(cluster: Cluster) -> Iterator[None]:
    with cluster.standing(NODES):
        yield


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
def models_recorded(model: Model) -> Iterator[Recording]:
    with recording(model.cluster, model.namespace, "fmd") as found:
        yield found


def caught_up(recorded: Recording, now: Callable[[], Object]) -> None:
    """Wait until a recording has an object as it is now."""
    until("the watch has begun, and has what is there", lambda: recorded.has(now()))


def uids(items: list[Object]) -> set[str]:
    return {it["metadata"]["uid"] for it in items}


def worker(model: Model) -> Object:
    """Return the worker's container as the RayService has it."""
    (group,) = model.service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return dict(group["template"]["spec"]["containers"][0])


def test_bounds_and_targets_leave_everything_running(model: Model) -> None:
    scaling: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 2}
    model.apply(example(NAME, replicas=None, autoscaling=scaling))
    first = model.until_settled()
    clusters, engines, arguments = model.ray_clusters, model.engines, model.application["args"]
    pods = uids(model.pods(model.active))

    model.edit(autoscaling={"maxReplicas": 4})
    until("four in Serve", lambda: _block(model)["max_replicas"] == 4)
    assert model.until_settled() == first
    assert list(model.revisions) == [first]

    model.edit(autoscaling={"target": {"timeToFirstToken": "9s"}})
    second = model.until_settled(first)
    assert model.revisions == {first: 1, second: 2}
    assert _block(model)["target_ongoing_requests"] == 9.0
    assert _block(model)["max_replicas"] == 4

    model.edit(autoscaling=None, replicas=1)
    assert model.until_settled(second) == first  # the same settings, with other numbers
    assert [_block(model)[f"{it}_replicas"] for it in ("min", "max")] == [1, 1]
    assert model.ray_clusters == clusters and model.engines == engines
    assert model.application["args"] == arguments
    assert uids(model.pods(model.active)) == pods


def test_what_load_has_scaled_up_is_as_many_after_every_change(model: Model) -> None:
    """Serve goes back to what a deployment begins with, where its config says that."""
    scaling: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 3}
    model.apply(example(NAME, replicas=None, autoscaling=scaling))
    first = model.until_settled()
    model.kuberay.ray.steer(model.namespace, NAME, target=3)
    as_the_autoscaler(model, replicas=3)
    model.until("three are wanted", lambda it: it["desiredReplicas"] == 3)
    engines = model.engines

    model.edit(autoscaling={"maxReplicas": 4})
    until("four in Serve", lambda: _block(model)["max_replicas"] == 4)
    model.until("it is told", lambda it: it["desiredReplicas"] == 3)
    assert model.engines == engines

    with recording(model.cluster, model.namespace, "fmd") as models:
        caught_up(models, lambda: model.now)
        model.edit(engine={"name": "vllm", "images": [IMAGE]})
        model.until_settled(first)
        assert len(model.pods(model.active)) == 1 + 3
        until("Serve is told no more", lambda: "initial_replicas" not in _block(model))
        model.until_settled(first)
        caught_up(models, lambda: model.now)
    assert len(server(model)) == 3
    assert {it["status"]["desiredReplicas"] for it in models.states} == {3}
    assert {condition(it, "Ready")["status"] for it in models.states} == {"True"}


def test_a_lower_most_waits_for_the_pods_that_stand(model: Model) -> None:
    """Ray's autoscaler takes away at once what is beyond it; Serve lets a replica end its work."""
    scaling: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 3}
    model.apply(example(NAME, replicas=None, autoscaling=scaling))
    model.until_settled()
    model.kuberay.ray.steer(model.namespace, NAME, target=3)
    as_the_autoscaler(model, replicas=3)
    until("three pods stand beside the head", lambda: len(model.pods(model.active)) == 1 + 3)

    model.edit(autoscaling={"maxReplicas": 1})
    model.kuberay.ray.steer(model.namespace, NAME, target=1)
    until("one at the most in Serve", lambda: _block(model)["max_replicas"] == 1)
    model.until_settled()
    assert model.live_bounds(model.active) == (1, 3)

    workers = [it for it in model.pods(model.active) if it["metadata"]["labels"][ROLE] == "worker"]
    gone = [it["metadata"]["name"] for it in workers[1:]]
    as_the_autoscaler(model, replicas=1, scaleStrategy={"workersToDelete": gone})
    until("one at the most in the cluster", lambda: model.live_bounds(model.active) == (1, 1))
    assert len(model.pods(model.active)) == 1 + 1


def as_the_autoscaler(model: Model, **fields: Any) -> None:
    """Write what Ray's autoscaler writes into the worker group of the cluster that serves."""
    group = "/spec/workerGroupSpecs/0"
    patch = [{"op": "add", "path": f"{group}/{name}", "value": it} for name, it in fields.items()]
    model.kubectl("patch", "raycluster", model.active, "--type=json", f"-p={json.dumps(patch)}")


def server(model: Model) -> list[str]:
    """Return the engines of the cluster that serves."""
    found = model.kuberay.ray.model(model.namespace, NAME)["clusters"][model.active]
    return list(found[f"FreeholdServer:{NAME}"])


def _block(model: Model) -> Object:
    return dict(model.application["deployments"][0]["autoscaling_config"])


def test_an_engine_argument_replaces_the_replicas_inside_the_cluster(
    model: Model, serving: str, models_recorded: Recording
) -> None:
    clusters, engines, pods = model.ray_clusters, model.engines, uids(model.pods(model.active))
    with (
        recording(model.cluster, model.namespace) as services,
        recording(model.cluster, model.namespace, "rayclusters") as live,
    ):
        caught_up(services, lambda: model.service)
        caught_up(live, lambda: ray_cluster(model, model.active))
        caught_up(models_recorded, lambda: model.now)
        model.edit(engine={"name": "vllm", "args": {"enforce_eager": True}})
        after = model.until_settled(serving)
        caught_up(services, lambda: model.service)
        caught_up(models_recorded, lambda: model.now)
    told = first_told(models_recorded, "ReplacingReplicas")
    beside = "Up to 1 replica at a time starts beside its predecessor. spec."
    assert told["message"].startswith(beside)
    assert "engine_kwargs.enforce_eager: nothing becomes true" in told["message"]
    assert told["before"] < first_changed(services)
    room = {it["spec"]["workerGroupSpecs"][0]["maxReplicas"] for it in live.states}
    assert room == {1, 2}, "room for a successor, and only meanwhile"
    until("there is none for another", lambda: model.live_bounds(model.active) == (1, 1))
    assert model.ray_clusters == clusters and uids(model.pods(model.active)) == pods
    assert model.engines.isdisjoint(engines)
    assert model.revisions == {serving: 1, after: 2}


def first_told(recorded: Recording, reason: str) -> Object:
    """Return the first Reconciling of a reason, with the version of the object that says it."""
    for state in recorded.states:
        found = condition(state, "Reconciling")
        if found.get("reason") == reason:
            return {**found, "before": version(state)}
    raise AssertionError(f"{reason} was never told, but {recorded.steps()}")


def first_changed(recorded: Recording) -> int:
    """Return the version of an object's first state with another spec."""
    first, *later = recorded.states
    return next(version(it) for it in later if it["spec"] != first["spec"])


def version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


IMAGE = {"accelerator": "l4-24gb", "image": "mirror.example.com/ray-llm:next"}
ENV = [{"name": "GENERATION", "value": "2"}]
# Changes that need another cluster, and what the status says of each.
NEW_CLUSTER: dict[str, tuple[Object, str]] = {
    "image": (
        {"engine": {"name": "vllm", "images": [IMAGE]}},
        'becomes "mirror.example.com/ray-llm:next"',
    ),
    "templates": (
        {"templates": {"worker": {"spec": {"containers": [{"name": "ray-worker", "env": ENV}]}}}},
        "env[GENERATION]: nothing becomes",
    ),
    "hardware": (
        {"hardware": {"candidates": [{"name": "a10g", "accelerator": "a10g-24gb"}]}},
        "workerGroupSpecs[a10g]: nothing becomes",
    ),
}


@pytest.mark.parametrize("change", NEW_CLUSTER)
def test_another_cluster_takes_over_when_it_answers_and_not_before(
    change: str, model: Model, serving: str, models_recorded: Recording
) -> None:
    spec, sentence = NEW_CLUSTER[change]
    old = model.active
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    with (
        recording(model.cluster, model.namespace) as services,
        recording(model.cluster, model.namespace, f"service/{NAME}") as endpoints,
    ):
        caught_up(services, lambda: model.service)
        caught_up(endpoints, lambda: model.endpoint)
        caught_up(models_recorded, lambda: model.now)
        model.edit(**spec)
        status = model.until("it is told", lambda it: _reason(it) == "BuildingNewCluster")
        until("two clusters", lambda: len(model.ray_clusters) == 2)
        assert sentence in _told(status)
        assert status["currentRevision"] == serving != status["updateRevision"]
        assert (model.active, model.leads_to) == (old, old)
        model.kuberay.ray.steer(model.namespace, NAME)
        after = model.until_settled(serving)
        new = model.active
        until("the endpoint leads to it", lambda: model.leads_to == new)
        caught_up(services, lambda: model.service)
        caught_up(endpoints, lambda: model.endpoint)
        caught_up(models_recorded, lambda: model.now)
    assert new != old
    assert first_told(models_recorded, "BuildingNewCluster")["before"] < first_changed(services)
    assert {condition(it, "Serving")["status"] for it in models_recorded.states} == {"True"}
    assert {condition(it, "Ready")["status"] for it in models_recorded.states} == {"True"}
    assert version(first(endpoints, leading_to(new))) > version(first(services, serving_with(new)))
    # while the new one was not there, the revision that serves was the old one
    assert all(
        it["status"]["currentRevision"] == serving
        for it in models_recorded.states
        if version(it) < version(first(services, serving_with(new)))
    )
    assert model.revisions == {serving: 1, after: 2}


def _reason(status: Object) -> str:
    return str(condition({"status": status}, "Reconciling").get("reason"))


def _told(status: Object) -> str:
    return str(condition({"status": status}, "Reconciling").get("message"))


def first(recorded: Recording, holds: Callable[[Object], bool]) -> Object:
    return next(it for it in recorded.states if holds(it))


def leading_to(ray_cluster: str) -> Callable[[Object], bool]:
    return lambda it: it["spec"]["selector"].get("ray.io/cluster") == ray_cluster


def serving_with(ray_cluster: str) -> Callable[[Object], bool]:
    def holds(service: Object) -> bool:
        active = service["status"].get("activeServiceStatus") or {}
        return bool(active.get("rayClusterName") == ray_cluster)

    return holds


def test_a_rollout_at_zero_wakes_nothing(model: Model) -> None:
    scaling: dict[str, Any] = {"minReplicas": 0, "maxReplicas": 2}
    model.apply(example(NAME, replicas=None, autoscaling=scaling))
    model.wait("Ready", "True", "ScaledToZero")
    before, old = model.until_settled(), model.active
    with recording(model.cluster, model.namespace, "fmd") as models:
        caught_up(models, lambda: model.now)
        model.edit(engine={"name": "vllm", "images": [IMAGE]})
        model.until_settled(before)
        caught_up(models, lambda: model.now)
    assert model.active != old
    until("the endpoint leads to it", lambda: model.leads_to == model.active)
    readies = [condition(it, "Ready") for it in models.states]
    assert {(it["status"], it["reason"]) for it in readies} == {("True", "ScaledToZero")}, readies
    assert server(model) == []
    assert model.kuberay.ray.model(model.namespace, NAME)["requests"] == {}


def test_with_recreate_the_old_cluster_goes_first(model: Model, models_recorded: Recording) -> None:
    model.apply(example(NAME, rollout={"type": "Recreate"}))
    before = model.until_settled()
    old = model.active
    with recording(model.cluster, model.namespace, "rayclusters") as clusters:
        caught_up(clusters, lambda: ray_cluster(model, old))
        model.edit(engine={"name": "vllm", "images": [IMAGE]})
        model.until_settled(before)
        new = model.active
        caught_up(clusters, lambda: ray_cluster(model, new))
        caught_up(models_recorded, lambda: model.now)
    assert new != old and worker(model)["image"] == IMAGE["image"]
    # the last that was seen of the old one was before the first of the new one
    versions = {
        name: [version(it) for it in clusters.states if it["metadata"]["name"] == name]
        for name in (old, new)
    }
    assert max(versions[old]) < min(versions[new])
    waits = [condition(it, "Placed") for it in models_recorded.states]
    told = [it["message"] for it in waits if it.get("reason") == "WaitingForOldCluster"]
    assert told and f"when {old} is gone" in told[0]


def ray_cluster(model: Model, name: str) -> Object:
    found = model.cluster.get("raycluster", name, model.namespace)
    assert found is not None
    return found


PAUSED = "freehold.dev/paused"
HELD: dict[str, tuple[Object, str]] = {
    "replicas": (
        {"engine": {"name": "vllm", "args": {"enforce_eager": True}}},
        "for which every replica starts anew: Up to 1 replica at a time starts beside",
    ),
    "cluster": (
        {"engine": {"name": "vllm", "images": [IMAGE]}},
        "for which a new cluster is built: spec.rayClusterConfig",
    ),
}


@pytest.mark.parametrize("change", HELD)
def test_what_a_change_would_cost_is_told_while_it_is_held_back(
    change: str, model: Model, serving: str
) -> None:
    spec, told = HELD[change]
    model.kubectl("annotate", "fmd", NAME, f"{PAUSED}=true")
    model.wait("Reconciling", "False", "Paused")
    children = model.children()
    model.edit(**spec)
    model.wait("Ready", "False", "Paused")
    assert told in model.told("Ready") and told in model.told("Reconciling")
    assert model.status["currentRevision"] == serving
    assert model.children() == children
    # taken back before anything was done
    model.edit(engine=None)
    model.wait("Ready", "True")
    model.kubectl("annotate", "fmd", NAME, f"{PAUSED}-")
    assert model.until_settled() == serving
    assert model.children() == children


def test_the_way_back_takes_the_same_revision_again(model: Model, serving: str) -> None:
    """During a rollout what serves goes on, and after one the former revision is the newest."""
    old = model.active
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    model.edit(engine={"name": "vllm", "images": [IMAGE]})
    status = model.until("on its way", lambda it: it["updateRevision"] != serving)
    other = status["updateRevision"]
    until("two clusters", lambda: len(model.ray_clusters) == 2)
    model.edit(engine=None)
    status = model.until("on its way back", lambda it: it["updateRevision"] == serving)
    assert status["currentRevision"] == serving
    assert condition({"status": status}, "Serving")["status"] == "True"
    assert model.active == old
    model.kuberay.ray.steer(model.namespace, NAME)
    assert model.until_settled() == serving
    assert model.revisions == {other: 2, serving: 3}

    model.edit(engine={"name": "vllm", "images": [IMAGE]})
    assert model.until_settled(serving) == other
    model.edit(engine=None)
    assert model.until_settled(other) == serving
    assert set(model.revisions) == {serving, other}
    assert worker(model)["image"] != IMAGE["image"]


PAUSE = ("annotate", "fmd", NAME, "freehold.dev/paused=true")
MISSING = {"authentication": {"type": "APIKey", "secretRef": {"name": "no-such-secret"}}}


@pytest.mark.parametrize("held_up", ["by a pause", "by a missing Secret"])
def test_the_endpoint_follows_a_turn_over_whatever_holds_up_all_else(
    model: Model, serving: str, held_up: str
) -> None:
    """KubeRay turns over by itself, and a minute later the former cluster is gone."""
    old = model.active
    model.kuberay.ray.steer(model.namespace, NAME, status="DEPLOYING", next_only=True)
    model.edit(engine={"name": "vllm", "images": [IMAGE]})
    until("another is to take over", lambda: model.pending in model.ray_clusters)
    if held_up == "by a pause":
        model.kubectl(*PAUSE)
    else:
        model.edit(endpoint=MISSING)
        model.wait("Ready", "False", "APIKeysMissing")
    model.kuberay.ray.steer(model.namespace, NAME)
    until("KubeRay turns over", lambda: model.active != old)
    until("the endpoint follows", lambda: model.leads_to == model.active)
