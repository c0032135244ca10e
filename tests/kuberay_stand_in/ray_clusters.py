"""One pass over a RayCluster: its Services, its pods, its status."""

from __future__ import annotations

import copy
import secrets

from tests.kuberay_stand_in.api import (
    POD,
    RAY_CLUSTER,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Key,
    Object,
)
from tests.kuberay_stand_in.cache import key_of, labels_of
from tests.kuberay_stand_in.conditions import now
from tests.kuberay_stand_in.pods import head_pod, worker_pod
from tests.kuberay_stand_in.ray_cluster_status import differs, new_status, node_type
from tests.kuberay_stand_in.services import head_service, peers_service
from tests.kuberay_stand_in.spec import desired_pods, groups_of, hosts, spec_hash
from tests.kuberay_stand_in.world import Settings, World

_INDEX = "ray.io/worker-group-replica-index"
_REPLICA = "ray.io/worker-group-replica-name"
_HOST = "ray.io/replica-host-index"
_ENDED = ("Failed", "Succeeded")


class NotYet(Exception):
    """The rest of a pass has to wait for another one."""


class RayClusters:
    """Does what KubeRay's RayCluster controller does."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world, self._settings = world, settings

    async def reconcile(self, key: Key) -> float | None:
        """Make one pass; returns after how many seconds another one is wanted."""
        cluster = self._world.get(RAY_CLUSTER, key)
        if cluster is None or cluster["metadata"].get("deletionTimestamp"):
            return None
        failed = False
        try:
            await self._account(cluster)
            await self._services(cluster)
            await self._head(cluster)
            for group in groups_of(cluster["spec"]):
                await self._group(cluster, group)
        except NotYet:
            failed = True
        wrote = await self._status(cluster, failed=failed)
        return self._settings.delay if failed or wrote else None

    async def _account(self, cluster: Object) -> None:
        """Make what the pods refer to.

        Not in the transcripts: KubeRay makes a Role and a RoleBinding too, which nothing here
        would use.
        """
        namespace, name = key_of(cluster)
        labels = {
            "app.kubernetes.io/created-by": "kuberay-operator",
            "app.kubernetes.io/name": "kuberay",
            "ray.io/cluster": name,
        }
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        if self._pods(cluster):
            return
        if cluster["spec"].get("enableInTreeAutoscaling"):
            account = {"metadata": metadata}
            await self._world.ensure(SERVICE_ACCOUNT, account, (RAY_CLUSTER, cluster))
        options = cluster["spec"].get("authOptions") or {}
        if options.get("mode") == "token" and not options.get("secretName"):
            token = {"metadata": metadata, "stringData": {"auth_token": secrets.token_hex(16)}}
            await self._world.ensure(SECRET, token, (RAY_CLUSTER, cluster))

    async def _services(self, cluster: Object) -> None:
        wanted = [head_service(cluster)]
        if any(hosts(group) > 1 for group in groups_of(cluster["spec"])):
            wanted.append(peers_service(cluster))  # not in the transcripts' kinds, but for this
        for service in wanted:
            if self._world.get(SERVICE, key_of(service)) is None:
                await self._world.ensure(SERVICE, service, (RAY_CLUSTER, cluster))

    async def _head(self, cluster: Object) -> None:
        heads = [pod for pod in self._pods(cluster) if node_type(pod) == "head"]
        if not heads:
            pod = head_pod(cluster, spec_hash(cluster["spec"]))
            await self._world.create(POD, pod, (RAY_CLUSTER, cluster))
        for pod in heads:
            if _ended(pod):
                await self._world.delete(POD, key_of(pod))
                raise NotYet

    async def _group(self, cluster: Object, group: Object) -> None:
        pods = [
            pod
            for pod in self._pods(cluster)
            if labels_of(pod).get("ray.io/group") == group["groupName"]
        ]
        leaving = set((group.get("scaleStrategy") or {}).get("workersToDelete") or [])
        bad = [pod for pod in pods if _ended(pod) or pod["metadata"]["name"] in leaving]
        if hosts(group) > 1:
            bad = _whole_replicas(group, pods, bad)
        for pod in bad:
            await self._delete(pod)
        if any(_ended(pod) for pod in bad) or (bad and hosts(group) > 1):
            raise NotYet
        kept = [pod for pod in pods if pod not in bad]
        await self._scale(cluster, group, kept)

    async def _scale(self, cluster: Object, group: Object, pods: list[Object]) -> None:
        size = hosts(group)
        missing = desired_pods(group) // size - len(pods) // size
        taken = {labels_of(pod).get(_INDEX) for pod in pods}
        free = (str(index) for index in range(len(taken) + max(missing, 0)))
        for index in [one for one in free if one not in taken][: max(missing, 0)]:
            await self._add_replica(cluster, group, index)
        # with an autoscaler, only its workersToDelete removes pods
        if missing < 0 and not cluster["spec"].get("enableInTreeAutoscaling"):
            ordered = sorted(pods, key=lambda pod: labels_of(pod).get(_REPLICA, ""))
            for pod in ordered[: -missing * size]:
                await self._delete(pod)

    async def _add_replica(self, cluster: Object, group: Object, index: str) -> None:
        size = hosts(group)
        name = f"{group['groupName']}-{secrets.token_hex(3)[:5]}"
        for host in range(size):
            labels = {_INDEX: index}
            if size > 1:
                labels |= {_REPLICA: name, _HOST: str(host)}
            pod = worker_pod(cluster, group, labels)
            await self._world.create(POD, pod, (RAY_CLUSTER, cluster))

    async def _delete(self, pod: Object) -> None:
        if not pod["metadata"].get("deletionTimestamp"):
            await self._world.delete(POD, key_of(pod))

    async def _status(self, cluster: Object, *, failed: bool) -> bool:
        status = new_status(cluster, self._pods(cluster), failed=failed)
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


def _ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _whole_replicas(group: Object, pods: list[Object], bad: list[Object]) -> list[Object]:
    """Return the pods of each replica of which one pod is bad or missing."""
    replicas: dict[str, list[Object]] = {}
    for pod in pods:
        replicas.setdefault(labels_of(pod).get(_REPLICA, ""), []).append(pod)
    return [
        pod
        for members in replicas.values()
        if len(members) < hosts(group) or any(pod in bad for pod in members)
        for pod in members
    ]
