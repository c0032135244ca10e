"""What the cluster has of one kind: listed once, then watched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from tests.kuberay_stand_in.api import Api, ApiError, Key, Kind, Object

_LOG = logging.getLogger(__name__)
_GONE = 410


def key_of(item: Object) -> Key:
    """Return an object's namespace and name."""
    return item["metadata"]["namespace"], item["metadata"]["name"]


def labels_of(item: Object) -> dict[str, str]:
    """Return an object's labels."""
    found: dict[str, str] = item["metadata"].get("labels") or {}
    return found


@dataclass
class Cache:
    """The objects of one kind.

    Attributes:
        label: Label by whose value they are found.
        selector: Those that are watched.
        told: Is called with each object that came, changed or went.
    """

    api: Api
    kind: Kind
    namespace: str
    label: str = ""
    selector: str = ""
    told: Callable[[Object], None] = lambda item: None
    _items: dict[Key, Object] = field(default_factory=dict)
    _by_label: dict[Key, set[Key]] = field(default_factory=dict)

    def get(self, key: Key) -> Object | None:
        """Return one object."""
        return self._items.get(key)

    def of(self, namespace: str, value: str) -> list[Object]:
        """Return the objects of a namespace whose label has a value, by name."""
        keys = sorted(self._by_label.get((namespace, value), ()))
        return [self._items[key] for key in keys]

    def put(self, item: Object) -> None:
        """Take an object, unless a newer one is there."""
        key = key_of(item)
        old = self._items.get(key)
        if old is not None and _version(old) > _version(item):
            return
        self._drop(key)
        self._items[key] = item
        self._by_label.setdefault(self._index(item), set()).add(key)

    async def run(self, listed: asyncio.Event) -> None:
        """Keep it true; ``listed`` is set once it is whole."""
        while True:
            try:
                since = await self._list()
                listed.set()
                await self._watch(since)
            except (ApiError, aiohttp.ClientError, OSError) as error:
                _LOG.warning("%s: %s; listing anew", self.kind.plural, error)
                await asyncio.sleep(0.5)

    async def _list(self) -> str:
        answer = await self.api.list(self.kind, self.namespace, self.selector)
        found = {key_of(item): item for item in answer["items"]}
        for key in set(self._items) - set(found):
            self._gone(self._items[key])
        for item in found.values():
            self.put(item)
            self.told(item)
        version: str = answer["metadata"]["resourceVersion"]
        return version

    async def _watch(self, since: str) -> None:
        while True:
            async for event in self.api.watch(self.kind, self.namespace, self.selector, since):
                item = event["object"]
                if event["type"] == "ERROR":
                    raise ApiError(int(item.get("code", _GONE)), str(item.get("message")))
                since = item["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._gone(item)
                else:
                    self.put(item)
                    self.told(item)

    def _gone(self, item: Object) -> None:
        self._drop(key_of(item))
        self.told(item)

    def _drop(self, key: Key) -> None:
        if (old := self._items.pop(key, None)) is not None:
            self._by_label[self._index(old)].discard(key)

    def _index(self, item: Object) -> Key:
        return item["metadata"]["namespace"], labels_of(item).get(self.label, "")


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])
