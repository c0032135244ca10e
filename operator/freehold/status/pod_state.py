"""A Ray pod as far as Freehold's status depends on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from freehold.api.scalars import IDLE_WORKER_SECONDS
from freehold.status.raw import (
    ConditionState,
    conditions,
    count,
    find,
    instant,
    is_true,
    items,
    mapping,
    text,
)

HEAD = "head"
WORKER = "worker"

# Reasons of a waiting container that say that its image is not to be had (pkg/kubelet/images).
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CRASH = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})
_CRASH |= {"CreateContainerConfigError", "StartError"}
_IDLE = timedelta(seconds=IDLE_WORKER_SECONDS)


@dataclass(frozen=True, slots=True)
class ContainerTrouble:
    """Why a container does not run.

    Attributes:
        container: Its name.
        reason: The kubelet's word: ImagePullBackOff, CrashLoopBackOff, OOMKilled, Error.
        message: The kubelet's sentence; "" where it has none.
    """

    container: str
    reason: str
    message: str

    @property
    def of_image(self) -> bool:
        """Return whether the image is what is missing."""
        return self.reason in _IMAGE

    def __str__(self) -> str:
        """Return container, word and sentence."""
        return f"container {self.container}: {self.reason}" + (
            f" ({self.message})" if self.message else ""
        )


@dataclass(frozen=True, slots=True)
class PodState:
    """A Ray pod.

    Attributes:
        name: Its name.
        cluster: The RayCluster it belongs to.
        role: head or worker; "" where its label is missing.
        group: Its worker group; "headgroup" for a head.
        replica: Index of its replica in the group; "" where KubeRay gives none.
        node: The node it is on; "" while it is not scheduled.
        address: Its IP; "" while it has none.
        ready: Whether it is Ready. Workers without a Serve proxy are not, and run all the same.
        running: Whether every container of it runs.
        unschedulable: The scheduler's words where it finds no node; "" otherwise.
        evicted: The kubelet's words where it ended the pod for what it took of the node, such as
            disk; "" otherwise.
        ended: Whether it never runs again, though nobody deleted it. KubeRay soon does: where Ray's
            autoscaler makes pods, a container that ends is not started again.
        failed: Whether it ended for what is wrong with it, not because Ray let it go.
        troubles: Containers that do not run for a reason that does not pass by waiting alone.
        waits_for_volumes: Whether it is on a node that has not mounted all that it refers to.
        restarts: How often its containers were restarted, all together.
        deleting: Whether it is being deleted.
    """

    name: str
    cluster: str
    role: str
    group: str
    replica: str
    node: str
    address: str
    ready: bool
    running: bool
    unschedulable: str
    evicted: str
    ended: bool
    failed: bool
    troubles: tuple[ContainerTrouble, ...]
    waits_for_volumes: bool
    restarts: int
    deleting: bool

    @property
    def stays(self) -> bool:
        """Return whether it is to run, now or soon."""
        return not self.deleting and not self.ended

    @property
    def lacks_configuration(self) -> bool:
        """Return whether a Secret or ConfigMap that it refers to is not there."""
        return any(it.reason == "CreateContainerConfigError" for it in self.troubles)


def read_pod(raw: Mapping[str, Any]) -> PodState:
    """Return the state of a pod; what is missing or odd reads as absent."""
    metadata, status = mapping(raw, "metadata"), mapping(raw, "status")
    labels = mapping(metadata, "labels")
    main = tuple(items(status.get("containerStatuses")))
    containers = (*items(status.get("initContainerStatuses")), *main)
    said = conditions(status.get("conditions"))
    ended = not metadata.get("deletionTimestamp") and _has_ended(raw, main)
    evicted = text(status.get("message")) if status.get("reason") == "Evicted" else ""
    scheduled = find(said, "PodScheduled")
    unfit = scheduled is not None and scheduled.reason == "Unschedulable"
    return PodState(
        name=text(metadata.get("name")),
        cluster=text(labels.get("ray.io/cluster")),
        role=text(labels.get("ray.io/node-type")),
        group=text(labels.get("ray.io/group")),
        replica=text(labels.get("ray.io/worker-group-replica-index")),
        node=text(mapping(raw, "spec").get("nodeName")),
        address=text(status.get("podIP")),
        ready=is_true(said, "Ready"),
        running=status.get("phase") == "Running" and _all_run(main),
        unschedulable=(scheduled.message or "no reason given") if scheduled and unfit else "",
        evicted=evicted,
        ended=ended,
        failed=ended and (bool(evicted) or any(map(_failed, main))),
        troubles=tuple(_troubles(containers)),
        waits_for_volumes=_waits_for_volumes(raw, said),
        restarts=sum(count(item.get("restartCount")) or 0 for item in containers),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def _has_ended(raw: Mapping[str, Any], main: tuple[Mapping[str, Any], ...]) -> bool:
    """Tell a pod that failed, also in the second before the kubelet says so of all of it."""
    if mapping(raw, "status").get("phase") == "Failed":
        return True
    ends = [mapping(item, "state", "terminated") for item in main]
    once = mapping(raw, "spec").get("restartPolicy") == "Never"
    return once and any(end.get("exitCode") for end in ends)


def _failed(container: Mapping[str, Any]) -> bool:
    """Tell a container that was ended for its memory, or that ended soon after its start.

    Ray's autoscaler ends a worker from within, with exit code 1 as if it had failed (2.60), but
    never before it was idle for as long as it may be.
    """
    end = mapping(container, "state", "terminated")
    if not end.get("exitCode"):
        return False
    if end.get("reason") == "OOMKilled":
        return True
    began, ended = (instant(text(end.get(it))) for it in ("startedAt", "finishedAt"))
    return began is not None and ended is not None and ended - began < _IDLE


def _waits_for_volumes(raw: Mapping[str, Any], said: tuple[ConditionState, ...]) -> bool:
    """Tell a pod without a sandbox, which comes after its volumes: a Secret may be missing.

    The kubelet tells of that in an Event alone.
    """
    sandbox = find(said, "PodReadyToStartContainers")
    placed, status = text(mapping(raw, "spec").get("nodeName")), mapping(raw, "status")
    pending = status.get("phase") == "Pending" and bool(placed)
    return pending and sandbox is not None and sandbox.status == "False"


def _all_run(containers: tuple[Mapping[str, Any], ...]) -> bool:
    return all("running" in mapping(item, "state") for item in containers)


def _troubles(containers: tuple[Mapping[str, Any], ...]) -> Iterator[ContainerTrouble]:
    for item in containers:
        name, state = text(item.get("name")), mapping(item, "state")
        waiting, ended = mapping(state, "waiting"), mapping(state, "terminated")
        reason = text(waiting.get("reason"))
        if reason in _IMAGE:
            yield ContainerTrouble(name, reason, text(waiting.get("message")))
        elif reason in _CRASH:
            yield ContainerTrouble(name, reason, _last_words(item) or text(waiting.get("message")))
        elif ended and ended.get("exitCode") != 0:
            yield ContainerTrouble(name, text(ended.get("reason")) or "Error", _end(ended))


def _last_words(item: Mapping[str, Any]) -> str:
    """Return how the container ended the last time."""
    ended = mapping(item, "lastState", "terminated")
    return f"last ended with {text(ended.get('reason')) or 'Error'}, {_end(ended)}" if ended else ""


def _end(ended: Mapping[str, Any]) -> str:
    words = text(ended.get("message")).strip()
    return f"exit code {ended.get('exitCode')}" + (f": {words}" if words else "")
