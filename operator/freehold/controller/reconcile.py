"""One pass over one model: gather, decide, carry out, summarize, report.

What decides lives in plan, render and status and is pure; what touches the cluster lives in kube.
A pass may be repeated at any time and may be broken off anywhere: nothing is remembered but what
is written, and what is written is written so that the next pass goes on from it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from freehold.api import conditions as api
from freehold.api.modeldeployment import ModelDeployment
from freehold.api.names import OPERATOR, PAUSED_ANNOTATION, REVISION_ANNOTATION
from freehold.api.scalars import duration_seconds
from freehold.controller.cache import Cache
from freehold.controller.carry_out import CarriedOut, Writer
from freehold.controller.decide import Decider, Decision
from freehold.controller.deletion import free_if_stuck
from freehold.controller.engines import Observer
from freehold.controller.gather import Seen, gather
from freehold.controller.queue import Key
from freehold.controller.report import Reporter
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import KindMissing, KubeError, NotLeading, Transient
from freehold.kube.resources import RAY_SERVICES, Resource
from freehold.render.change import change
from freehold.render.endpoint_service import endpoint_url
from freehold.render.network_policies import Peers, network_policies
from freehold.render.numbers import first_of, numbers_of
from freehold.render.revision import Revision, objects_of, owned
from freehold.status.outcome import (
    DEFAULT_PROGRESS_DEADLINE,
    Outcome,
    PassError,
    Replicas,
    Rollout,
)
from freehold.status.raw import count
from freehold.status.ray_service_state import RayServiceState
from freehold.status.serving import needs_probe, rolled_out
from freehold.status.summarize import summarize

# Changes that the user is told of before they are made.
_COSTLY = ("NewReplicas", "NewCluster")
# How soon to look again for what no watch tells: engines that start.
_ENGINES_S = 10.0
# And for what is in a child's way, or missing: it bears no label of ours.
_IN_THE_WAY_S = 15.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Next:
    """When a model is to be looked at again.

    Attributes:
        after: Seconds; None for not by itself.
        failed: Whether the pass failed and is to be repeated, later and later.
    """

    after: float | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Looks at one model at a time.

    Attributes:
        client: The API server.
        cache: What was seen.
        decider: What a model is to be.
        writer: Writes children.
        observer: Asks engines.
        reporter: Writes statuses.
        kinds: Tells which kinds the API server knows.
        now: The present.
        peers: Who connects to every model; None for no NetworkPolicies.
        checked: Uids of revisions that were found whole.
    """

    client: KubeClient
    cache: Cache
    decider: Decider
    writer: Writer
    observer: Observer
    reporter: Reporter
    kinds: Callable[[], frozenset[Resource]]
    now: Callable[[], datetime]
    peers: Peers | None
    checked: set[str] = field(default_factory=set)

    async def reconcile(self, key: Key) -> Next:
        """Look at one model.

        Raises:
            NotLeading: Another process leads.
        """
        seen = gather(self.cache, key, self.checked)
        if seen is None:
            return await self._left_behind(key)
        if seen.model["spec"].get("managedBy", OPERATOR) != OPERATOR:
            return Next()
        outcome = _beginning(seen, self.reporter.known(seen))
        try:
            found = await self._pass(seen, outcome)
            return await self._told(seen, found) if found is not None else Next(after=0.0)
        except NotLeading:
            raise
        except KubeError as error:
            return await self._failed(seen, outcome, error)

    async def _told(self, seen: Seen, outcome: Outcome) -> Next:
        """Tell what a pass has learned, and return when another one is due."""
        wait = await self._report(seen, outcome)
        again = outcome.look_again
        if outcome.refusal is not None and outcome.refusal.reason is api.SOURCE_UNREACHABLE:
            return Next(again, failed=again is None)
        stuck = await self._free(seen.key) if outcome.deleting else None
        return Next(_soonest(wait, stuck, again, _look_again(outcome)))

    async def _pass(self, seen: Seen, outcome: Outcome) -> Outcome | None:
        """Do what is to be done, and return what was learned.

        None where another pass is to follow at once: where KubeRay was given the model just now,
        since hardware takes minutes to come and is asked for for every model that waits before
        anything is said of this one; and where a rollout has come to its end.
        """
        if outcome.deleting:
            return await self._observed(seen, outcome, None)
        decision = await self.decider.decide(seen, serves=_serves(self.reporter.known(seen)))
        outcome = _with_decision(outcome, decision, seen)
        if decision.refused is None and decision.new is None:
            await self.decider.describer.clear(seen)
        if decision.revision is None or decision.model is None:
            return await self._observed(seen, outcome, decision.revision)
        first = _first(seen, outcome, decision.revision, self.reporter.known(seen))
        desired = [
            *self._policies(seen, decision.model),
            *_desired(seen, decision.revision, decision.model, first),
        ]
        if outcome.paused:
            outcome = replace(outcome, rollout=_held_back(seen, desired) or outcome.rollout)
            return await self._observed(seen, outcome, decision.revision)
        if _is_news(seen, outcome):
            await self._report(seen, outcome)
        made = await self.writer.decide(seen, decision)
        if made is not None:
            self.checked.add(made)
        done = await self._carry_out(seen, desired, decision.model)
        if done.begun:
            return None
        seen = gather(self.cache, seen.key, self.checked) or seen  # with what was just written
        outcome = await self._observed(seen, _with_done(outcome, done), decision.revision)
        finished = not done.changed and done.refused is None and rolled_out(outcome)
        if finished:
            outcome = replace(outcome, current_revision=outcome.update_revision, rollout=None)
        await self.writer.withdraw(seen, desired)
        await self.writer.prune(seen, (outcome.current_revision, outcome.update_revision))
        if finished and first is not None:
            # a cluster took over, and what it began with is to be taken away
            await self._report(seen, outcome)
            return None
        return outcome

    def _policies(self, seen: Seen, model: ModelDeployment) -> list[Object]:
        """Return who may connect; before all other children, since pods are open without."""
        if self.peers is None:
            return []
        found = network_policies(model, seen.key.namespace, self.peers)
        return [owned(it, seen.uid) for it in found]

    async def _carry_out(
        self, seen: Seen, desired: list[Object], model: ModelDeployment
    ) -> CarriedOut:
        rollout = model.spec.rollout
        return await self.writer.carry_out(
            seen,
            desired,
            recreate=rollout is not None and rollout.type == "Recreate",
            kuberay=RAY_SERVICES in self.kinds(),
        )

    async def _observed(self, seen: Seen, outcome: Outcome, revision: Revision | None) -> Outcome:
        """Add what the model's own cluster tells, and ask it for a token where that is due."""
        outcome = replace(
            outcome,
            observed=True,
            kuberay=RAY_SERVICES in self.kinds(),
            ray_service=_standing(seen),
            ray_clusters=seen.ray_clusters,
            pods=seen.pods,
        )
        if revision is None:
            return outcome
        engines = await self.observer.engines(seen, revision)
        outcome = replace(outcome, engines=engines, probe=self.observer.probes.last(seen.key))
        if needs_probe(outcome) and not outcome.deleting:
            self.observer.probe(seen, engines.running if engines else frozenset())
        return outcome

    async def _report(self, seen: Seen, outcome: Outcome) -> float | None:
        now = self.now()
        status = summarize(outcome, self.reporter.known(seen), now)
        return await self.reporter.report(seen, status, now)

    async def _failed(self, seen: Seen, outcome: Outcome, error: KubeError) -> Next:
        """Tell what ended the pass, if that can be told, and try again."""
        after = error.retry_after if isinstance(error, Transient) else None
        outcome = replace(outcome, error=PassError(str(error)), kuberay=_knows(error, outcome))
        try:
            await self._report(seen, outcome)
        except NotLeading:
            raise
        except KubeError:
            pass  # the status cannot be written either; the next pass will tell
        return Next(after, failed=True)

    async def _left_behind(self, key: Key) -> Next:
        """Help along what a deleted model has left behind."""
        self.reporter.forget(key)
        self.observer.forget(key)
        self.writer.secrets.forget(key)
        try:
            return Next(await self._free(key))
        except NotLeading:
            raise
        except KubeError as error:
            _log.warning("what a deleted model has left is not freed yet: %s", error)
            return Next(failed=True)

    async def _free(self, key: Key) -> float | None:
        """Free what does not come to the end of its deletion; return when to look again."""
        services = self.cache.of_model(RAY_SERVICES, key)
        waits = [await free_if_stuck(self.client, service, self.now()) for service in services]
        return _soonest(*waits)


def _standing(seen: Seen) -> RayServiceState | None:
    """Return the RayService with the clusters that are there, whatever its status says."""
    there = {it.name for it in seen.ray_clusters if not it.deleting}
    return seen.ray_service.standing(there) if seen.ray_service else None


def _beginning(seen: Seen, known: Mapping[str, Any]) -> Outcome:
    """Return what is known before anything is looked at."""
    metadata, spec = seen.model["metadata"], seen.model["spec"]
    annotations = metadata.get("annotations") or {}
    return Outcome(
        name=seen.key.name,
        generation=metadata.get("generation", 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        suspended=spec.get("suspend") is True,
        paused=annotations.get(PAUSED_ANNOTATION) == "true",
        assessed=False,
        observed=False,
        current_revision=str(known.get("currentRevision") or ""),
        update_revision=str(known.get("updateRevision") or ""),
        addresses=(("openai", endpoint_url(seen.key.name, seen.key.namespace)),),
    )


def _with_decision(outcome: Outcome, decision: Decision, seen: Seen) -> Outcome:
    """Add what was decided."""
    model, revision = decision.model, decision.revision
    outcome = replace(
        outcome, assessed=True, refusal=decision.refused, look_again=decision.look_again
    )
    if model is not None:
        numbers = numbers_of(model.spec)
        outcome = replace(
            outcome,
            replicas=Replicas(numbers.least, numbers.most),
            progress_deadline=_deadline(model),
        )
    if revision is None:
        return replace(outcome, current_revision="", update_revision="")
    current = seen.revision(outcome.current_revision)
    return replace(
        outcome,
        plan=revision.frozen.plan,
        current_revision=current.name if current else "",
        update_revision=revision.name,
        rollout=_rollout(seen, current, revision),
    )


def _rollout(seen: Seen, current: Revision | None, wanted: Revision) -> Rollout | None:
    """Return what it means to come from the revision that serves to the one that is wanted."""
    if current is None or current.name == wanted.name:
        return None
    found = change(wanted.ray_service, current.ray_service, exact=True)
    return Rollout(found.kind, found.reasons, started=seen.born.get(wanted.name))


def _held_back(seen: Seen, desired: list[Object]) -> Rollout | None:
    """Return what is not applied while the model is paused."""
    service = _ray_service(desired)
    live = seen.children.get(("RayService", service["metadata"]["name"]))
    found = change(service, live) if live is not None else None
    if found is None or found.kind == "Nothing":
        return None
    return Rollout(found.kind, found.reasons)


def _with_done(outcome: Outcome, done: CarriedOut) -> Outcome:
    rollout = outcome.rollout
    if done.waits_for:
        rollout = replace(rollout or Rollout("NewCluster"), waits_for=done.waits_for)
    return replace(outcome, child_refusal=done.refused, rollout=rollout)


def _is_news(seen: Seen, outcome: Outcome) -> bool:
    """Tell whether a costly change is about to begin that the status does not speak of yet."""
    if outcome.rollout is None or outcome.rollout.kind not in _COSTLY:
        return False
    return bool(seen.status.get("updateRevision") != outcome.update_revision)


def _first(
    seen: Seen, outcome: Outcome, revision: Revision, known: Mapping[str, Any]
) -> int | None:
    """Return the replicas that a cluster begins with which is to take over from another one.

    As many as are wanted there when the rollout begins; what was written for it then stands. None
    where no cluster is to take over.
    """
    rollout, service = outcome.rollout, seen.ray_service
    upgrading = service is not None and service.upgrading
    if not upgrading and (rollout is None or rollout.kind != "NewCluster"):
        return None
    live = seen.children.get((RAY_SERVICES.kind, seen.key.name))
    if live is not None and _revision_of(live) == revision.name:
        return first_of(live, revision.frozen.plan["candidate"])
    return count(known.get("desiredReplicas"))


def _desired(
    seen: Seen, revision: Revision, model: ModelDeployment, first: int | None
) -> list[Object]:
    active = seen.ray_service.active if seen.ray_service else None
    return objects_of(
        revision.frozen,
        numbers_of(model.spec, first),
        owner_uid=seen.uid,
        ray_cluster=active.name if active else None,
        revision=revision.name,
    )


def _revision_of(child: Mapping[str, Any]) -> str:
    return str((child["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION))


def _ray_service(objects: list[Object]) -> Object:
    return next(it for it in objects if it["kind"] == RAY_SERVICES.kind)


def _serves(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or []
    return any(it.get("type") == "Serving" and it.get("status") == "True" for it in conditions)


def _deadline(model: ModelDeployment) -> timedelta:
    rollout = model.spec.rollout
    if rollout is None or rollout.progress_deadline is None:
        return DEFAULT_PROGRESS_DEADLINE
    return timedelta(seconds=duration_seconds(rollout.progress_deadline))


def _knows(error: KubeError, outcome: Outcome) -> bool:
    return outcome.kuberay and not isinstance(error, KindMissing)


def _look_again(outcome: Outcome) -> float | None:
    """Return when to look for what no watch tells of: engines, and deadlines that pass."""
    service = outcome.ray_service
    if outcome.child_refusal is not None:
        return _IN_THE_WAY_S
    if any(pod.waits_for_volumes for pod in outcome.pods):
        return _IN_THE_WAY_S
    if service is not None and service.active is not None and outcome.refusal is None:
        engines = outcome.engines
        wanted = max(outcome.replicas.minimum, engines.target if engines else 1)
        if engines is None or len(engines.running) < wanted:
            return _ENGINES_S
    if outcome.rollout is not None or service is None or not service.ready:
        return outcome.progress_deadline.total_seconds() + 1
    return None


def _soonest(*waits: float | None) -> float | None:
    return min((it for it in waits if it is not None), default=None)
