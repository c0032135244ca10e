"""The pods of a RayCluster's worker groups: replica by replica, since one is whole or gone."""

from __future__ import annotations

import secrets

from tests.kuberay_stand_in.api import POD, RAY_CLUSTER, Object
from tests.kuberay_stand_in.cache import key_of, labels_of
from tests.kuberay_stand_in.pass_over import NotYet, creating
from tests.kuberay_stand_in.pods import worker_pod
from tests.kuberay_stand_in.spec import desired_pods, hosts
from tests.kuberay_stand_in.world import World

_INDEX = "ray.io/worker-group-replica-index"
_REPLICA = "ray.io/worker-group-replica-name"
_HOST = "ray.io/replica-host-index"
_ENDED = ("Failed", "Succeeded")
# the pods of one replica
Replica = list[Object]


def has_ended(pod: Object) -> bool:
    """Return whether a pod will never run Ray again."""
    status = pod.get("status") or {}
    if status.get("phase") in _ENDED:
        return True
    ray = pod["spec"]["containers"][0]["name"]
    over = any(
        "terminated" in (one.get("state") or {})
        for one in status.get("containerStatuses") or []
        if one["name"] == ray
    )
    return over and status["phase"] == "Running" and pod["spec"]["restartPolicy"] == "Never"


class WorkerGroups:
    """Keeps as many replicas of each group as it is to have."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, cluster: Object, group: Object, pods: list[Object]) -> None:
        """Delete and make pods of one group.

        Args:
            cluster: The RayCluster.
            group: The group's spec.
            pods: All pods of the group.

        Raises:
            NotYet: What was deleted has to be gone first.
        """
        replicas, several = _replicas(group, pods), hosts(group) > 1
        if several:
            await self._delete(replicas, [it for it in replicas if len(it) < hosts(group)])
        ended = [it for it in replicas if any(has_ended(pod) for pod in it)]
        # a replica of several hosts is made again at once, a single one once it is gone
        replicas = await self._delete(replicas, ended, wait=not several)
        names = set((group.get("scaleStrategy") or {}).get("workersToDelete") or [])
        leaving = [it for it in replicas if any(pod["metadata"]["name"] in names for pod in it)]
        replicas = await self._delete(replicas, leaving, wait=several)
        await self._scale(cluster, group, replicas)

    async def _delete(
        self, replicas: list[Replica], chosen: list[Replica], *, wait: bool = True
    ) -> list[Replica]:
        """Delete some of the replicas; returns the others."""
        for pod in (pod for replica in chosen for pod in replica):
            if not pod["metadata"].get("deletionTimestamp"):
                await self._world.delete(POD, key_of(pod))
        if chosen and wait:
            raise NotYet
        return [it for it in replicas if it not in chosen]

    async def _scale(self, cluster: Object, group: Object, replicas: list[Replica]) -> None:
        missing = desired_pods(group) // hosts(group) - len(replicas)
        taken = {labels_of(replica[0]).get(_INDEX) for replica in replicas}
        free = (str(index) for index in range(len(taken) + max(missing, 0)))
        for index in [one for one in free if one not in taken][: max(missing, 0)]:
            await self._add_replica(cluster, group, index)
        # with an autoscaler, only its workersToDelete removes pods
        if missing < 0 and not cluster["spec"].get("enableInTreeAutoscaling"):
            await self._delete(replicas, replicas[:-missing], wait=False)

    async def _add_replica(self, cluster: Object, group: Object, index: str) -> None:
        size = hosts(group)
        name = f"{group['groupName']}-{secrets.token_hex(3)[:5]}"
        for host in range(size):
            labels = {_INDEX: index}
            if size > 1:
                labels |= {_REPLICA: name, _HOST: str(host)}
            pod = worker_pod(cluster, group, labels)
            async with creating("FailedCreateWorkerPod"):
                await self._world.create(POD, pod, (RAY_CLUSTER, cluster))


def _replicas(group: Object, pods: list[Object]) -> list[Replica]:
    """Return a group's pods by replica: each for itself, or those that belong together."""
    if hosts(group) == 1:
        return [[pod] for pod in pods]
    found: dict[str, Replica] = {}
    for pod in pods:
        found.setdefault(labels_of(pod).get(_REPLICA, ""), []).append(pod)
    return list(found.values())
