"""A user's overlay on a pod template, merged as Kubernetes merges strategically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The lists of a pod that Kubernetes merges item by item, with the field that tells items apart
# (patchMergeKey in k8s.io/api/core/v1); every other list is replaced whole.
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
# Of these an item has one source; one that gets another source is replaced, not merged.
_ONE_SOURCE = frozenset({"env", "volumes"})


def overlaid(template: Mapping[str, Any], overlay: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a template with an overlay on it; null in the overlay removes a field."""
    merged = dict(template)
    for name, value in (overlay or {}).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(name, merged.get(name), value)
    return merged


def _merged(name: str, old: Any, new: Any) -> Any:
    if isinstance(new, Mapping):
        return overlaid(old if isinstance(old, Mapping) else {}, new)
    if isinstance(new, list) and isinstance(old, list) and name in _MERGE_KEYS:
        return _items(name, old, new)
    return new


def _items(name: str, old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    """Return the old items in their order, each with its counterpart; then what is new."""
    key = _MERGE_KEYS[name]
    given = {item[key]: item for item in new if isinstance(item, Mapping) and key in item}
    kept = []
    for item in old:
        other = given.pop(item.get(key), None)
        if other is None:
            kept.append(item)
        else:
            replaced = name in _ONE_SOURCE and item.keys() != other.keys()
            kept.append(dict(other) if replaced else overlaid(item, other))
    known = {item.get(key) for item in old}
    fresh = [it for it in new if not (isinstance(it, Mapping) and it.get(key) in known)]
    return [*kept, *fresh]
