"""Who holds a served name: of two models of a namespace with one name, the older one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freehold.controller.queue import Key


@dataclass(slots=True)
class ServedNames:
    """The served names of all models."""

    _names: dict[Key, str] = field(default_factory=dict)
    _holders: dict[tuple[str, str], dict[Key, str]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def take(self, key: Key, model: Mapping[str, Any] | None) -> list[Key]:
        """Take a model as it is now, None where it is gone.

        Returns:
            The models that may have come to a name by this.
        """
        freed = self._release(key)
        if model is not None:
            name = str(((model.get("spec") or {}).get("model") or {}).get("servedName") or key.name)
            self._names[key] = name
            # of two that are as old, the name decides, so that all agree
            age = f"{model['metadata'].get('creationTimestamp')} {key.name}"
            self._holders[key.namespace, name][key] = age
        return freed

    def holder(self, key: Key) -> Key:
        """Return the model that holds the name of this one."""
        holders = self._holders.get((key.namespace, self._names.get(key, key.name)))
        return min(holders, key=holders.__getitem__) if holders else key

    def _release(self, key: Key) -> list[Key]:
        name = self._names.pop(key, None)
        if name is None:
            return []
        place = (key.namespace, name)
        self._holders[place].pop(key, None)
        left = list(self._holders[place])
        if not left:
            del self._holders[place]
        return left
