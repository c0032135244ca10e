"""What the stand-in knows of the cluster, and how it writes to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.kuberay_stand_in import api
from tests.kuberay_stand_in.api import Api, ApiError, Key, Kind, Object
from tests.kuberay_stand_in.cache import Cache, labels_of
from tests.kuberay_stand_in.services import owner

ORIGIN = "ray.io/originated-from-cr-name"
CLUSTER = "ray.io/cluster"


@dataclass(frozen=True, slots=True)
class Settings:
    """How quick the stand-in is.

    Attributes:
        delay: Seconds from one pass over an object to the next; KubeRay's is 2.
        delay_at_rest: The same for a RayService that is ready and serves what it should.
        deletion_delay: Seconds that a cluster outlives its replacement, where the RayService does
            not say; KubeRay's is 60.
    """

    delay: float
    delay_at_rest: float
    deletion_delay: float


@dataclass
class World:
    """The caches of all kinds, and writes that they see at once."""

    api: Api
    namespace: str = ""
    caches: dict[str, Cache] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels = {
            api.RAY_SERVICE: ("", ""),
            api.RAY_CLUSTER: (ORIGIN, ""),
            api.POD: (CLUSTER, "ray.io/node-type"),
            api.SERVICE: (ORIGIN, ""),
            api.ENDPOINT_SLICE: ("kubernetes.io/service-name", ""),
        }
        for kind, (label, selector) in labels.items():
            cache = Cache(self.api, kind, self.namespace, label, selector)
            self.caches[kind.name] = cache

    async def watch(self, tasks: asyncio.TaskGroup) -> None:
        """Watch everything; returns once all is listed."""
        listed = [asyncio.Event() for _ in self.caches]
        for cache, event in zip(self.caches.values(), listed, strict=True):
            tasks.create_task(cache.run(event))
        for event in listed:
            await event.wait()

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Return an object; it must not be changed."""
        return self.caches[kind.name].get(key)

    def of(self, kind: Kind, namespace: str, value: str) -> list[Object]:
        """Return the objects whose label, by which the kind is looked up, has a value."""
        return self.caches[kind.name].of(namespace, value)

    async def create(self, kind: Kind, item: Object, parent: tuple[Kind, Object]) -> Object:
        """Create a child; returns it as stored."""
        item["metadata"]["ownerReferences"] = owner(*parent)
        stored = await self.api.create(kind, item)
        self._see(kind, stored)
        return stored

    async def ensure(self, kind: Kind, item: Object, parent: tuple[Kind, Object]) -> None:
        """Create a child unless there is one of its name."""
        try:
            await self.create(kind, item, parent)
        except ApiError as error:
            if error.status != 409:
                raise

    async def update(self, kind: Kind, item: Object, *, status: bool = False) -> Object:
        """Write an object, or its status; returns it as stored."""
        stored = await self.api.update(kind, item, status=status)
        self._see(kind, stored)
        return stored

    async def delete(self, kind: Kind, key: Key) -> None:
        """Delete an object; one that is gone is no error."""
        try:
            await self.api.delete(kind, key)
        except ApiError as error:
            if error.status != 404:
                raise

    def _see(self, kind: Kind, item: Object) -> None:
        cache = self.caches.get(kind.name)
        if cache is not None:
            cache.put(item)


def head_of(world: World, key: Key) -> Object | None:
    """Return the head pod of a RayCluster."""
    pods = world.of(api.POD, *key)
    return next((pod for pod in pods if labels_of(pod)["ray.io/node-type"] == "head"), None)


def head_address(world: World, namespace: str, name: str) -> str:
    """Return the address of the head pod of a RayCluster, or ""."""
    head = head_of(world, (namespace, name)) or {}
    found: str = (head.get("status") or {}).get("podIP", "")
    return found
