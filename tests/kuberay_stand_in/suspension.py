"""Suspending a RayService and resuming it."""

from __future__ import annotations

from tests.kuberay_stand_in import ray_service_status as told
from tests.kuberay_stand_in.api import RAY_CLUSTER, SERVICE, Object
from tests.kuberay_stand_in.cache import key_of
from tests.kuberay_stand_in.conditions import is_true
from tests.kuberay_stand_in.world import World


class Suspension:
    """Takes a RayService through Suspending to Suspended, and back."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def step(self, ray_service: Object, status: Object) -> None:
        """Take one step, which shows in ``status`` alone; deletions wait until that is stored."""
        wanted = bool(ray_service["spec"].get("suspend"))
        if is_true(status, "Suspended"):
            if not wanted:
                status["observedGeneration"] = ray_service["metadata"]["generation"]
                told.say_resumed(status)
        elif is_true(status, "Suspending"):
            if await self._delete_all(ray_service):
                told.say_deleting(status)
            else:
                told.say_suspended(status)
        elif wanted:
            status["observedGeneration"] = ray_service["metadata"]["generation"]
            told.say_suspending(status)

    async def _delete_all(self, ray_service: Object) -> bool:
        """Delete what the RayService owns; returns whether there was anything."""
        found = False
        for kind in (RAY_CLUSTER, SERVICE):
            for item in self._world.of(kind, *key_of(ray_service)):
                found = True
                if not item["metadata"].get("deletionTimestamp"):
                    await self._world.delete(kind, key_of(item))
        return found
