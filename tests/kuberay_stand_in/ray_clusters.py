"""One pass over a RayCluster: its Services, its pods, its status."""

from __future__ import annotations

import copy
import secrets

from tests.kuberay_stand_in.api import POD, RAY_CLUSTER, SECRET, SERVICE, Key, Object
from tests.kuberay_stand_in.cache import key_of, labels_of
from tests.kuberay_stand_in.conditions import now
from tests.kuberay_stand_in.pass_over import NotYet, creating
from tests.kuberay_stand_in.pods import head_pod
from tests.kuberay_stand_in.ray_cluster_status import differs, new_status, node_type
from tests.kuberay_stand_in.rights import rights
from tests.kuberay_stand_in.services import head_service, peers_service
from tests.kuberay_stand_in.spec import groups_of, hosts, spec_hash
from tests.kuberay_stand_in.worker_groups import WorkerGroups, has_ended
from tests.kuberay_stand_in.world import Settings, World


class RayClusters:
    """Does what KubeRay's RayCluster controller does."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world, self._settings = world, settings
        self._groups = WorkerGroups(world)

    async def reconcile(self, key: Key) -> float | None:
        """Make one pass; returns after how many seconds another one is wanted."""
        cluster = self._world.get(RAY_CLUSTER, key)
        if cluster is None or cluster["metadata"].get("deletionTimestamp"):
            return None
        early: NotYet | None = None
        try:
            await self._access(cluster)
            await self._services(cluster)
            await self._head(cluster)
            await self._workers(cluster)
        except NotYet as end:
            early = end
        wrote = await self._status(cluster, early)
        return self._settings.delay if early or wrote else None

    async def _access(self, cluster: Object) -> None:
        """Make what the pods refer to, in the first pass and whenever all pods are gone."""
        if self._pods(cluster):
            return
        if cluster["spec"].get("enableInTreeAutoscaling"):
            for kind, item in rights(cluster):
                await self._world.ensure(kind, item, (RAY_CLUSTER, cluster))
        options = cluster["spec"].get("authOptions") or {}
        if options.get("mode") == "token" and not options.get("secretName"):
            namespace, name = key_of(cluster)
            labels = {"ray.io/cluster": name}
            metadata = {"name": name, "namespace": namespace, "labels": labels}
            token = {"metadata": metadata, "stringData": {"auth_token": secrets.token_hex(16)}}
            await self._world.ensure(SECRET, token, (RAY_CLUSTER, cluster))

    async def _services(self, cluster: Object) -> None:
        wanted = [head_service(cluster)]
        if any(hosts(group) > 1 for group in groups_of(cluster["spec"])):
            wanted.append(peers_service(cluster))
        for service in wanted:
            if self._world.get(SERVICE, key_of(service)) is None:
                await self._world.ensure(SERVICE, service, (RAY_CLUSTER, cluster))

    async def _head(self, cluster: Object) -> None:
        heads = [pod for pod in self._pods(cluster) if node_type(pod) == "head"]
        if not heads:
            pod = head_pod(cluster, spec_hash(cluster["spec"]))
            async with creating("FailedCreateHeadPod"):
                await self._world.create(POD, pod, (RAY_CLUSTER, cluster))
        for pod in heads:
            if has_ended(pod):
                await self._world.delete(POD, key_of(pod))
                raise NotYet

    async def _workers(self, cluster: Object) -> None:
        pods = self._pods(cluster)
        for group in groups_of(cluster["spec"]):
            name = group["groupName"]
            own = [pod for pod in pods if labels_of(pod).get("ray.io/group") == name]
            await self._groups.reconcile(cluster, group, own)

    async def _status(self, cluster: Object, early: NotYet | None) -> bool:
        status = new_status(cluster, self._pods(cluster), early)
        if not differs(cluster.get("status") or {}, status):
            return False
        changed = copy.deepcopy(cluster)
        changed["status"] = status | {"lastUpdateTime": now()}
        await self._world.update(RAY_CLUSTER, changed, status=True)
        return True

    def _pods(self, cluster: Object) -> list[Object]:
        namespace, name = key_of(cluster)
        uid = cluster["metadata"]["uid"]
        pods = self._world.of(POD, namespace, name)
        return [
            pod
            for pod in pods
            if any(one["uid"] == uid for one in pod["metadata"].get("ownerReferences") or [])
        ]
