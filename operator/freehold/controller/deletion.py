"""Deletion ends even when KubeRay is gone.

A ModelDeployment has no finalizer: its children belong to it and follow it. A RayService bears
KubeRay's finalizer, which KubeRay takes off within seconds. Where it stays, nobody is there to do
so, and everything would wait for ever; what it guards is owned too and follows by itself.
A RayCluster bears one while its state is in a Redis: KubeRay first has a pod take it out of there,
for which it gives itself five minutes.
"""

from __future__ import annotations

from datetime import datetime

from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import Invalid, NotFound
from freehold.kube.resources import RAY_CLUSTERS, RAY_SERVICES, Resource
from freehold.status.raw import instant

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


async def free_if_stuck(
    client: KubeClient, resource: Resource, item: Object, now: datetime
) -> float | None:
    """Take KubeRay's finalizer off an object whose deletion does not come to its end.

    Args:
        client: The API server.
        resource: Its kind, one of ``GUARDED``.
        item: The object.
        now: The present.

    Returns:
        Seconds until it is to be looked at again; None where there is nothing to wait for.
    """
    metadata, (finalizer, patience) = item["metadata"], _FINALIZERS[resource]
    since = instant(metadata.get("deletionTimestamp") or "")
    finalizers = metadata.get("finalizers") or []
    if since is None or finalizer not in finalizers:
        return None
    left = patience - (now - since).total_seconds()
    if left > 0:
        return left
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
