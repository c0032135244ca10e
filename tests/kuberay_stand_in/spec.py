"""The spec of a RayService, as KubeRay stores it and as it tells two of them apart."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tests.kuberay_stand_in.api import Object
from tests.kuberay_stand_in.quantity import canonical


def groups_of(cluster: Object) -> list[Object]:
    """Return the worker groups of a RayCluster's spec."""
    found: list[Object] = cluster.get("workerGroupSpecs") or []
    return found


def full_update(ray_service: Object) -> None:
    """Change the spec as reading and writing it whole through KubeRay's types does.

    Adds the three empty fields that the transcript shows. Not in the transcripts, seen with a real
    operator: quantities in their canonical form, and no ``suspend`` and
    ``excludeHeadPodFromServeSvc`` that are false.
    """
    spec = ray_service["spec"]
    for name in ("suspend", "excludeHeadPodFromServeSvc"):
        if spec.get(name) is False:
            del spec[name]
    make_whole(spec["rayClusterConfig"])


def make_whole(cluster: Object) -> None:
    """Change the spec of a RayCluster as KubeRay's types do; two that are then alike are the same.

    So a spec from which an apply took the empty fields again builds no new cluster.
    """
    for group in groups_of(cluster):
        group.setdefault("scaleStrategy", {})
    for template in _templates(cluster):
        template.setdefault("metadata", {})
        _whole_template(template["spec"])


def _templates(cluster: Object) -> Iterator[Object]:
    yield cluster["headGroupSpec"]["template"]
    for group in groups_of(cluster):
        yield group["template"]


def _whole_template(spec: Object) -> None:
    for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
        for variable in container.get("env") or []:
            if variable.get("value") == "":
                del variable["value"]
        resources = container.setdefault("resources", {})
        for amounts in resources.values():
            if isinstance(amounts, dict):
                amounts.update({name: canonical(amount) for name, amount in amounts.items()})
    for volume in spec.get("volumes") or []:
        directory = volume.get("emptyDir") or {}
        if "sizeLimit" in directory:
            directory["sizeLimit"] = canonical(directory["sizeLimit"])


def spec_hash(cluster: Object, groups: int | None = None) -> str:
    """Return the hash that tells whether a cluster must be built anew.

    Args:
        cluster: The spec of a RayCluster.
        groups: How many of its worker groups count; None for all.

    The value is the stand-in's own; what it leaves out is what KubeRay leaves out.
    """
    told = copy.deepcopy(cluster)
    make_whole(told)
    told.pop("suspend", None)
    told.pop("upgradeStrategy", None)
    told["workerGroupSpecs"] = groups_of(told)[:groups]
    for group in told["workerGroupSpecs"]:
        for name in ("replicas", "minReplicas", "maxReplicas"):
            group.pop(name, None)
        group.get("scaleStrategy", {}).pop("workersToDelete", None)
    for template in _templates(told):
        for name in ("tolerations", "schedulingGates"):
            template["spec"].pop(name, None)
    digest = hashlib.sha1(_text(told).encode(), usedforsecurity=False).digest()
    return base64.b32hexencode(digest).decode()


def _text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def desired_pods(group: Object) -> int:
    """Return how many pods a worker group is to have: its replicas within its bounds."""
    low, high = int(group.get("minReplicas") or 0), group.get("maxReplicas")
    replicas = max(low, int(group.get("replicas") or 0))
    if high is not None:
        replicas = min(replicas, int(high))
    return replicas * hosts(group)


def hosts(group: Object) -> int:
    """Return the pods of one replica of a worker group."""
    return int(group.get("numOfHosts") or 1)


def fault(ray_service: Object) -> str | None:
    """Return why KubeRay refuses a RayService, in its words; None if it does not.

    Not in the transcripts. Of KubeRay's many checks these are the ones that Freehold could meet.
    """
    name, spec = ray_service["metadata"]["name"], ray_service["spec"]
    if len(name) > 47:
        return (
            "The RayService metadata is invalid: RayService name should be no more than 47 "
            "characters"
        )
    cluster = spec["rayClusterConfig"]
    for group in groups_of(cluster):
        low, high = group.get("minReplicas"), group.get("maxReplicas")
        if low is not None and high is not None and low > high:
            return (
                f"The RayService spec is invalid: worker group {group['groupName']} has "
                f"minReplicas {low} greater than maxReplicas {high}"
            )
    return None
