"""The status of a RayService: pure functions of what a pass found."""

from __future__ import annotations

import copy
from typing import Any

from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.conditions import is_true, remove, set_condition
from tests.kuberay_stand_in.ray_cluster_status import NO_CLUSTER

ACTIVE, PENDING = "activeServiceStatus", "pendingServiceStatus"


def status_of(ray_service: Object) -> Object:
    """Return the status, to be changed; empty if there is none."""
    found: Object = ray_service.setdefault("status", {})
    for part in (ACTIVE, PENDING):
        found.setdefault(part, {"rayClusterStatus": copy.deepcopy(NO_CLUSTER)})
    return found


def cluster_name(status: Object, part: str) -> str:
    """Return the name of the active or pending cluster, or ""."""
    found: str = (status.get(part) or {}).get("rayClusterName", "")
    return found


def set_cluster(
    status: Object, part: str, cluster: Object | None, applications: dict[str, Object] | None
) -> None:
    """Tell of the active or pending cluster what it is and what it serves."""
    name = cluster_name(status, part)
    told = copy.deepcopy((cluster or {}).get("status") or NO_CLUSTER)
    status[part] = {"rayClusterStatus": told}
    if name:
        status[part]["rayClusterName"] = name
    if applications:
        status[part]["applicationStatuses"] = applications


def prepare(status: Object, name: str) -> None:
    """Name the next cluster."""
    status[PENDING] = {
        "rayClusterName": name,
        "rayClusterStatus": copy.deepcopy(NO_CLUSTER),
    }


def promote(status: Object) -> None:
    """Make the pending cluster the active one."""
    status[ACTIVE] = status[PENDING]
    status[PENDING] = {"rayClusterStatus": copy.deepcopy(NO_CLUSTER)}


def clear(status: Object) -> None:
    """Tell of no cluster and of no endpoint."""
    for part in (ACTIVE, PENDING):
        status[part] = {"rayClusterStatus": copy.deepcopy(NO_CLUSTER)}
    for key in ("numServeEndpoints", "serviceStatus"):
        status.pop(key, None)


def conclude(status: Object, endpoints: int) -> None:
    """Set the conditions, and what follows from them, from the endpoints and the clusters."""
    status.pop("numServeEndpoints", None)
    if endpoints:
        status["numServeEndpoints"] = endpoints
    if not status.get("conditions"):
        for type in ("Ready", "UpgradeInProgress"):
            say(status, type, "False", "Initializing", "RayService is initializing")
    if endpoints:
        words = "Number of serve endpoints is greater than 0"
        say(status, "Ready", "True", "NonZeroServeEndpoints", words)
    elif is_true(status, "Ready"):
        # not in the transcripts
        words = "Number of serve endpoints dropped to 0"
        say(status, "Ready", "False", "ZeroServeEndpoints", words)
    _say_upgrade(status)
    status.pop("serviceStatus", None)
    if is_true(status, "Ready"):
        status["serviceStatus"] = "Running"


def _say_upgrade(status: Object) -> None:
    active, pending = cluster_name(status, ACTIVE), cluster_name(status, PENDING)
    if active and pending:
        words = "Both active and pending Ray clusters exist"
        say(status, "UpgradeInProgress", "True", "BothActivePendingClustersExist", words)
    elif active:
        words = "Active Ray cluster exists and no pending Ray cluster"
        say(status, "UpgradeInProgress", "False", "NoPendingCluster", words)


def say(status: Object, type: str, value: str, reason: str, words: str) -> None:
    """Set a condition for the generation that was observed."""
    set_condition(status, type, value, reason, words, status.get("observedGeneration", 0))


def say_suspending(status: Object) -> None:
    """Tell that everything is about to be deleted."""
    words = "Spec.Suspend is true; will delete all Kubernetes resources owned by this RayService."
    say(status, "Suspending", "True", "SuspendRequested", words)
    _say_still(status, "SuspendInProgress", "RayService is suspending.")
    clear(status)


def say_deleting(status: Object) -> None:
    """Tell that what was deleted is still there."""
    words = "Waiting for all Kubernetes resources owned by this RayService to be deleted."
    say(status, "Suspending", "True", "SuspendInProgress", words)


def say_suspended(status: Object) -> None:
    """Tell that everything is gone."""
    words = "All owned resources have been deleted."
    say(status, "Suspending", "False", "SuspendComplete", words)
    say(status, "Suspended", "True", "SuspendComplete", words)
    _say_still(status, "SuspendComplete", "RayService is suspended.")


def say_resumed(status: Object) -> None:
    """Tell that it starts again. Not in the transcripts."""
    words = "Spec.Suspend is false; RayService has resumed."
    say(status, "Suspended", "False", "RayServiceResumed", words)
    words = "RayService is initializing after resuming from suspend."
    for type in ("Ready", "UpgradeInProgress"):
        remove(status, type)
        say(status, type, "False", "Initializing", words)


def _say_still(status: Object, reason: str, words: str) -> None:
    say(status, "Ready", "False", reason, words)
    say(status, "UpgradeInProgress", "False", reason, "No upgrade in progress.")
    say(status, "RollbackInProgress", "False", reason, "No rollback in progress.")


def differs(old: Object, new: Object) -> bool:
    """Return whether a status is worth a write: not for what it repeats of a RayCluster alone."""
    return bool(_telling(old) != _telling(new))


def _telling(status: Object) -> Any:
    parts = [
        (cluster_name(status, part), (status.get(part) or {}).get("applicationStatuses") or {})
        for part in (ACTIVE, PENDING)
    ]
    numbers = (status.get("serviceStatus", ""), status.get("numServeEndpoints", 0))
    return parts, numbers, status.get("conditions") or []


def suspend_owns(status: Object) -> bool:
    """Return whether suspending is all that a pass may do."""
    return is_true(status, "Suspending") or is_true(status, "Suspended")


def rests(status: Object) -> bool:
    """Return whether a RayService is ready, with one cluster whose applications all run."""
    applications = (status.get(ACTIVE) or {}).get("applicationStatuses") or {}
    runs = [item.get("status") == "RUNNING" for item in applications.values()]
    upgrades = bool(cluster_name(status, PENDING))
    return is_true(status, "Ready") and not upgrades and bool(runs) and all(runs)
