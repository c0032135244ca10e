"""What the informers saw last, small enough for thousands of models.

Objects are kept without what nobody here reads, as compressed JSON: as Python data a RayService
takes twenty times as much. The cache is a view and never the truth: a stale one makes a pass ask
for what the API server then refuses. ``relist`` repairs what a watch has lost.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from freehold.api.names import MODEL_LABEL, RAY_SERVICE_LABEL
from freehold.controller.queue import Key
from freehold.kube.client import Object
from freehold.kube.resources import MODEL_DEPLOYMENTS, RAY_CLUSTERS, Resource

# (namespace, name); the namespace of a cluster-scoped object is "".
Place = tuple[str, str]
# Told of an object that became another one: its kind, what it was and what it is.
OnChange = Callable[[Resource, "Snapshot | None", "Snapshot | None"], None]
# Deleted objects that are remembered: as many as may go while one list is read.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An object as it was seen.

    Attributes:
        uid: Its uid.
        version: Its resource version; the larger is the newer one (KEP-5504).
        model: The model that it is or belongs to, by its label.
        packed: What is kept of it.
        asks: Of a ModelDeployment what its user may change, so that a status is told from it.
    """

    uid: str
    version: int
    model: Key | None
    packed: bytes
    asks: str = ""

    @property
    def body(self) -> Object:
        """Return the object, a new copy each time."""
        body: Object = json.loads(zlib.decompress(self.packed))
        return body


@dataclass(slots=True)
class Cache:
    """Objects by kind and place.

    Attributes:
        on_change: Is told of every change.
    """

    on_change: OnChange = lambda resource, old, new: None
    _objects: dict[Resource, dict[Place, Snapshot]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _of_model: dict[tuple[Resource, Key], set[Place]] = field(
        default_factory=lambda: defaultdict(set)
    )
    _deleted: dict[str, None] = field(default_factory=dict)

    def seen(self, resource: Resource, body: Mapping[str, Any], *, ours: bool = False) -> None:
        """Take an object as it is; an older view of it than the one at hand changes nothing.

        Nor does one of an object that is no more: a list may have been read before it went.

        Args:
            resource: Its kind.
            body: The object.
            ours: Whether it is what we have just written, so that nobody needs to be told.
        """
        place = _place(body["metadata"])
        old = self._objects[resource].get(place)
        if body["metadata"].get("uid") in self._deleted:
            return
        if old is not None and _is_no_news(body["metadata"], old):
            return
        new = _snapshot(resource, body)
        self._put(resource, place, new)
        if not ours and (old is None or (old.uid, old.packed) != (new.uid, new.packed)):
            self.on_change(resource, old, new)

    def gone(self, resource: Resource, metadata: Mapping[str, Any]) -> None:
        """Take it that an object is no more; a later one of the same name stays."""
        self._bury(metadata.get("uid", ""))
        place = _place(metadata)
        old = self._objects[resource].get(place)
        if old is not None and old.uid == metadata.get("uid"):
            self._drop(resource, place, old)
            self.on_change(resource, old, None)

    def relist(
        self, resource: Resource, namespace: str | None, bodies: Iterable[Object], version: str
    ) -> None:
        """Take a whole list: what it lacks and is no younger than it is gone.

        Args:
            resource: The kind.
            namespace: Of which namespace the list is; None for all.
            bodies: All objects of it.
            version: The list's resource version.
        """
        listed = set()
        for body in bodies:
            listed.add(_place(body["metadata"]))
            self.seen(resource, body)
        for place, old in list(self._objects[resource].items()):
            meant = namespace is None or place[0] == namespace
            if meant and place not in listed and old.version <= int(version or 0):
                self._drop(resource, place, old)
                self.on_change(resource, old, None)

    def get(self, resource: Resource, place: Place) -> Object | None:
        """Return an object, if it was seen."""
        found = self._objects[resource].get(place)
        return found.body if found else None

    def version(self, resource: Resource, place: Place) -> int:
        """Return an object's resource version, 0 where it was not seen."""
        found = self._objects[resource].get(place)
        return found.version if found else 0

    def of_model(self, resource: Resource, key: Key) -> list[Object]:
        """Return a model's objects of one kind, by name."""
        places = sorted(self._of_model.get((resource, key), ()))
        return [self._objects[resource][place].body for place in places]

    def all(self, resource: Resource) -> Iterator[Object]:
        """Yield every object of a kind, by place."""
        for place in sorted(self._objects[resource]):
            yield self._objects[resource][place].body

    def keys(self) -> list[Key]:
        """Return every model that is there or has left objects behind."""
        owners = {key for (_, key), places in self._of_model.items() if places}
        return sorted(owners)

    def _put(self, resource: Resource, place: Place, new: Snapshot) -> None:
        old = self._objects[resource].get(place)
        if old is not None:
            self._drop(resource, place, old)
        self._objects[resource][place] = new
        if new.model is not None:
            self._of_model[resource, new.model].add(place)

    def _bury(self, uid: str) -> None:
        self._deleted[uid] = None
        if len(self._deleted) > _REMEMBERED:
            del self._deleted[next(iter(self._deleted))]

    def _drop(self, resource: Resource, place: Place, old: Snapshot) -> None:
        del self._objects[resource][place]
        if old.model is None:
            return
        places = self._of_model[resource, old.model]
        places.discard(place)
        if not places:
            del self._of_model[resource, old.model]


def _place(metadata: Mapping[str, Any]) -> Place:
    return metadata.get("namespace") or "", metadata["name"]


def _is_no_news(metadata: Mapping[str, Any], old: Snapshot) -> bool:
    """Tell an older view, and the very one at hand: a watch tells again of what we wrote."""
    version = _version(metadata)
    return version < old.version or (version == old.version and metadata.get("uid") == old.uid)


def _version(metadata: Mapping[str, Any]) -> int:
    return int(metadata.get("resourceVersion") or 0)


def _snapshot(resource: Resource, body: Mapping[str, Any]) -> Snapshot:
    metadata = body["metadata"]
    kept = json.dumps(_kept(body), separators=(",", ":"), sort_keys=True)
    return Snapshot(
        uid=metadata.get("uid", ""),
        version=_version(metadata),
        model=_model(resource, metadata),
        packed=zlib.compress(kept.encode(), level=1),
        asks=_asks(metadata) if resource == MODEL_DEPLOYMENTS else "",
    )


def _asks(metadata: Mapping[str, Any]) -> str:
    """Return what changes when a user writes: the generation, and what it does not count."""
    told = ("uid", "generation", "labels", "annotations", "deletionTimestamp")
    return json.dumps([metadata.get(name) for name in told], sort_keys=True)


def _model(resource: Resource, metadata: Mapping[str, Any]) -> Key | None:
    namespace = metadata.get("namespace") or ""
    if resource == MODEL_DEPLOYMENTS:
        return Key(namespace, metadata["name"])
    # a RayCluster is KubeRay's, which labels it with the RayService's name: the model's
    label = RAY_SERVICE_LABEL if resource == RAY_CLUSTERS else MODEL_LABEL
    name = (metadata.get("labels") or {}).get(label)
    return Key(namespace, name) if name else None


# Of a pod where it is and whether it is restarted, since its template stands in the RayService;
# of a node what repels pods.
_SPEC = {
    "Pod": ("nodeName", "restartPolicy", "schedulingGates"),
    "Node": ("taints", "unschedulable"),
}
# Written at every look, whether anything happened or not.
_RESTLESS = ("lastUpdateTime", "lastHeartbeatTime", "lastProbeTime")


def _kept(body: Mapping[str, Any]) -> Object:
    """Return an object without what nobody reads here; of field owners, only who they are."""
    kept = dict(body)
    kind = body.get("kind")
    metadata = body["metadata"]
    kept["metadata"] = _kept_metadata(metadata) if kind != "Node" else _of_node(metadata)
    if kind in _SPEC:
        spec = body.get("spec") or {}
        kept["spec"] = {name: spec[name] for name in _SPEC[kind] if name in spec}
    if kind == "Node":
        kept["status"] = _kept_node_status(body.get("status") or {})
    elif isinstance(body.get("status"), Mapping) and kind != "ModelDeployment":
        kept["status"] = _at_rest(body["status"])
    return kept


def _of_node(metadata: Mapping[str, Any]) -> Object:
    """Return what placing a model reads of a node's metadata.

    Drivers, agents and kubelet write annotations all the time, and each change of what is kept has
    every model looked at.
    """
    return {name: metadata[name] for name in ("name", "uid", "labels") if name in metadata}


def _kept_node_status(status: Mapping[str, Any]) -> Object:
    """Return what a node offers and whether it is Ready; its images and heartbeats are many."""
    ready = [it for it in status.get("conditions") or [] if it.get("type") == "Ready"]
    conditions = [{"type": "Ready", "status": it.get("status")} for it in ready]
    return {"allocatable": status.get("allocatable") or {}, "conditions": conditions}


def _kept_metadata(metadata: Mapping[str, Any]) -> Object:
    kept = {name: value for name, value in metadata.items() if name != "resourceVersion"}
    owners = metadata.get("managedFields")
    if owners is not None:
        told = {
            (it.get("manager", ""), it.get("operation", ""), it.get("subresource", ""))
            for it in owners
        }
        kept["managedFields"] = [list(owner) for owner in sorted(told)]
    return kept


def _at_rest(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _at_rest(it) for name, it in value.items() if name not in _RESTLESS}
    return [_at_rest(it) for it in value] if isinstance(value, list) else value
