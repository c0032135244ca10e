"""What the model's own cluster says of its engines, beside what Kubernetes knows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from freehold.controller.gather import Seen
from freehold.controller.install_key import InstallKey
from freehold.controller.probes import Probes
from freehold.controller.queue import Key
from freehold.kube.endpoint import ModelEndpoints
from freehold.kube.resources import RAY_SERVICES
from freehold.plan.canonical import canonical_json
from freehold.render.endpoint_service import endpoint_url
from freehold.render.revision import Revision
from freehold.render.serve_config import from_yaml
from freehold.status.decisions import SCALING_LOG
from freehold.status.outcome import Engines, ScalingDecision, Submission
from freehold.status.raw import count, items, mapping, text
from freehold.status.scaling import read_scaling

# Reading YAML is most of what a pass without a change would cost.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Told:
    """What Serve tells of a model.

    Attributes:
        engines: The replicas of the cluster that serves, as Serve told last; None where it never
            did: a dashboard that misses a question says nothing about replicas.
        submission: What became of the Serve config, as Serve says now; None where it says nothing.
        scaling: What the scaling policy told last; None where it cannot be heard.
    """

    engines: Engines | None = None
    submission: Submission | None = None
    scaling: ScalingDecision | None = None


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

    async def look(self, seen: Seen, revision: Revision) -> Told:
        """Return what Serve tells of a model."""
        service, found = seen.ray_service, Told()
        if service is not None and service.active is not None:
            name = service.active.name
            details = await self._details(seen, name)
            found = Told(
                engines=self._engines(seen, name, revision, details),
                submission=_submission(seen, name, details),
                scaling=await self._scaling(seen, name, details),
            )
        if service is not None and service.pending is not None:
            name = service.pending.name
            said = _submission(seen, name, await self._details(seen, name))
            found = replace(found, submission=said)
        return found

    async def _scaling(
        self, seen: Seen, cluster: str, details: Mapping[str, Any]
    ) -> ScalingDecision | None:
        """Return what the scaling policy told last; it runs and writes where the controller is."""
        node = text(mapping(details, "controller_info").get("node_id"))
        if not (node and mapping(details, "applications", seen.key.name)):
            return None
        head, token = _head(seen, cluster), self.key.ray_token(seen.uid)
        log = f"serve/{SCALING_LOG.format(seen.key.name)}"
        line = await self.endpoints.last_line(head, seen.key.namespace, token, node, log)
        return read_scaling(line)

    async def declare_again(self, seen: Seen, cluster: str, *, emptied: bool) -> bool:
        """Give Serve again what it gave up on; return whether it was taken.

        The same config builds an application again that could not be built, and touches nothing
        that runs. One whose replicas could not start stays as it is until it has been taken away
        (Ray 2.60); KubeRay then declares it, as wherever there is none.

        Args:
            seen: The model.
            cluster: The RayCluster.
            emptied: Whether the application is to be taken away; nothing may run of it.
        """
        head = _head(seen, cluster)
        config = from_yaml(_serve_text(seen))
        if not head or not isinstance(config, dict):
            return False
        if emptied:
            config = {**config, "applications": []}
        token = self.key.ray_token(seen.uid)
        return await self.endpoints.declare(head, seen.key.namespace, token, config)

    async def _details(self, seen: Seen, cluster: str) -> Mapping[str, Any]:
        """Return what Serve says on a cluster, {} where it does not answer."""
        head = _head(seen, cluster)
        if not head:
            return {}
        token = self.key.ray_token(seen.uid)
        return await self.endpoints.serve_details(head, seen.key.namespace, token) or {}

    def _engines(
        self, seen: Seen, cluster: str, revision: Revision, details: Mapping[str, Any]
    ) -> Engines | None:
        if not _head(seen, cluster):
            return None  # the cluster is gone, and with it what it told
        found = _engines(details, seen.key.name, revision.frozen.deployment)
        if found is not None:
            self._last[seen.key] = cluster, found
        known = self._last.get(seen.key, ("", None))
        return known[1] if known[0] == cluster else None

    def probe(self, seen: Seen, revision: Revision, engines: frozenset[str]) -> None:
        """Ask a model for one token, in the background, by the name under which it is served.

        The cluster that serves is asked itself: the endpoint's Service may still lead to the former
        one, whose answer would say nothing of these engines.
        """
        service = seen.ray_service
        head = _head(seen, service.active.name) if service and service.active else ""
        if not head:
            return
        url, key = endpoint_url(head, seen.key.namespace), self.key.probe_key(seen.uid)
        self.probes.send(seen.key, url, revision.served_name, key, engines)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is gone."""
        self._last.pop(key, None)
        self.probes.forget(key)


def _engines(details: Mapping[str, Any], application: str, deployment: str) -> Engines | None:
    found = mapping(details, "applications", application, "deployments", deployment)
    target = count(found.get("target_num_replicas"))
    if target is None:
        return None
    replicas = list(items(found.get("replicas")))
    running = (it for it in replicas if it.get("state") == "RUNNING")
    starting = sum(it.get("state") == "STARTING" for it in replicas)
    return Engines(target, frozenset(str(it.get("replica_id")) for it in running), starting)


def _head(seen: Seen, cluster: str) -> str:
    return next((it.head_service for it in seen.ray_clusters if it.name == cluster), "")


def _submission(seen: Seen, cluster: str, details: Mapping[str, Any]) -> Submission | None:
    found = mapping(details, "applications", seen.key.name)
    if not found:
        return None
    taken = _code(mapping(found, "deployed_app_config")) == _declared(_serve_text(seen))
    said = [found, *mapping(found, "deployments").values()]
    words = "\n".join(it for it in (text(mapping(it).get("message")) for it in said) if it)
    return Submission(cluster, text(found.get("status")), taken, words)


def _serve_text(seen: Seen) -> str:
    """Return the Serve config that the RayService has now."""
    service = seen.children.get((RAY_SERVICES.kind, seen.key.name)) or {}
    return text(mapping(service, "spec").get("serveConfigV2"))


@functools.lru_cache(_REMEMBERED)
def _declared(serve_text: str) -> str:
    """Return the code of the one application of a Serve config; "" without one."""
    try:
        config = from_yaml(serve_text)
    except yaml.YAMLError:
        config = None  # written by somebody else, and about to be put back
    applications = items(config.get("applications")) if isinstance(config, dict) else ()
    return next((_code(it) for it in applications), "")


def _code(application: Mapping[str, Any]) -> str:
    """Return what Serve makes an application of, in canonical form.

    What it takes in place is left out: Serve fills in some of that, and none of it fails later.
    """
    return canonical_json([application.get(name) for name in ("import_path", "args")])
