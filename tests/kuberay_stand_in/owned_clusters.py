"""The RayClusters of a RayService: made, changed in place, replaced, deleted."""

from __future__ import annotations

import asyncio
import copy

from tests.kuberay_stand_in.api import RAY_CLUSTER, RAY_SERVICE, Key, Object
from tests.kuberay_stand_in.cache import key_of
from tests.kuberay_stand_in.conditions import is_true
from tests.kuberay_stand_in.ray_service_status import ACTIVE, PENDING, cluster_name
from tests.kuberay_stand_in.spec import groups_of, make_whole, spec_hash
from tests.kuberay_stand_in.world import ORIGIN, Settings, World

_HASH = "ray.io/hash-without-replicas-and-workers-to-delete"
_GROUPS = "ray.io/num-worker-groups"
_VERSION = "ray.io/kuberay-version"


def ray_cluster(ray_service: Object, name: str) -> Object:
    """Return the RayCluster that a RayService asks for, but for its owner.

    It bears all of the RayService's labels and annotations.
    """
    metadata = ray_service["metadata"]
    spec = copy.deepcopy(ray_service["spec"]["rayClusterConfig"])
    make_whole(spec)
    origin = {ORIGIN: metadata["name"], "ray.io/originated-from-crd": "RayService"}
    annotations = {
        _HASH: spec_hash(spec),
        _GROUPS: str(len(groups_of(spec))),
        _VERSION: "v1.7.0",
    }
    return {
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**(metadata.get("labels") or {}), **origin},
            "annotations": {**(metadata.get("annotations") or {}), **annotations},
        },
        "spec": spec,
    }


def _same(ray_service: Object, cluster: Object) -> bool:
    found: str = cluster["metadata"]["annotations"][_HASH]
    return found == spec_hash(ray_service["spec"]["rayClusterConfig"])


def _only_appended(ray_service: Object, cluster: Object) -> bool:
    """Return whether the spec is the cluster's with more worker groups at its end."""
    annotations, spec = cluster["metadata"]["annotations"], ray_service["spec"]["rayClusterConfig"]
    count = int(annotations[_GROUPS])
    if len(groups_of(spec)) < count:
        return False
    found: str = annotations[_HASH]
    return found == spec_hash(spec, count)


def needs_new_cluster(ray_service: Object, active: Object | None, pending: Object | None) -> bool:
    """Return whether the next cluster is to be named: for want of one, or for another spec."""
    cluster = pending or active
    if cluster is None:
        return True
    if _same(ray_service, cluster) or _only_appended(ray_service, cluster):
        return False
    strategy = (ray_service["spec"].get("upgradeStrategy") or {}).get("type", "NewCluster")
    return bool(strategy == "NewCluster")


class OwnedClusters:
    """Keeps the clusters of RayServices."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world, self._settings = world, settings
        self._due: dict[Key, float] = {}

    async def clean(self, ray_service: Object) -> bool:
        """Delete the clusters that are no longer wanted; returns whether there are any.

        One that was replaced lives on for the RayService's delay, so that it ends what it answers.
        """
        deleted = bool(ray_service["metadata"].get("deletionTimestamp"))
        status = ray_service.get("status") or {}
        wanted = {cluster_name(status, part) for part in (ACTIVE, PENDING)}
        left = False
        for cluster in self._world.of(RAY_CLUSTER, *key_of(ray_service)):
            if cluster["metadata"]["name"] in wanted and not deleted:
                continue
            left = True
            if deleted or self._is_due(ray_service, cluster):
                await self._world.delete(RAY_CLUSTER, key_of(cluster))
        return left

    def _is_due(self, ray_service: Object, cluster: Object) -> bool:
        time = asyncio.get_running_loop().time()
        default = self._settings.deletion_delay
        delay = float(ray_service["spec"].get("rayClusterDeletionDelaySeconds", default))
        return time >= self._due.setdefault(key_of(cluster), time + delay)

    async def reconcile(self, ray_service: Object) -> tuple[Object | None, Object | None]:
        """Return the active and the pending cluster, made or changed in place where needed."""
        status = ray_service["status"]
        active = self._named(ray_service, ACTIVE)
        pending = self._named(ray_service, PENDING)
        name = cluster_name(status, PENDING)
        if name and pending is None:
            wanted = ray_cluster(ray_service, name)
            pending = await self._world.create(RAY_CLUSTER, wanted, (RAY_SERVICE, ray_service))
            return active, pending
        if active is not None and not is_true(status, "UpgradeInProgress"):
            active = await self._in_place(ray_service, active)
        if pending is not None:
            pending = await self._in_place(ray_service, pending)
        return active, pending

    async def _in_place(self, ray_service: Object, cluster: Object) -> Object:
        if _same(ray_service, cluster) or not _only_appended(ray_service, cluster):
            return cluster
        wanted = ray_cluster(ray_service, cluster["metadata"]["name"])
        changed = copy.deepcopy(cluster)
        changed["spec"] = wanted["spec"]
        for part in ("labels", "annotations"):
            changed["metadata"][part] = wanted["metadata"][part]
        return await self._world.update(RAY_CLUSTER, changed)

    def _named(self, ray_service: Object, part: str) -> Object | None:
        namespace, _ = key_of(ray_service)
        name = cluster_name(ray_service["status"], part)
        return self._world.get(RAY_CLUSTER, (namespace, name)) if name else None
