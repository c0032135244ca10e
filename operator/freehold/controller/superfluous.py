"""A cluster that was to take over and is wanted no more, while the one that serves is.

KubeRay compares the spec with the cluster that is to take over alone. Where the spec is again what
the one that serves was made from, it builds a third one beside both (KubeRay 1.7,
``shouldPrepareNewCluster``): twice the hardware for what is there already, and where there is none,
an upgrade that never ends. So the pending cluster is struck from the RayService's status, as one
would by hand, and the one that serves is what KubeRay compares with. With the strategy None it
meanwhile builds none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from freehold.api.names import REVISION_ANNOTATION
from freehold.controller.gather import Seen
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import Invalid, NotFound
from freehold.kube.resources import RAY_CLUSTERS, RAY_SERVICES
from freehold.render.change import change

_PENDING = "/status/pendingServiceStatus"


def superfluous(seen: Seen, service: Object) -> str:
    """Return the pending cluster where the active one is what a RayService describes; "" if not.

    One that KubeRay has named and not made yet is taken for superfluous while the RayService is of
    another revision only: what KubeRay names after that it has its reasons for.

    Args:
        seen: What is there.
        service: The RayService as it should be.
    """
    state = seen.ray_service
    if state is None or state.active is None or state.pending is None:
        return ""
    active, pending = _cluster(seen, state.active.name), _cluster(seen, state.pending.name)
    if active is None or active["metadata"].get("deletionTimestamp"):
        return ""
    if service["spec"].get("suspend") or is_another(seen, service, active):
        return ""
    live = seen.children[RAY_SERVICES.kind, seen.key.name]
    named = pending is None and _revision(live) != _revision(service)
    unlike = pending is not None and is_another(seen, service, pending)
    return state.pending.name if named or unlike else ""


def building_none(service: Object) -> Object:
    """Return a RayService for which KubeRay builds no other cluster."""
    return {**service, "spec": {**service["spec"], "upgradeStrategy": {"type": "None"}}}


async def strike(client: KubeClient, seen: Seen, pending: str) -> Object | None:
    """Have KubeRay forget a pending cluster, and delete it: nobody ever asked it anything.

    Args:
        client: The API server.
        seen: What is there.
        pending: Name of the RayCluster.

    Returns:
        The RayService as it is then; None where KubeRay has gone on meanwhile.

    Raises:
        KubeError: The cluster must act; what was written stands.
    """
    operations: list[Object] = [
        {"op": "test", "path": f"{_PENDING}/rayClusterName", "value": pending},
        {"op": "replace", "path": _PENDING, "value": {}},
    ]
    try:
        place = (seen.key.namespace, seen.key.name)
        struck = await client.patch_json(RAY_SERVICES, *place, operations, subresource="status")
    except Invalid:
        return None
    found = _cluster(seen, pending)
    if found is not None:
        with contextlib.suppress(NotFound):
            uid = found["metadata"]["uid"]
            await client.delete(RAY_CLUSTERS, seen.key.namespace, pending, uid)
    return struck


def is_another(seen: Seen, service: Object, cluster: Mapping[str, Any]) -> bool:
    """Tell whether a live cluster is not the one that the RayService describes now.

    By the revision that it was made from, where that is still there: of a field that is gone since
    nothing tells on the cluster itself, where others may have added some.
    """
    revision = seen.revision(_revision(cluster))
    if revision is not None:
        return change(service, revision.ray_service, exact=True).kind == "NewCluster"
    live = {**service, "spec": {**service["spec"], "rayClusterConfig": cluster["spec"]}}
    return change(service, live).kind == "NewCluster"


def _cluster(seen: Seen, name: str) -> Object | None:
    return next((it for it in seen.clusters if it["metadata"]["name"] == name), None)


def _revision(child: Mapping[str, Any]) -> str:
    return str((child["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION))
