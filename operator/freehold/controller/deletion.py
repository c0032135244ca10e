"""Deletion ends even when KubeRay is gone.

A ModelDeployment has no finalizer: its children belong to it and follow it. A RayService bears
KubeRay's finalizer, which KubeRay takes off within seconds. Where it stays, nobody is there to do
so, and everything would wait for ever; what it guards is owned too and follows by itself.
"""

from __future__ import annotations

from datetime import datetime

from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import Invalid, NotFound
from freehold.kube.resources import RAY_SERVICES
from freehold.status.raw import instant

_KUBERAY = "ray.io/rayservice-finalizer"
# KubeRay deletes a cluster and its pods in this time many times over.
PATIENCE_S = 30.0


async def free_if_stuck(client: KubeClient, service: Object, now: datetime) -> float | None:
    """Take KubeRay's finalizer off a RayService whose deletion does not come to its end.

    Args:
        client: The API server.
        service: The RayService.
        now: The present.

    Returns:
        Seconds until it is to be looked at again; None where there is nothing to wait for.
    """
    metadata = service["metadata"]
    since = instant(metadata.get("deletionTimestamp") or "")
    finalizers = metadata.get("finalizers") or []
    if since is None or _KUBERAY not in finalizers:
        return None
    left = PATIENCE_S - (now - since).total_seconds()
    if left > 0:
        return left
    operations: list[Object] = [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/finalizers", "value": finalizers},
        {
            "op": "replace",
            "path": "/metadata/finalizers",
            "value": [it for it in finalizers if it != _KUBERAY],
        },
    ]
    try:
        place = (metadata["namespace"], metadata["name"])
        await client.patch_json(RAY_SERVICES, *place, operations)
    except (NotFound, Invalid):
        return 1.0  # it went by itself, or its finalizers changed: look again
    return None
