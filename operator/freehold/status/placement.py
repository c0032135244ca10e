"""What keeps pods of a RayCluster from running."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.api import conditions as api
from freehold.api.faults import counted
from freehold.status.message import full_stop, listed, words_of
from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past
from freehold.status.pod_state import HEAD, WORKER, PodState
from freehold.status.raw import find


def trouble_of(outcome: Outcome, cluster: str) -> Finding | None:
    """Return why pods of a RayCluster cannot run, None where nothing is in their way.

    An image first, then what failed or crashes, then what finds no node, then pods that
    are not there.
    """
    return next(_troubles(outcome, cluster), None)


def failed_of(outcome: Outcome, cluster: str) -> Finding | None:
    """Return which pod of a RayCluster failed, or crashes; None where none did."""
    return next(_failed(outcome, cluster), None)


def _troubles(outcome: Outcome, cluster: str) -> Iterator[Finding]:
    ordered = _ordered(outcome, cluster)
    yield from _of_containers(ordered, True, api.IMAGE_PULL_FAILED)
    yield from _failed(outcome, cluster)
    unfit = [pod for pod in ordered if pod.unschedulable]
    if unfit:
        first, names = unfit[0], listed([pod.name for pod in unfit])
        said = full_stop(f"the scheduler says: {first.unschedulable}")
        what = counted(len(unfit), "pod")
        yield Finding(api.UNSCHEDULABLE, f"No node takes {what} ({names}); {said}")
    said = _not_made(outcome, cluster)
    if said:
        message = full_stop(f"KubeRay cannot make a pod of cluster {cluster}: {said}")
        yield Finding(api.PODS_NOT_MADE, message)


def _failed(outcome: Outcome, cluster: str) -> Iterator[Finding]:
    failed = [pod for pod in outcome.failed if pod.cluster == cluster]
    for pod in failed:
        if pod.evicted:
            said = full_stop(f"Pod {pod.name} was evicted: {pod.evicted}")
            yield Finding(api.PODS_EVICTED, said)
    pods = [*_ordered(outcome, cluster), *failed]
    yield from _of_containers(pods, False, api.PODS_CRASHING)


def _ordered(outcome: Outcome, cluster: str) -> list[PodState]:
    return sorted(outcome.pods_of(cluster), key=lambda pod: pod.name)


def _not_made(outcome: Outcome, cluster: str) -> str:
    """Return KubeRay's words where it could not make a pod, "" otherwise."""
    state = outcome.ray_cluster(cluster)
    failure = find(state.conditions, "ReplicaFailure") if state is not None else None
    return words_of(failure.message) if failure is not None and failure.status == "True" else ""


def _of_containers(pods: list[PodState], of_image: bool, reason: api.Reason) -> Iterator[Finding]:
    for pod in pods:
        for trouble in pod.troubles:
            if trouble.of_image == of_image:
                yield Finding(reason, full_stop(f"Pod {pod.name}, {trouble}"))


def in_the_way(outcome: Outcome) -> Finding | None:
    """Return why pods of what serves cannot run, None where all of them do."""
    cluster = outcome.serving_cluster
    # a pod that failed lately is no matter where another one runs in its place
    return trouble_of(outcome, cluster) if starting(outcome, cluster) is not None else None


def wakes(outcome: Outcome, past: Past) -> bool:
    """Return whether replicas that start were asked for by a request to a model at zero."""
    slept = any(past.had(api.SERVING, it.name) for it in (api.SCALED_TO_ZERO, api.WAKING))
    return slept and outcome.replicas.minimum == 0


def starting(outcome: Outcome, cluster: str) -> Finding | None:
    """Return what is still to come up of a cluster, None when all that it needs runs."""
    pods = outcome.pods_of(cluster)
    running = [pod for pod in pods if pod.running]
    wanted = max(_wanted(outcome, cluster), len(pods))
    has_head = any(pod.role == HEAD for pod in running)
    if has_head and len(running) >= wanted:
        return None
    late = listed(sorted(pod.name for pod in pods if not pod.running))
    waiting = f"; waiting for {late}" if late else ""
    message = f"{len(running)} of {wanted} pods of cluster {cluster} run{waiting}."
    return Finding(api.PODS_STARTING, message)


def _wanted(outcome: Outcome, cluster: str) -> int:
    """Return how many pods a cluster is to have at the least: its head and what its groups want."""
    found = outcome.ray_cluster(cluster)
    groups = found.groups if found else ()
    return 1 + sum((group.replicas or 0) * group.hosts for group in groups)


def worker_pods(outcome: Outcome) -> int:
    """Return how many workers the serving cluster has."""
    return sum(pod.role == WORKER for pod in outcome.pods_of(outcome.serving_cluster))
