"""The status of a RayCluster."""

from __future__ import annotations

import copy
from typing import Any

from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.conditions import find, is_true, now, remove, set_condition
from tests.kuberay_stand_in.pass_over import NotYet
from tests.kuberay_stand_in.quantity import total
from tests.kuberay_stand_in.services import ports
from tests.kuberay_stand_in.spec import desired_pods, groups_of, hosts

# What KubeRay has in its status for a cluster that is not there.
NO_CLUSTER: dict[str, Any] = {
    "desiredCPU": "0",
    "desiredGPU": "0",
    "desiredMemory": "0",
    "desiredTPU": "0",
    "head": {},
}
_UNLIMITED = 2**31 - 1


def node_type(pod: Object) -> str:
    """Return ``head`` or ``worker``."""
    found: str = pod["metadata"]["labels"]["ray.io/node-type"]
    return found


def running(pod: Object) -> bool:
    """Return whether a pod's phase is Running."""
    return bool(pod.get("status", {}).get("phase") == "Running")


def ready(pod: Object) -> bool:
    """Return whether a pod runs and is ready."""
    return running(pod) and is_true(pod["status"], "Ready")


def new_status(cluster: Object, pods: list[Object], early: NotYet | None) -> Object:
    """Return the status of a cluster with these pods.

    Args:
        cluster: The RayCluster.
        pods: All of its pods.
        early: How the pass over it ended, if not at its end.
    """
    status: Object = copy.deepcopy(cluster.get("status") or {})
    status["observedGeneration"] = cluster["metadata"]["generation"]
    status.update(_counts(cluster["spec"], pods))
    _set_failure(status, early)
    _set_conditions(status, pods)
    complete = len(pods) == status["desiredWorkerReplicas"] + 1  # and the head
    if not early and complete and all(ready(pod) for pod in pods) and not status.get("state"):
        status["state"] = "ready"
        status["stateTransitionTimes"] = {"ready": now()}
    status["endpoints"] = {name: str(number) for name, number in sorted(ports(cluster).items())}
    status["head"] = _head(cluster, pods)
    # a count of zero is left out
    return {key: value for key, value in status.items() if value != 0}


def differs(old: Object, new: Object) -> bool:
    """Return whether a status is worth a write: not for its time or observed generation alone."""
    apart = ("lastUpdateTime", "observedGeneration", "stateTransitionTimes")
    first, second = ({k: v for k, v in item.items() if k not in apart} for item in (old, new))
    return first != second


def _counts(spec: Object, pods: list[Object]) -> Object:
    workers = [pod for pod in pods if node_type(pod) == "worker"]
    groups = groups_of(spec)
    low = sum(int(group.get("minReplicas") or 0) * hosts(group) for group in groups)
    high = sum(int(group.get("maxReplicas", _UNLIMITED)) * hosts(group) for group in groups)
    counts = {
        "readyWorkerReplicas": sum(ready(pod) for pod in workers),
        "availableWorkerReplicas": sum(running(pod) for pod in workers),
        "desiredWorkerReplicas": sum(desired_pods(group) for group in groups),
        "minWorkerReplicas": low,
        "maxWorkerReplicas": min(high, _UNLIMITED),
    }
    return counts | _resources(spec)


def _resources(spec: Object) -> Object:
    parts: dict[str, list[tuple[str, int]]] = {}
    groups = [(spec["headGroupSpec"], 1)]
    groups += [(item, int(item.get("replicas") or 0) * hosts(item)) for item in groups_of(spec)]
    for group, count in groups:
        for container in group["template"]["spec"]["containers"]:
            found = container.get("resources") or {}
            amounts = (found.get("limits") or {}) | (found.get("requests") or {})
            for name, amount in amounts.items():
                parts.setdefault(name, []).append((str(amount), count))
    gpus = [part for name, found in parts.items() if name.endswith("gpu") for part in found]
    return {
        "desiredCPU": total(parts.get("cpu", [])),
        "desiredMemory": total(parts.get("memory", [])),
        "desiredGPU": total(gpus),
        "desiredTPU": total(parts.get("google.com/tpu", [])),
    }


def _set_failure(status: Object, early: NotYet | None) -> None:
    if early is None:
        remove(status, "ReplicaFailure")
    elif early.reason:
        set_condition(status, "ReplicaFailure", "True", early.reason, early.message)


def _set_conditions(status: Object, pods: list[Object]) -> None:
    head = next((pod for pod in pods if node_type(pod) == "head"), None)
    set_condition(status, "HeadPodReady", *_head_ready(head))
    if not is_true(status, "RayClusterProvisioned"):
        if pods and all(ready(pod) for pod in pods):
            reason, words = "AllPodRunningAndReadyFirstTime", "All Ray Pods are ready"
            words += " for the first time"
            set_condition(status, "RayClusterProvisioned", "True", reason, words)
        else:
            words = "RayCluster Pods are being provisioned for first time"
            reason = "RayClusterPodsProvisioning"
            set_condition(status, "RayClusterProvisioned", "False", reason, words)
    for type in ("RayClusterSuspended", "RayClusterSuspending"):
        set_condition(status, type, "False", type)


def _head_ready(head: Object | None) -> tuple[str, str, str]:
    if head is None:
        return "False", "HeadPodNotFound", "Head Pod not found"
    found = find(head.get("status") or {}, "Ready")
    if found is None:
        return "False", "Unknown", ""
    value, reason, message = found["status"], found.get("reason") or "", found.get("message") or ""
    if value == "True":
        reason = reason or "HeadPodRunningAndReady"
    if reason == "ContainersNotReady" and (why := _not_ready(head)):
        reason = why[0]
        message = "; ".join(filter(None, (message, why[1])))
    return value, reason or "Unknown", message


def _not_ready(pod: Object) -> tuple[str, str] | None:
    """Return the reason and the message of the first container that waits or has ended."""
    for container in pod["status"].get("containerStatuses") or []:
        state = container.get("state") or {}
        if found := state.get("waiting") or state.get("terminated"):
            return found.get("reason") or "", f"{container['name']}: {found.get('message') or ''}"
    return None


def _head(cluster: Object, pods: list[Object]) -> Object:
    service = {"serviceName": f"{cluster['metadata']['name']}-head-svc"}
    head = next((pod for pod in pods if node_type(pod) == "head"), None)
    if head is None:
        return service
    address = (head.get("status") or {}).get("podIP")
    found = {"podName": head["metadata"]["name"], **service}
    return found | ({"podIP": address, "serviceIP": address} if address else {})
