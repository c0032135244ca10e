"""What the model's own cluster says of its engines, beside what Kubernetes knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freehold.controller.gather import Seen
from freehold.controller.install_key import InstallKey
from freehold.controller.probes import Probes
from freehold.controller.queue import Key
from freehold.kube.endpoint import ModelEndpoints
from freehold.render.endpoint_service import endpoint_url
from freehold.render.revision import Revision
from freehold.status.outcome import Engines
from freehold.status.raw import count, items, mapping


@dataclass(frozen=True, slots=True)
class Observer:
    """Asks Serve and the engines.

    Attributes:
        endpoints: The way to them.
        probes: One-token requests under way.
        key: What the tokens of Ray clusters and the keys for probes are derived from.
    """

    endpoints: ModelEndpoints
    probes: Probes
    key: InstallKey
    _last: dict[Key, tuple[str, Engines]] = field(default_factory=dict)

    async def engines(self, seen: Seen, revision: Revision) -> Engines | None:
        """Return the replicas of the cluster that serves, as Serve told them last.

        None where it never did: a dashboard that misses a question says nothing about replicas.
        """
        service = seen.ray_service
        if service is None or service.active is None:
            return None
        name = service.active.name
        head = next((it.head_service for it in seen.ray_clusters if it.name == name), "")
        if not head:
            return None
        token = self.key.ray_token(seen.uid)
        details = await self.endpoints.serve_details(head, seen.key.namespace, token)
        found = _engines(details or {}, seen.key.name, revision.frozen.deployment)
        if found is not None:
            self._last[seen.key] = name, found
        known = self._last.get(seen.key, ("", None))
        return known[1] if known[0] == name else None

    def probe(self, seen: Seen, engines: frozenset[str]) -> None:
        """Ask a model for one token, in the background."""
        url = endpoint_url(seen.key.name, seen.key.namespace)
        name = str(seen.model["spec"]["model"].get("servedName") or seen.key.name)
        self.probes.send(seen.key, url, name, self.key.probe_key(seen.uid), engines)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is gone."""
        self._last.pop(key, None)
        self.probes.forget(key)


def _engines(details: Mapping[str, Any], application: str, deployment: str) -> Engines | None:
    found = mapping(details, "applications", application, "deployments", deployment)
    target = count(found.get("target_num_replicas"))
    if target is None:
        return None
    running = (it for it in items(found.get("replicas")) if it.get("state") == "RUNNING")
    return Engines(target, frozenset(str(it.get("replica_id")) for it in running))
