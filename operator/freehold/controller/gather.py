"""What a pass begins with: everything the cache knows of one model, read but not judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from freehold.api.names import ASKED_AGAIN_ANNOTATION, DESCRIBE_TASK, TASK_LABEL
from freehold.controller.cache import Cache
from freehold.controller.queue import Key
from freehold.kube.client import Object
from freehold.kube.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    MODEL_DEPLOYMENTS,
    NETWORK_POLICIES,
    PODS,
    RAY_CLUSTERS,
    RAY_SERVICES,
    SERVICES,
)
from freehold.plan.rollout import standing
from freehold.render.revision import Revision, read_revision
from freehold.status.pod_state import PodState, read_pod
from freehold.status.raw import instant
from freehold.status.ray_cluster_state import RayClusterState, read_ray_cluster
from freehold.status.ray_service_state import RayServiceState, read_ray_service


@dataclass(frozen=True, slots=True)
class Seen:
    """A model and what it owns, as it was seen last.

    Attributes:
        key: Its key.
        model: The ModelDeployment.
        version: Its resource version.
        revisions: Its revisions that can be read, oldest first.
        asked: When each revision was asked for last, by its name.
        children: ConfigMaps, Services, RayServices and NetworkPolicies, by kind and name.
        clusters: The RayClusters as they are.
        ray_service: Our RayService.
        ray_clusters: Its RayClusters.
        pods: The pods of its RayClusters.
        describing: The pods that read its source, as they are.
    """

    key: Key
    model: Object
    version: int
    revisions: tuple[Revision, ...]
    asked: Mapping[str, datetime | None]
    children: Mapping[tuple[str, str], Object]
    clusters: tuple[Object, ...]
    ray_service: RayServiceState | None
    ray_clusters: tuple[RayClusterState, ...]
    pods: tuple[PodState, ...]
    describing: tuple[Object, ...] = ()

    @property
    def uid(self) -> str:
        """Return the model's uid."""
        return str(self.model["metadata"]["uid"])

    @property
    def status(self) -> Mapping[str, Any]:
        """Return the status as it was written last."""
        return self.model.get("status") or {}

    @property
    def newest(self) -> Revision | None:
        """Return the revision that is wanted, if there is one."""
        return self.revisions[-1] if self.revisions else None

    @property
    def standing(self) -> Revision | None:
        """Return the revision whose objects stand while nothing is decided, if there is one."""
        return self.revision(standing([it.decided for it in self.revisions]))

    def revision(self, name: str) -> Revision | None:
        """Return the revision of a name."""
        return next((it for it in self.revisions if it.name == name), None)


def gather(cache: Cache, key: Key, checked: set[str]) -> Seen | None:
    """Return what is known of a model, or None where it is gone.

    Args:
        cache: What was seen.
        key: The model.
        checked: Uids of revisions that were found whole; added to.
    """
    model = cache.get(MODEL_DEPLOYMENTS, key)
    if model is None:
        return None
    uid = model["metadata"]["uid"]
    held = _owned(cache.of_model(CONTROLLER_REVISIONS, key), uid)
    kinds = (CONFIG_MAPS, SERVICES, RAY_SERVICES, NETWORK_POLICIES)
    children = {
        (resource.kind, body["metadata"]["name"]): body
        for resource in kinds
        for body in cache.of_model(resource, key)
    }
    service = children.get(("RayService", key.name))
    ours = service is not None and bool(_owned([service], uid))
    clusters = _owned(
        cache.of_model(RAY_CLUSTERS, key), service["metadata"]["uid"] if ours and service else ""
    )
    pods = cache.of_model(PODS, key)
    return Seen(
        key=key,
        model=model,
        version=cache.version(MODEL_DEPLOYMENTS, key),
        revisions=tuple(_revisions(held, checked)),
        asked={raw["metadata"]["name"]: _asked(raw["metadata"]) for raw in held},
        children=children,
        clusters=tuple(clusters),
        ray_service=read_ray_service(service) if ours and service else None,
        ray_clusters=tuple(read_ray_cluster(raw) for raw in clusters),
        pods=tuple(read_pod(raw) for raw in pods if not (_describes(raw) or _cleans(raw))),
        describing=tuple(_owned((raw for raw in pods if _describes(raw)), uid)),
    )


def _asked(metadata: Mapping[str, Any]) -> datetime | None:
    """Return when a revision was asked for last: when it was made, or again after others."""
    again = (metadata.get("annotations") or {}).get(ASKED_AGAIN_ANNOTATION)
    return instant(again or metadata.get("creationTimestamp", ""))


def _revisions(held: Iterable[Object], checked: set[str]) -> list[Revision]:
    """Return the revisions that can be read; their data never change, so they are checked once."""
    found = []
    for raw in held:
        uid = raw["metadata"]["uid"]
        revision = read_revision(raw, checked=uid in checked)
        if isinstance(revision, Revision):
            checked.add(uid)
            found.append(revision)
    return sorted(found, key=lambda it: it.number)


def _describes(pod: Object) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(TASK_LABEL) == DESCRIBE_TASK)


def _cleans(pod: Object) -> bool:
    """Tell the pod by which KubeRay takes a former cluster's state out of Redis: it is no node."""
    return bool((pod["metadata"].get("labels") or {}).get("ray.io/node-type") == "redis-cleanup")


def _owned(bodies: Iterable[Object], uid: str) -> list[Object]:
    """Return the objects that belong to the one with this uid."""
    return [
        body
        for body in bodies
        if any(it.get("uid") == uid for it in body["metadata"].get("ownerReferences") or [])
    ]
