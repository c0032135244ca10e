"""Reading what a real KubeRay wrote, and anything that might stand in its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.status.situations import NOW, PLAN

from freehold.status.changes import transitions
from freehold.status.outcome import Engines, Outcome, Probe, Replicas, Rollout
from freehold.status.pod_state import PodState, read_pod
from freehold.status.ray_cluster_state import WorkerGroupState, read_ray_cluster
from freehold.status.ray_service_state import RayServiceState, read_ray_service
from freehold.status.summarize import summarize

FOLDER = Path(__file__).parents[2] / "data" / "kuberay"
SERVES = FOLDER / "ray-service.jsonl"
SCALES = FOLDER / "ray-service-scaling.jsonl"
World = dict[tuple[str, str], dict[str, Any]]


def worlds(file: Path) -> Iterator[tuple[float, World]]:
    """Yield the objects that there are after each recorded event, with its time in seconds."""
    world: World = {}
    for line in file.read_text().splitlines():
        event = json.loads(line)
        key = (event["object"]["kind"], event["object"]["metadata"]["name"])
        if event["type"] == "DELETED":
            world.pop(key, None)
        else:
            world[key] = event["object"]
        yield event["t"], world


def at(file: Path, seconds: float) -> World:
    return dict([dict(world) for time, world in worlds(file) if time <= seconds][-1])


def of_kind(world: World, kind: str) -> list[dict[str, Any]]:
    return [item for (found, _), item in world.items() if found == kind]


def the_service(file: Path, seconds: float) -> RayServiceState:
    (raw,) = of_kind(at(file, seconds), "RayService")
    return read_ray_service(raw)


def outcome(world: World, **fields: Any) -> Outcome:
    services = [read_ray_service(item) for item in of_kind(world, "RayService")]
    return Outcome(
        name="tiny",
        generation=1,
        plan={**PLAN, "nodes": 1},
        ray_service=services[0] if services else None,
        ray_clusters=tuple(read_ray_cluster(item) for item in of_kind(world, "RayCluster")),
        pods=tuple(read_pod(item) for item in of_kind(world, "Pod")),
        suspended=bool(services and services[0].suspend),
        **fields,
    )


def test_a_service_that_kuberay_has_not_seen() -> None:
    service = the_service(SERVES, 1.08)
    assert (service.generation, service.observed_generation) == (2, None)
    assert not service.observed
    assert service.active is service.pending is service.ready is None


def test_a_first_cluster_is_pending_until_its_application_runs() -> None:
    service = the_service(SERVES, 64)
    assert service.active is None and service.pending is not None and not service.upgrading
    (app,) = service.pending.applications
    assert (app.name, app.status) == ("tiny", "DEPLOYING")
    states = {it.name: it.status for it in app.deployments}
    assert states == {"LLMServer:tiny": "UPDATING", "OpenAiIngress": "HEALTHY"}
    served = the_service(SERVES, 137)
    assert served.active is not None and served.active.running and served.pending is None
    assert served.endpoints == 2 and served.observed


def test_a_failed_application_has_serve_s_words() -> None:
    active = the_service(SERVES, 290).active
    assert active is not None and not active.running
    (app,) = active.applications
    assert app.failed and "has no attribute 'build_nothing'" in app.words


def test_beside_a_pending_cluster_nothing_is_told_of_the_one_that_serves() -> None:
    service = the_service(SCALES, 345)
    assert service.upgrading and service.active is not None and service.pending is not None
    assert service.active.applications == () and service.endpoints == 1
    assert [app.status for app in service.pending.applications] == ["DEPLOYING"]


def test_a_cluster_that_is_not_there_any_more_neither_serves_nor_takes_over() -> None:
    service = the_service(SCALES, 345)
    assert service.active is not None and service.pending is not None
    old, new = service.active.name, service.pending.name
    assert service.standing({old, new}) == service
    assert service.standing({new}) == replace(service, active=None)
    assert service.standing({old}) == replace(service, pending=None)


def test_suspension_is_read() -> None:
    assert [the_service(SCALES, t).suspended for t in (500, 539, 542)] == [False, False, True]
    assert the_service(SCALES, 539).suspend
    assert the_service(SCALES, 569.06).deleting


def test_groups_of_a_live_cluster_are_read_in_their_order() -> None:
    by_name = {it["metadata"]["name"]: it for it in of_kind(at(SCALES, 500), "RayCluster")}
    cluster = read_ray_cluster(by_name["tiny-nj2kx"])
    assert cluster.groups[1] == WorkerGroupState("multi", 1, 1, 2, 2)
    assert cluster.head_service == "tiny-nj2kx-head-svc" and cluster.state == "ready"
    (early,) = (read_ray_cluster(it) for it in of_kind(at(SCALES, 12.5), "RayCluster"))
    assert early.groups == (WorkerGroupState("cpu", 0, 0, 2, 1),) and early.state == ""


def pods(file: Path, seconds: float) -> list[PodState]:
    found = [read_pod(item) for item in of_kind(at(file, seconds), "Pod")]
    return sorted(found, key=lambda it: (it.cluster, it.role, it.replica))


def test_a_worker_runs_before_it_is_ready() -> None:
    head, first, second = pods(SCALES, 91.7)
    assert (head.role, head.group, head.running, head.ready) == ("head", "headgroup", True, True)
    assert (first.role, first.group, first.replica) == ("worker", "cpu", "0")
    assert (first.running, first.ready, second.replica) == (True, False, "1")
    assert not any(pod.troubles or pod.unschedulable for pod in (head, first, second))


def test_a_pod_that_starts_does_not_run_and_has_no_trouble() -> None:
    starting = [pod for pod in pods(SCALES, 77.1) if pod.role == "worker"]
    assert [(pod.running, pod.troubles) for pod in starting] == [(False, ()), (False, ())]


def readiness(file: Path, **fields: Any) -> list[tuple[str, str]]:
    """Return what Ready says along a recording, each change once."""
    status: dict[str, Any] = {}
    said: list[tuple[str, str]] = []
    for time, world in worlds(file):
        now = NOW + timedelta(seconds=time)
        new = summarize(outcome(world, **fields), status, now)
        ready = new["conditions"][0]
        if not said or said[-1] != (ready["status"], ready["reason"]):
            said.append((ready["status"], ready["reason"]))
            assert transitions(status, new)
        status = new
    return said


def test_ready_along_a_life_with_a_change_that_fails() -> None:
    assert readiness(SERVES, probe=Probe(frozenset())) == [
        ("False", "Creating"),
        ("False", "AwaitingKubeRay"),
        ("False", "PodsStarting"),
        ("False", "Deploying"),
        ("False", "NoServeEndpoints"),
        ("True", "Answers"),
        ("False", "Deploying"),  # without a rollout to say that it goes on answering
        ("False", "PodsStarting"),
        ("False", "DeployFailed"),
        ("False", "Deploying"),
        ("False", "Creating"),
    ]


def test_ready_along_a_life_from_zero_through_an_upgrade() -> None:
    asleep = {"replicas": Replicas(0, 2), "engines": Engines(0)}
    assert readiness(SCALES, **asleep) == [
        ("False", "AwaitingKubeRay"),
        ("False", "PodsStarting"),
        ("False", "Deploying"),
        ("False", "NoServeEndpoints"),
        ("True", "ScaledToZero"),  # the former cluster too, while the new one is built
        ("False", "Suspended"),
        ("False", "Creating"),
    ]


ROLLING = {
    "rollout": Rollout("InPlace"),
    "current_revision": "tiny-1",
    "probe": Probe(frozenset()),
}
START = [("False", it) for it in ("AwaitingKubeRay", "PodsStarting", "Deploying")]
START += [("False", "NoServeEndpoints"), ("True", "Answers")]


def test_a_change_in_place_and_a_new_cluster_leave_ready_as_it_is() -> None:
    first, *said = readiness(SERVES, **ROLLING)
    assert first == ("False", "Creating")
    # in place at 140 s, a head that is deleted at 261 s, Serve's verdict at 285 s
    assert said[:5] == START
    assert said[5:] == [
        ("False", it) for it in ("PodsStarting", "DeployFailed", "Deploying", "Creating")
    ]
    # a request from zero, a new cluster at 317 s, a group appended at 478 s
    suspended = [("False", "Suspended"), ("False", "Creating")]
    assert readiness(SCALES, **ROLLING) == [*START, *suspended]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.dictionaries(st.text(), st.none()))),
    st.dictionaries(st.text(max_size=3), st.integers()),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, child in pairs:
        yield from _paths(child, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


RECORDED = [item for file in (SERVES, SCALES) for item in at(file, 320).values()]


@settings(deadline=None)
@given(data=st.data(), raw=st.sampled_from(RECORDED))
def test_nothing_that_stands_anywhere_is_an_error(data: st.DataObject, raw: Any) -> None:
    raw = copy.deepcopy(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(_paths(raw))))
        raw = _replaced(raw, path, data.draw(ODD))
    given_raw = raw if isinstance(raw, dict) else {}
    service, pod = read_ray_service(given_raw), read_pod(given_raw)
    cluster = read_ray_cluster(given_raw)
    found = Outcome("tiny", 1, plan=PLAN, ray_service=service, ray_clusters=(cluster,), pods=(pod,))
    assert len(summarize(found, given_raw, NOW)["conditions"]) == 7


def _with(ended: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that is never restarted, in the second after its container ended."""
    container = {"name": "ray-worker", "state": {"terminated": ended}}
    status = {"phase": "Running", "containerStatuses": [container]}
    return {"spec": {"restartPolicy": "Never"}, "status": status}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
            "container ray: ImagePullBackOff (Back-off pulling image)",
        ),
        (
            {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "container ray: CrashLoopBackOff (last ended with OOMKilled, exit code 137)",
        ),
        (
            {"terminated": {"reason": "Error", "exitCode": 1, "message": "no GPU"}},
            "container ray: Error (exit code 1: no GPU)",
        ),
        ({"terminated": {"reason": "Completed", "exitCode": 0}}, ""),
        ({"waiting": {"reason": "ContainerCreating"}}, ""),
    ],
)
def test_why_a_container_does_not_run(state: dict[str, Any], words: str) -> None:
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    container = {"name": "ray", "state": state, "lastState": last, "restartCount": 3}
    pod = read_pod({"status": {"phase": "Pending", "containerStatuses": [container]}})
    assert "; ".join(map(str, pod.troubles)) == words
    assert pod.restarts == 3 and not pod.running


def test_the_scheduler_s_words_are_kept() -> None:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}
    assert read_pod({"status": {"conditions": [said]}}).unschedulable == "0/3"


BEGAN = "2026-11-28T02:36:38Z"
KILLED = {"reason": "OOMKilled", "exitCode": 137, "startedAt": BEGAN}
# As Ray's autoscaler ends a worker that it lets go, once it was idle for a minute.
EXITS = {"reason": "Error", "exitCode": 1, "startedAt": BEGAN}
LET_GO = EXITS | {"finishedAt": "2026-11-28T02:44:07Z"}
AT_ONCE = EXITS | {"finishedAt": "2026-11-28T02:37:01Z"}
DONE = {"reason": "Completed", "exitCode": 0}


@pytest.mark.parametrize(
    ("pod", "ended", "failed"),
    [
        ({"status": {"phase": "Failed"}}, True, False),
        ({"status": {"phase": "Failed", "reason": "Evicted", "message": "disk"}}, True, True),
        ({"status": {"phase": "Running"}}, False, False),
        ({"metadata": {"deletionTimestamp": BEGAN}, "status": {"phase": "Failed"}}, False, False),
        (_with(KILLED), True, True),
        (_with(AT_ONCE), True, True),
        (_with(LET_GO), True, False),
        (_with(DONE), False, False),
        (_with(KILLED) | {"spec": {"restartPolicy": "Always"}}, False, False),
        (_with(AT_ONCE) | {"metadata": {"deletionTimestamp": BEGAN}}, False, False),
    ],
)
def test_which_pod_never_runs_again_and_which_failed(
    pod: dict[str, Any], ended: bool, failed: bool
) -> None:
    found = read_pod(pod)
    assert (found.ended, found.failed) == (ended, failed)


def test_the_kubelet_s_words_for_a_pod_that_it_ended_are_kept() -> None:
    said = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "
    ended = {"phase": "Failed", "reason": "Evicted", "message": said}
    assert read_pod({"status": ended}).evicted == said
    assert read_pod({"status": {**ended, "reason": "NodeLost"}}).evicted == ""
