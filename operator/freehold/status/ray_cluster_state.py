"""A KubeRay RayCluster as far as Freehold's status and its writes depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freehold.status.raw import ConditionState, conditions, count, items, mapping, text


@dataclass(frozen=True, slots=True)
class WorkerGroupState:
    """One worker group of the live spec, where Ray's autoscaler writes too.

    Attributes:
        name: Its name.
        replicas: Replicas that Ray wants now; None where the field is absent.
        minimum: Least replicas; None where the field is absent.
        maximum: Most replicas; None where the field is absent.
        hosts: Pods of a replica.
    """

    name: str
    replicas: int | None
    minimum: int | None
    maximum: int | None
    hosts: int


@dataclass(frozen=True, slots=True)
class RayClusterState:
    """A RayCluster.

    Attributes:
        name: Its name.
        uid: Its uid; "" where it is not known.
        state: KubeRay's one word: ready, suspended, failed; "" while it has none.
        groups: Its worker groups, in their order.
        desired_workers: Worker pods that KubeRay wants, as it counts.
        ready_workers: Those that are Ready.
        head_service: Name of the head's Service; "" while there is none.
        head_pod_ip: Address of the head pod; "" while there is none.
        conditions: Its conditions.
        deleting: Whether it is being deleted.
    """

    name: str
    uid: str
    state: str
    groups: tuple[WorkerGroupState, ...]
    desired_workers: int
    ready_workers: int
    head_service: str
    head_pod_ip: str
    conditions: tuple[ConditionState, ...]
    deleting: bool


def read_ray_cluster(raw: Mapping[str, Any]) -> RayClusterState:
    """Return the state of a RayCluster; what is missing or odd reads as absent."""
    metadata, status = mapping(raw, "metadata"), mapping(raw, "status")
    head = mapping(status, "head")
    return RayClusterState(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        state=text(status.get("state")),
        groups=tuple(
            WorkerGroupState(
                name=text(item.get("groupName")),
                replicas=count(item.get("replicas")),
                minimum=count(item.get("minReplicas")),
                maximum=count(item.get("maxReplicas")),
                hosts=count(item.get("numOfHosts")) or 1,
            )
            for item in items(mapping(raw, "spec").get("workerGroupSpecs"))
        ),
        desired_workers=count(status.get("desiredWorkerReplicas")) or 0,
        ready_workers=count(status.get("readyWorkerReplicas")) or 0,
        head_service=text(head.get("serviceName")),
        head_pod_ip=text(head.get("podIP")),
        conditions=conditions(status.get("conditions")),
        deleting=bool(metadata.get("deletionTimestamp")),
    )
