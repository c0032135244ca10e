"""Deletion ends even when KubeRay is gone.

A ModelDeployment has no finalizer: its children belong to it and follow it. A RayService bears
KubeRay's finalizer, which KubeRay takes off within seconds. Where it stays, nobody is there to do
so, and everything would wait for ever; what it guards is owned too and follows by itself.
A RayCluster bears one while its state is in a Redis: KubeRay first has a pod take it out of there,
for which it gives itself five minutes.

How long a deletion takes is counted from when this process first saw it, by a clock of its own, as
with leases (``kube/lease.py``). The time in the object is the API server's: where our clock was
ahead of that, a finalizer would be taken off while KubeRay is at it. A new process counts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from freehold.controller.queue import Key
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import Invalid, NotFound
from freehold.kube.lease import boot_time
from freehold.kube.resources import RAY_CLUSTERS, RAY_SERVICES, Resource

# KubeRay deletes a cluster and its pods in this time many times over.
PATIENCE_S = 30.0
# KubeRay 1.7 itself takes the finalizer off after 300 s
# (``RAYCLUSTER_GCS_FT_DELETION_TIMEOUT_DEFAULT``).
REDIS_PATIENCE_S = 330.0
_FINALIZERS = {
    RAY_SERVICES: ("ray.io/rayservice-finalizer", PATIENCE_S),
    RAY_CLUSTERS: ("ray.io/gcs-ft-redis-cleanup-finalizer", REDIS_PATIENCE_S),
}
GUARDED = tuple(_FINALIZERS)


@dataclass(slots=True)
class Deletions:
    """Sees the deletion of what KubeRay guards to its end.

    Attributes:
        client: The API server.
        clock: Seconds, never set and never stopped.
    """

    client: KubeClient
    clock: Callable[[], float] = boot_time
    _since: dict[Key, dict[str, float]] = field(default_factory=dict)

    async def see_to(self, key: Key, guarded: Iterable[tuple[Resource, Object]]) -> float | None:
        """Take KubeRay's finalizer off a model's objects whose deletion does not come to its end.

        Args:
            key: The model.
            guarded: Its objects of the kinds in ``GUARDED``, as they are, each with its kind.

        Returns:
            Seconds until they are to be looked at again; None where there is nothing to wait for.

        Raises:
            KubeError: The API server must act.
        """
        held = [(resource, it) for resource, it in guarded if _is_held(resource, it["metadata"])]
        since = self._note(key, [item["metadata"]["uid"] for _, item in held])
        waits = []
        for resource, item in held:
            left = since[item["metadata"]["uid"]] + _FINALIZERS[resource][1] - self.clock()
            waits.append(left if left > 0 else await _free(self.client, resource, item))
        return min((it for it in waits if it is not None), default=None)

    def _note(self, key: Key, uids: Iterable[str]) -> Mapping[str, float]:
        """Return when each object was first seen to be held up; others are forgotten."""
        known, now = self._since.pop(key, {}), self.clock()
        since = {uid: known.get(uid, now) for uid in uids}
        if since:
            self._since[key] = since
        return since


def _is_held(resource: Resource, metadata: Mapping[str, Any]) -> bool:
    finalizers = metadata.get("finalizers") or []
    return bool(metadata.get("deletionTimestamp")) and _FINALIZERS[resource][0] in finalizers


async def _free(client: KubeClient, resource: Resource, item: Object) -> float | None:
    """Take KubeRay's finalizer off; return when to look again at what changed meanwhile."""
    metadata, finalizer = item["metadata"], _FINALIZERS[resource][0]
    finalizers = metadata["finalizers"]
    operations: list[Object] = [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/finalizers", "value": finalizers},
        {
            "op": "replace",
            "path": "/metadata/finalizers",
            "value": [it for it in finalizers if it != finalizer],
        },
    ]
    try:
        place = (metadata["namespace"], metadata["name"])
        await client.patch_json(resource, *place, operations)
    except (NotFound, Invalid):
        return 1.0  # it went by itself, or its finalizers changed: look again
    return None
