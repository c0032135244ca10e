"""Where two objects differ, field by field, as far as it matters to who wrote one of them.

Others add to an object: the API server its defaults, KubeRay its finalizer, a webhook a sidecar.
Whoever applies an object owns the keys that it names, and of a list whose items have a key its own
items; a list without such a key is owned whole (structured-merge-diff's ``map`` and ``atomic``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freehold.plan.quantity import parse_quantity

# What tells the items of a list apart. The first that all items have counts.
_IDENTITIES = ("groupName", "uid", "name", "containerPort", "port", "mountPath", "ip", "key")
# Within these an item more is not somebody else's: the list is one value.
_ATOMIC = frozenset({"workerGroupSpecs", "tolerations", "nodeSelectorTerms", "matchExpressions"})
# Maps that are one value.
_ATOMIC_MAPS = frozenset({"selector", "nodeSelector"})
# What is one value with all that is in it: who a NetworkPolicy selects and lets in.
_WHOLE = frozenset({"ingress", "podSelector"})
# Where quantities stand: 8192Mi is 8Gi, and KubeRay writes the shorter.
_AMOUNTS = frozenset({"requests", "limits"})
_SIZE = ("sizeLimit",)
# Of a RayService's spec: they are left out where they are false.
_FALSE_WHEN_ABSENT = ("suspend", "excludeHeadPodFromServeSvc")
_MOST_SHOWN = 80


class Missing:
    """Stands for a value that is not there; null is one that is."""

    def __repr__(self) -> str:
        """Return the word for sentences."""
        return "nothing"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Difference:
    """A field with two values.

    Attributes:
        path: Names from the root on; an item of a list is ``[its name]`` or ``[its index]``.
        old: What is there, or MISSING.
        new: What should be there, or MISSING.
    """

    path: tuple[str, ...]
    old: Any
    new: Any

    @property
    def field(self) -> str:
        """Return the path as it is written: ``spec.containers[ray-head].image``."""
        return ".".join(self.path).replace(".[", "[")

    def __str__(self) -> str:
        """Return a sentence with both values, without a full stop."""
        return f"{self.field}: {shown(self.old)} becomes {shown(self.new)}"


def differences(desired: Any, live: Any, *, exact: bool = False) -> list[Difference]:
    """Return what is not in ``live`` as ``desired`` has it.

    Args:
        desired: The object that should be.
        live: The object that is.
        exact: Whether what only ``live`` has is a difference, too.
    """
    return [*_values(desired, live, (), _Depth(keys=exact, items=exact))]


def with_false(item: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a RayService with false where it leaves a field out that is true in the other one.

    To apply it without would be to leave the field to whoever made it true.
    """
    spec, there = _spec(item), _spec(other)
    missed = {it: False for it in _FALSE_WHEN_ABSENT if it not in spec and there.get(it) is True}
    return {**item, "spec": {**spec, **missed}} if missed else item


def _spec(item: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = item.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def shown(value: Any) -> str:
    """Return a value for a sentence, cut where it is long."""
    if isinstance(value, Missing):
        return repr(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


@dataclass(frozen=True, slots=True)
class _Depth:
    """Whether keys, and items of lists, that only the live object has are differences here."""

    keys: bool
    items: bool


def _values(new: Any, old: Any, path: tuple[str, ...], depth: _Depth) -> Iterator[Difference]:
    if not _WHOLE.isdisjoint(path[-1:]):
        depth = _Depth(keys=True, items=True)
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        yield from _mappings(new, old, path, depth)
    elif isinstance(new, list) and isinstance(old, list):
        if path and path[-1] in _ATOMIC:
            depth = _Depth(depth.keys, items=True)
        yield from _lists(new, old, path, depth)
    elif not _equal(new, old, path):
        yield Difference(path, old, new)


def _mappings(
    new: Mapping[str, Any], old: Mapping[str, Any], path: tuple[str, ...], depth: _Depth
) -> Iterator[Difference]:
    for name, value in new.items():
        yield from _values(value, old.get(name, MISSING), (*path, name), depth)
    if depth.keys or not _ATOMIC_MAPS.isdisjoint(path[-1:]):
        for name in sorted(old.keys() - new.keys()):
            yield Difference((*path, name), old[name], MISSING)


def _lists(
    new: Sequence[Any], old: Sequence[Any], path: tuple[str, ...], depth: _Depth
) -> Iterator[Difference]:
    key = _identity(new, old)
    if key is None:
        if len(new) != len(old):
            yield Difference(path, old, new)
            return
        for i, (value, other) in enumerate(zip(new, old, strict=True)):
            yield from _values(value, other, (*path, f"[{i}]"), depth)
        return
    fresh, there = ({str(item[key]): item for item in items} for items in (new, old))
    for name, value in fresh.items():
        yield from _values(value, there.get(name, MISSING), (*path, f"[{name}]"), depth)
    if depth.items:
        for name in sorted(there.keys() - fresh.keys()):
            yield Difference((*path, f"[{name}]"), there[name], MISSING)
        order = [name for name in there if name in fresh]
        wanted = [name for name in fresh if name in there]
        if order != wanted:
            yield Difference(path, order, wanted)


def _identity(*lists: Sequence[Any]) -> str | None:
    """Return the key that tells the items of each list apart; None where none does."""
    for key in _IDENTITIES:
        if all(isinstance(it, Mapping) and key in it for items in lists for it in items):
            apart = all(len({str(it[key]) for it in items}) == len(items) for items in lists)
            return key if apart else None
    return None


def _equal(new: Any, old: Any, path: tuple[str, ...]) -> bool:
    if isinstance(old, Missing):
        return False
    if isinstance(new, bool) or isinstance(old, bool):
        return new is old
    if new == old:
        return True
    amount = path[-1:] == _SIZE or not _AMOUNTS.isdisjoint(path[-2:-1])
    return amount and _same_quantity(new, old)


def _same_quantity(new: Any, old: Any) -> bool:
    try:
        return parse_quantity(new) == parse_quantity(old)
    except (TypeError, ValueError):
        return False
