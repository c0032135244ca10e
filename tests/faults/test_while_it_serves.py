"""What breaks under a model that serves, and what its clients notice."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from tests.cluster.load import MANY, Load, load
from tests.cluster.model import Model
from tests.control_plane.cluster import Cluster, holds
from tests.control_plane.processes import wait_for
from tests.faults.conftest import Keep
from tests.faults.story import under_load
from tests.installation.helm import SYSTEM
from tests.node.agents import NODE
from tests.node.installation import Installation

WORKER_PROCESS = "VLLM::Worker"
OUTAGE_SECONDS = 20


def test_a_worker_process_is_killed(served: Model, keep: Keep) -> None:
    with under_load("A worker process of the only engine is killed", served) as story:
        first = engine_workers()
        first[0].kill()
        served.until("another engine runs", lambda: started_after(first))
    keep(story)
    # also what the engine had: the next one answers it
    assert story.load is not None and story.load.lost == []


def test_a_worker_pod_is_deleted(served: Model, keep: Keep) -> None:
    with under_load("The only worker pod is deleted", served) as story:
        delete_a_worker(served)
    keep(story)


def test_the_head_is_deleted(served: Model, keep: Keep) -> None:
    with under_load("The head pod is deleted", served) as story:
        (head,) = served.pods("head")
        served.kubectl("delete", "pod", head, "--wait=false")
        served.until("another head is there", lambda: set(served.pods("head")) - {head})
    keep(story)


def test_one_of_two_worker_pods_is_deleted(doubled: Model, keep: Keep) -> None:
    with under_load("One of two worker pods is deleted", doubled) as story:
        delete_a_worker(doubled)
        doubled.until("two replicas answer", lambda: doubled.status.get("readyReplicas") == 2)
    keep(story)
    assert story.load is not None and story.load.lost == []


def test_one_of_two_engines_loses_a_worker_process(doubled: Model, keep: Keep) -> None:
    with under_load("A worker process of one of two engines is killed", doubled) as story:
        first = engine_workers()
        first[0].kill()
        doubled.until("another engine runs", lambda: started_after(first))
        doubled.until("two replicas answer", lambda: doubled.status.get("readyReplicas") == 2)
    keep(story)
    # what that engine had is answered by the other one
    assert story.load is not None and story.load.lost == []
    assert {it.partition(" ")[0] for it in story.seen} == {"True"}


def test_more_clients_come_than_one_replica_serves(served: Model, keep: Keep) -> None:
    with under_load("Forty clients come where four were", served) as story:
        served.edit(autoscaling={"maxReplicas": 2})
        with load(served, MANY) as asked:
            served.until("two replicas answer", lambda: served.status.get("readyReplicas") == 2)
            assert len(served.pods("worker")) == 2
    assert story.load is not None
    story.load = Load([*story.load.ended, *asked.ended], story.load.sent + asked.sent)
    keep(story)
    assert story.load.lost == []


def test_the_operator_is_killed(served: Model, installation: Installation, keep: Keep) -> None:
    cluster = installation.cluster
    with under_load("The operator's pod is killed", served) as story:
        old = {it["metadata"]["name"] for it in cluster.list("pods", SYSTEM)}
        options = ("--grace-period=0", "--force")
        cluster.kubectl("delete", "pod", "--all", f"--namespace={SYSTEM}", *options)
        wait_for("another operator is ready", lambda: ready_operator(installation, old), 120)
    keep(story)
    assert story.load is not None and story.load.lost == []


def test_the_kubelet_is_restarted(served: Model, installation: Installation, keep: Keep) -> None:
    kubelet = installation.node.plane.servers["kubelet"]
    with under_load(f"The kubelet is away for {OUTAGE_SECONDS} s", served) as story:
        kubelet.stop(signal.SIGKILL)
        let_pass(OUTAGE_SECONDS)
        kubelet.start()
        kubelet.ready_when(installation.node.is_ready, 120)
    keep(story)
    assert story.load is not None and story.load.lost == []


def test_the_api_server_is_away(served: Model, installation: Installation, keep: Keep) -> None:
    with (
        under_load(f"The API server is away for {OUTAGE_SECONDS} s", served) as story,
        installation.node.plane.api_server_stopped(),
    ):
        let_pass(OUTAGE_SECONDS)
    keep(story)
    assert story.load is not None and story.load.lost == []


def test_a_key_is_rotated(served: Model, keep: Keep) -> None:
    secret, former = f"{served.name}-api-key", "the-former-key"
    _put(served, secret, {"former": former})
    wait_for("both keys open", lambda: served.opens(former), 180, every=1)
    # the clients' key is the one that stays
    with under_load("An API key is rotated: the next beside it, then without it", served) as story:
        _put(served, secret, {"next": "the-next-key"})
        wait_for("the next key opens", lambda: served.opens("the-next-key"), 180, every=1)
        assert served.opens(former)
        _put(served, secret, {"former": None})
        wait_for("the former opens no more", lambda: not served.opens(former), 180, every=1)
        assert served.opens("the-next-key")
    keep(story)
    assert story.load is not None and story.load.lost == []
    _put(served, secret, {"next": None})


def _put(model: Model, secret: str, keys: dict[str, str | None]) -> None:
    """Put keys into a Secret, and take out those that are None."""
    data = {name: key and base64.b64encode(key.encode()).decode() for name, key in keys.items()}
    model.kubectl("patch", "secret", secret, f"--patch={json.dumps({'data': data})}")


def test_the_node_takes_no_pods_and_then_does(
    served: Model, installation: Installation, keep: Keep
) -> None:
    cluster = installation.cluster
    fault = "The worker pod is deleted while no node takes another"
    with under_load(fault, served) as story, undone(cluster, "uncordon", NODE):
        cluster.kubectl("cordon", NODE)
        delete_a_worker(served)
        story.told = served.wait("Ready", "False", "Unschedulable")["message"]
    keep(story)
    assert "unschedulable" in story.told


def test_the_node_is_drained(served: Model, installation: Installation, keep: Keep) -> None:
    cluster = installation.cluster
    with under_load("The only node is drained, and taken back", served) as story:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=100s")
        # of the operator's two pods its budget lets one stay, with no node for the other
        others = "--pod-selector=app.kubernetes.io/name!=freehold"
        with undone(cluster, "uncordon", NODE):
            cluster.kubectl("drain", NODE, *options, others)
        served.until("another head is there", lambda: served.pods("head"))
    keep(story)


def test_the_node_repels_what_runs(served: Model, installation: Installation, keep: Keep) -> None:
    cluster, taint = installation.cluster, "maintenance=now:NoExecute"
    with under_load("The only node is tainted NoExecute, and the taint taken off", served) as story:
        before = {*served.pods("head"), *served.pods("worker")}
        with undone(cluster, "taint", "node", NODE, f"{taint}-"):
            cluster.kubectl("taint", "node", NODE, taint)
            served.until("all pods are gone", lambda: not before & names_of_all(served))
        served.until("another head is there", lambda: served.pods("head"))
    keep(story)


@contextmanager
def undone(cluster: Cluster, *command: str) -> Iterator[None]:
    """Run kubectl at the end in any case: clients would wait for their last answer for ever."""
    try:
        yield
    finally:
        cluster.kubectl(*command)


def names_of_all(model: Model) -> set[str]:
    """Return the names of a namespace's pods, of those that end, too."""
    return {it["metadata"]["name"] for it in model.cluster.list("pods", model.namespace)}


def test_a_quota_leaves_no_room_for_a_replica(served: Model, keep: Keep) -> None:
    taken = len(names_of_all(served))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods"},
        "spec": {"hard": {"pods": str(taken)}},
    }
    with under_load("A quota has no room for a second replica, then it has", served) as story:
        drop = ("delete", "resourcequota", "pods", f"--namespace={served.namespace}")
        with undone(served.cluster, *drop):
            served.cluster.apply(quota, namespace=served.namespace)
            served.edit(autoscaling={"minReplicas": 2, "maxReplicas": 2})
            story.told = served.until("the status tells it", lambda: told_of_quota(served), 120)
        served.until("two replicas answer", lambda: served.status.get("readyReplicas") == 2)
    keep(story)
    assert story.load is not None and story.load.lost == []


def told_of_quota(model: Model) -> str:
    """Return the message of a condition that names the quota, "" where there is none."""
    conditions = model.status.get("conditions") or []
    return next((it["message"] for it in conditions if "quota" in it["message"]), "")


def engine_workers() -> list[psutil.Process]:
    """Return the worker processes of all engines of this machine, oldest first."""
    found = [it for it in psutil.process_iter(["cmdline"]) if _is_worker(it)]
    return sorted(found, key=lambda it: it.create_time())


def _is_worker(process: psutil.Process) -> bool:
    words = process.info["cmdline"] or []
    return bool(words) and words[0].startswith(WORKER_PROCESS)


def started_after(first: list[psutil.Process]) -> list[psutil.Process]:
    """Return the workers that are there now and were not."""
    return [it for it in engine_workers() if it not in first]


def delete_a_worker(model: Model) -> None:
    """Delete a worker pod and wait for the next one to be there."""
    before = set(model.pods("worker"))
    model.kubectl("delete", "pod", min(before), "--wait=false")
    model.until("another one is there", lambda: set(model.pods("worker")) - before)


def ready_operator(installation: Installation, old: set[str]) -> bool:
    """Whether a pod of the operator is ready that is none of the old ones."""
    pods = installation.cluster.list("pods", SYSTEM)
    return any(holds(it, "Ready") and it["metadata"]["name"] not in old for it in pods)


def let_pass(seconds: float) -> None:
    """Let an outage last: there is nothing to wait for but its end."""
    time.sleep(seconds)
