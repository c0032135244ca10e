"""Writing what was decided: the revision first, then the children, then what is no longer used.

A revision that stands and children that do not is what a killed operator leaves, and what the next
pass completes; the other way round it would decide a second time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from freehold.api import conditions as api
from freehold.api.names import ASKED_AGAIN_ANNOTATION, FAILED_ANNOTATION
from freehold.controller.cache import Cache
from freehold.controller.decide import Decision
from freehold.controller.gather import Seen
from freehold.controller.secrets_of_models import ModelSecrets
from freehold.controller.superfluous import building_none, is_another, strike, superfluous
from freehold.kube.children import ForeignChild, Written, foreign_child, is_owned, write_child
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import AlreadyExists, Conflict, Denied, Invalid, KindMissing, NotFound
from freehold.kube.resources import (
    BY_KIND,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    MODEL_DEPLOYMENTS,
    NETWORK_POLICIES,
    RAY_CLUSTERS,
    RAY_SERVICES,
    Resource,
)
from freehold.plan.failure import Failure, failure_text
from freehold.render.change import ray_cluster_bounds_patch
from freehold.render.revision import Revision, read_revision, revision_of
from freehold.status.outcome import Finding
from freehold.status.raw import mapping, timestamp

# Revisions kept beside those in use, as a Deployment keeps ReplicaSets.
_HISTORY = 10


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What became of the children.

    Attributes:
        changed: Whether anything was written that Ray or KubeRay now has to take up.
        begun: Whether KubeRay was given the model just now, or had a cluster taken from it, and
            what comes after that is to follow.
        refused: What keeps a child from being written.
        lacks: What pods need and is not there, where no further pods are asked for.
        waits_for: The cluster that must be gone before a new one is made; "" for none.
    """

    changed: bool = False
    begun: bool = False
    refused: Finding | None = None
    lacks: Finding | None = None
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How what runs is replaced.

    Attributes:
        recreate: Whether a cluster that must be another one is deleted first.
        surge: Replicas that may stand beside all others while these are replaced.
    """

    recreate: bool = False
    surge: int = 0


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes children.

    Attributes:
        client: The API server.
        cache: Is told of what was written, so that the next pass knows it.
        secrets: Sees to the Secrets that pods need.
    """

    client: KubeClient
    cache: Cache
    secrets: ModelSecrets

    async def decide(self, seen: Seen, decision: Decision, now: datetime) -> str | None:
        """Write the revision that was decided on, or that it was asked for again.

        Args:
            seen: What is there.
            decision: What was decided.
            now: The present, from which the time for its rollout counts.

        Returns:
            The uid of a new revision, which is known to be whole; None where none was made.

        Raises:
            KubeError: It could not be written.
        """
        revision = decision.revision
        if decision.new is not None:
            made = await self._write_revision(seen, decision.new)
            self.cache.seen(CONTROLLER_REVISIONS, made, ours=True)
            return str(made["metadata"]["uid"])
        if decision.number is not None and revision is not None:
            again = self._annotated(seen, revision.name, ASKED_AGAIN_ANNOTATION, timestamp(now))
            forgiven: list[Object] = [{"op": "remove", "path": _path(FAILED_ANNOTATION)}]
            operations: list[Object] = [
                {"op": "test", "path": "/revision", "value": revision.number},
                {"op": "replace", "path": "/revision", "value": decision.number},
                *(forgiven if revision.failure is not None else []),
                *again,
            ]
            await self._patch_revision(seen, revision.name, operations)
        return None

    async def give_up(self, seen: Seen, revision: Revision, failure: Failure) -> None:
        """Write on a revision that its rollout was given up; what follows goes by that.

        Raises:
            KubeError: It could not be written, and nothing was given up.
        """
        text = failure_text(failure)
        marked = self._annotated(seen, revision.name, FAILED_ANNOTATION, text)
        operations = [{"op": "test", "path": "/revision", "value": revision.number}, *marked]
        await self._patch_revision(seen, revision.name, operations)

    def _annotated(self, seen: Seen, revision: str, name: str, value: str) -> list[Object]:
        """Return the JSON patch by which a revision gets an annotation."""
        raw = self.cache.get(CONTROLLER_REVISIONS, (seen.key.namespace, revision)) or {}
        if mapping(raw, "metadata", "annotations"):
            return [{"op": "add", "path": _path(name), "value": value}]
        return [{"op": "add", "path": "/metadata/annotations", "value": {name: value}}]

    async def _patch_revision(self, seen: Seen, name: str, operations: list[Object]) -> None:
        place = (seen.key.namespace, name)
        patched = await self.client.patch_json(CONTROLLER_REVISIONS, *place, operations)
        self.cache.seen(CONTROLLER_REVISIONS, patched, ours=True)

    async def lead(self, seen: Seen, endpoint: Object) -> bool:
        """Have the endpoint's Service lead to the cluster that serves; return whether it changed.

        Args:
            seen: What is there.
            endpoint: The Service as it should be.

        Raises:
            KubeError: It could not be written.
        """
        return await self._write(seen, endpoint) is Written.APPLIED

    async def carry_out(
        self, seen: Seen, desired: Sequence[Object], manner: Manner, *, kuberay: bool
    ) -> CarriedOut:
        """Make the children what they should be; after a first RayService, no further one.

        Args:
            seen: What is there.
            desired: The children, in the order of application.
            manner: How what runs is replaced.
            kuberay: Whether the API server knows RayService.

        Raises:
            KubeError: The cluster must act; what was written stands.
        """
        refused = await self._in_the_way(seen, desired)
        if refused is not None:
            return CarriedOut(refused=refused)
        service = next(it for it in desired if it["kind"] == RAY_SERVICES.kind)
        missing = await self.secrets.see_to(seen, service)
        if missing is not None and _asks_for_pods(seen, service):
            return CarriedOut(refused=missing)
        done = await self._write_all(seen, desired, manner, kuberay=kuberay)
        return replace(done, lacks=missing)

    async def _write_all(
        self, seen: Seen, desired: Sequence[Object], manner: Manner, *, kuberay: bool
    ) -> CarriedOut:
        done = CarriedOut()
        for child in desired:
            if child["kind"] != RAY_SERVICES.kind:
                written = await self._write(seen, child)
                if isinstance(written, Finding):
                    return replace(done, refused=written)
            elif kuberay:
                done = await self._ray_service(seen, child, manner)
                if done.begun or done.refused is not None:
                    return done
        return done

    async def _ray_service(self, seen: Seen, service: Object, manner: Manner) -> CarriedOut:
        """Make the RayService what it should be, and its clusters."""
        unwanted = superfluous(seen, service)
        meant = building_none(service) if unwanted else service
        written = await self._write(seen, meant)
        if isinstance(written, Finding):
            return CarriedOut(refused=written)
        if unwanted:
            struck = await strike(self.client, seen, unwanted)
            if struck is not None:
                self.cache.seen(RAY_SERVICES, struck, ours=True)
        if unwanted or written is Written.CREATED:
            return CarriedOut(changed=True, begun=True)
        waits_for = await self._clusters(seen, service, manner)
        return CarriedOut(written is not Written.NOTHING, waits_for=waits_for)

    async def prune(self, seen: Seen, in_use: Iterable[str]) -> None:
        """Delete old revisions, and archives that no revision uses.

        Args:
            seen: What is there.
            in_use: Names of the revisions that are in use.
        """
        used = {name for name in in_use if name}
        kept = [it for it in seen.revisions if it.name in used]
        others = [it for it in seen.revisions if it.name not in used]
        kept += others[-_HISTORY:]
        for revision in others[:-_HISTORY]:
            await self._delete(seen, CONTROLLER_REVISIONS, revision.name)
        if not kept:
            return
        archives = {revision.config_map for revision in kept}
        for (kind, name), child in seen.children.items():
            ours = kind == CONFIG_MAPS.kind and is_owned(child, seen.uid)
            if ours and name not in archives:
                await self._delete(seen, CONFIG_MAPS, name)

    async def withdraw(self, seen: Seen, desired: Sequence[Object]) -> None:
        """Delete our NetworkPolicies that are not to be there: an installation may want none.

        Args:
            seen: What is there.
            desired: The children as they should be.
        """
        wanted = {(child["kind"], child["metadata"]["name"]) for child in desired}
        for (kind, name), child in seen.children.items():
            ours = kind == NETWORK_POLICIES.kind and is_owned(child, seen.uid)
            if ours and (kind, name) not in wanted:
                await self._delete(seen, NETWORK_POLICIES, name)

    async def _write_revision(self, seen: Seen, wanted: Object) -> Object:
        """Create a revision, unless it is there and has escaped us; returns it.

        A name is made from the content: what bears it and holds something else is written anew.

        Raises:
            Conflict: One of the name belongs to somebody else, such as a deleted model of the name,
                whom it will follow.
        """
        try:
            return await self.client.create(CONTROLLER_REVISIONS, wanted)
        except AlreadyExists:
            place = (seen.key.namespace, wanted["metadata"]["name"])
            found = await self.client.get(CONTROLLER_REVISIONS, *place)
        if not is_owned(found, seen.uid):
            raise Conflict(
                f"the ControllerRevision {place[1]} belongs to somebody else, such as a deleted "
                "ModelDeployment of this name; it is waited for until it is gone"
            )
        if isinstance(read_revision(found), Revision):
            return found
        await self.client.delete(CONTROLLER_REVISIONS, *place, found["metadata"]["uid"])
        return await self.client.create(CONTROLLER_REVISIONS, wanted)

    async def _in_the_way(self, seen: Seen, desired: Sequence[Object]) -> Finding | None:
        """Tell what would keep a model from being completed once its RayService is there.

        No hardware is asked for where somebody else's object has the name of a later child.
        """
        if (RAY_SERVICES.kind, seen.key.name) in seen.children:
            return None
        kinds = [child["kind"] for child in desired]
        for child in desired[kinds.index(RAY_SERVICES.kind) + 1 :]:
            found = await foreign_child(self.client, child, seen.uid)
            if found is not None:
                return _in_the_way_of(seen, found)
        return None

    async def _write(self, seen: Seen, child: Object) -> Written | Finding:
        resource = BY_KIND[child["kind"]]
        live = seen.children.get((child["kind"], child["metadata"]["name"]))
        try:
            written, now = await write_child(self.client, child, live, seen.uid)
        except (Invalid, Denied) as error:
            return Finding(api.CHILD_REFUSED, _refused(child, str(error)))
        if now is not None:
            self.cache.seen(resource, now, ours=True)
        if isinstance(written, ForeignChild):
            return _in_the_way_of(seen, written)
        return written

    async def _clusters(self, seen: Seen, service: Object, manner: Manner) -> str:
        """Bring the replica bounds to the live clusters, and delete one that must be another.

        KubeRay gives the bounds to new clusters only, and with the strategy None builds none while
        there is an old one.
        """
        waits_for = ""
        config = service["spec"]["rayClusterConfig"]
        for cluster in seen.clusters:
            if service["spec"].get("suspend"):
                continue
            name, ending = cluster["metadata"]["name"], cluster["metadata"].get("deletionTimestamp")
            if manner.recreate and is_another(seen, service, cluster):
                waits_for = name
                if not ending:
                    uid = cluster["metadata"]["uid"]
                    await self.client.delete(RAY_CLUSTERS, seen.key.namespace, name, uid)
                continue
            if ending:
                continue
            operations = ray_cluster_bounds_patch(
                config["workerGroupSpecs"],
                cluster,
                surge=manner.surge,
                standing=_standing(seen, cluster),
            )
            if operations:
                place = (seen.key.namespace, name)
                patched = await self.client.patch_json(RAY_CLUSTERS, *place, operations)
                self.cache.seen(RAY_CLUSTERS, patched, ours=True)
        return waits_for

    async def _delete(self, seen: Seen, resource: Resource, name: str) -> None:
        body = self.cache.get(resource, (seen.key.namespace, name))
        if body is None:
            return
        try:
            uid = body["metadata"]["uid"]
            await self.client.delete(resource, seen.key.namespace, name, uid)
        except (NotFound, KindMissing):
            pass
        self.cache.gone(resource, body["metadata"])


def _standing(seen: Seen, cluster: Object) -> dict[str, int]:
    """Return the replicas of a cluster whose pods stand, by worker group."""
    name = cluster["metadata"]["name"]
    pods = Counter(it.group for it in seen.pods if it.cluster == name and not it.deleting)
    groups = next(it.groups for it in seen.ray_clusters if it.name == name)
    return {group.name: math.ceil(pods[group.name] / group.hosts) for group in groups}


def _path(annotation: str) -> str:
    """Return where an annotation stands, as a JSON pointer."""
    return f"/metadata/annotations/{annotation.replace('~', '~0').replace('/', '~1')}"


def _asks_for_pods(seen: Seen, service: Object) -> bool:
    """Tell whether KubeRay has not been given these pods yet, and so asks for no hardware.

    The way back to a cluster that still stands asks for none either.
    """
    live = seen.children.get((RAY_SERVICES.kind, service["metadata"]["name"]))
    if live is not None and revision_of(live) == revision_of(service):
        return False
    standing = (it for it in seen.clusters if not it["metadata"].get("deletionTimestamp"))
    return all(is_another(seen, service, cluster) for cluster in standing)


def _refused(child: Object, message: str) -> str:
    name = child["metadata"]["name"]
    return f"The API server refuses the {child['kind']} {name}: {message}"


def _in_the_way_of(seen: Seen, child: ForeignChild) -> Finding:
    """Return what is to be done about an object that is somebody else's.

    Raises:
        Conflict: Nothing: it was a deleted model's of the name, whom it will follow.
    """
    if child.owner == f"{MODEL_DEPLOYMENTS.kind} {seen.key.name}":
        raise Conflict(
            f"the {child.kind} {child.name} belongs to a deleted ModelDeployment of this name; it "
            "is waited for until it is gone"
        )
    return Finding(api.CHILD_NOT_OURS, _foreign(child))


def _foreign(child: ForeignChild) -> str:
    return (
        f"A {child.kind} named {child.name} is there already and belongs to {child.owner}. "
        "Rename the ModelDeployment, or delete that object if nobody needs it."
    )
