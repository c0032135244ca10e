"""One pass over one model: gather, decide, carry out, summarize, report.

What decides lives in plan, render and status and is pure; what touches the cluster lives in kube.
A pass may be repeated at any time and may be broken off anywhere: nothing is remembered but what
is written, and what is written is written so that the next pass goes on from it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from freehold.api import conditions as api
from freehold.api.names import OPERATOR
from freehold.controller.cache import Cache
from freehold.controller.carry_out import Writer
from freehold.controller.decide import Decider, Decision
from freehold.controller.deletion import GUARDED, Deletions
from freehold.controller.engines import Observer
from freehold.controller.failed_pods import FailedPods
from freehold.controller.gather import Seen, gather
from freehold.controller.learned import (
    beginning,
    desired_objects,
    first_replicas,
    held_back,
    is_news,
    is_serving,
    leading_endpoint,
    manner_of,
    standing_service,
    with_decision,
    with_done,
)
from freehold.controller.queue import Key
from freehold.controller.recovery import Recovery
from freehold.controller.report import Reporter
from freehold.kube.errors import KindMissing, KubeError, NotLeading, Transient
from freehold.kube.resources import RAY_SERVICES, Resource
from freehold.plan.failure import Failure
from freehold.plan.rollout import progress_deadline
from freehold.render.network_policies import Peers
from freehold.render.revision import Revision
from freehold.status.message import sentence
from freehold.status.outcome import Outcome, PassError
from freehold.status.overdue import given_up
from freehold.status.serving import needs_probe, rolled_out
from freehold.status.summarize import summarize

# How soon to look again for what no watch tells: engines that start, what Serve has taken up.
_ENGINES_S = 10.0
# For the load of what runs.
_LOAD_S = 30.0
# And for what is in a child's way, or missing: it bears no label of ours. So may be what KubeRay
# needs to act.
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
        cache: What was seen.
        decider: What a model is to be.
        writer: Writes children.
        observer: Asks engines.
        recovery: Begins again what was given up for good.
        deletions: Sees deletions to their end.
        reporter: Writes statuses.
        kinds: Tells which kinds the API server knows.
        now: The present.
        peers: Who connects to every model; None for no NetworkPolicies.
        forget: Drops what the queue remembers of a model that is gone.
        checked: Uids of revisions that were found whole; one that is gone is to be taken out.
        failed_pods: Remembers pods that failed.
    """

    cache: Cache
    decider: Decider
    writer: Writer
    observer: Observer
    recovery: Recovery
    deletions: Deletions
    reporter: Reporter
    kinds: Callable[[], frozenset[Resource]]
    now: Callable[[], datetime]
    peers: Peers | None
    forget: Callable[[Key], None]
    checked: set[str] = field(default_factory=set)
    failed_pods: FailedPods = field(default_factory=FailedPods)

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
        outcome = beginning(seen, self.reporter.known(seen))
        try:
            found = await self._pass(await self._led(seen), outcome)
            return await self._told(seen, found) if found is not None else Next(after=0.0)
        except NotLeading:
            raise
        except KubeError as error:
            return await self._failed(seen, outcome, error)

    async def _told(self, seen: Seen, outcome: Outcome) -> Next:
        """Tell what a pass has learned, and return when another one is due."""
        wait = await self._report(seen, outcome)
        source, refusal = outcome.look_again, outcome.refusal
        if refusal is not None and refusal.reason is api.SOURCE_UNREACHABLE and source is None:
            return Next(failed=True)
        service = seen.ray_service
        ending = outcome.deleting or (service is not None and service.deleting)
        ending = ending or any(it.deleting for it in seen.ray_clusters)
        stuck = await self._free(seen.key) if ending else None
        again = await self.recovery.look(seen, outcome)
        return Next(_soonest(wait, stuck, again, source, look_again(outcome)))

    async def _pass(self, seen: Seen, outcome: Outcome) -> Outcome | None:
        """Do what is to be done, and return what was learned.

        None where another pass is to follow at once: where KubeRay was given the model just now,
        since hardware takes minutes to come and is asked for for every model that waits before
        anything is said of this one; and where a rollout has come to its end or was given up.
        """
        if outcome.deleting:
            return await self._observed(seen, outcome, None)
        decision = await self._decide(seen)
        outcome = with_decision(outcome, decision, seen)
        if decision.revision is None or decision.model is None:
            return await self._observed(seen, outcome, decision.revision)
        first = first_replicas(seen, outcome, decision.revision, self.reporter.known(seen))
        desired = desired_objects(seen, decision.revision, decision.model, first, self.peers)
        if outcome.paused:
            held = held_back(seen, desired, decision.model)
            outcome = replace(outcome, rollout=held or outcome.rollout)
            return await self._observed(seen, outcome, decision.revision)
        if is_news(seen, outcome, self.reporter.known(seen)):
            await self._report(seen, outcome)
        made = await self.writer.decide(seen, decision, self.now())
        if made is not None:
            self.checked.add(made)
        manner, kuberay = manner_of(seen, outcome, decision.model), RAY_SERVICES in self.kinds()
        done = await self.writer.carry_out(seen, desired, manner, kuberay=kuberay)
        if done.begun:
            return None
        seen = gather(self.cache, seen.key, self.checked) or seen  # with what was just written
        outcome = await self._observed(seen, with_done(outcome, done), decision.revision)
        if not done.changed and await self._give_up(seen, outcome, decision.revision):
            return None
        finished = not done.changed and done.refused is None and rolled_out(outcome)
        if finished:
            self.recovery.forget(seen.key)
            outcome = replace(outcome, current_revision=decision.revision.name, rollout=None)
        await self.writer.withdraw(seen, desired)
        await self.writer.prune(seen, (outcome.current_revision, outcome.update_revision))
        if finished and first is not None:
            # a cluster took over, and what it began with is to be taken away
            await self._report(seen, outcome)
            return None
        return outcome

    async def _led(self, seen: Seen) -> Seen:
        """Have the endpoint lead to the cluster that serves, whatever keeps us from all else."""
        endpoint = leading_endpoint(seen)
        if endpoint is None or not await self.writer.lead(seen, endpoint):
            return seen
        return gather(self.cache, seen.key, self.checked) or seen

    async def _decide(self, seen: Seen) -> Decision:
        """Return what a model is to be; where that is written, no pod need tell of its source."""
        decision = await self.decider.decide(seen, serves=is_serving(self.reporter.known(seen)))
        if decision.refused is None and decision.new is None:
            await self.decider.describer.clear(seen)
        return decision

    async def _give_up(self, seen: Seen, outcome: Outcome, revision: Revision) -> bool:
        """Write on a revision that its rollout is given up, where it is; return whether."""
        cause = given_up(outcome, self.reporter.known(seen), self.now())
        if not cause:
            return False
        deadline, former = progress_deadline(seen.model["spec"]), outcome.current_revision
        failure = Failure(outcome.generation, deadline, sentence(cause), former)
        await self.writer.give_up(seen, revision, failure)
        return True

    async def _observed(self, seen: Seen, outcome: Outcome, revision: Revision | None) -> Outcome:
        """Add what the model's own cluster tells, and ask it for a token where that is due."""
        outcome = replace(
            outcome,
            observed=True,
            kuberay=RAY_SERVICES in self.kinds(),
            ray_service=standing_service(seen),
            ray_clusters=seen.ray_clusters,
            pods=seen.pods,
            failed=self.failed_pods.lately(seen.key, self.now()),
        )
        if revision is None:
            return outcome
        told = await self.observer.look(seen, revision)
        outcome = replace(
            outcome,
            engines=told.engines,
            submission=told.submission,
            scaling=told.scaling,
            probe=self.observer.probes.last(seen.key),
            retry=self.recovery.retry(seen.key, outcome),
        )
        if needs_probe(outcome) and not outcome.deleting:
            running = told.engines.running if told.engines else frozenset()
            self.observer.probe(seen, revision, running)
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
        self.decider.describer.forget(key)
        self.reporter.forget(key)
        self.observer.forget(key)
        self.recovery.forget(key)
        self.failed_pods.forget(key)
        self.writer.secrets.forget(key)
        try:
            wait = await self._free(key)
        except NotLeading:
            raise
        except KubeError as error:
            _log.warning("what a deleted model has left is not freed yet: %s", error)
            return Next(failed=True)
        if wait is None:
            self.forget(key)
        return Next(wait)

    async def _free(self, key: Key) -> float | None:
        """Free what does not come to the end of its deletion; return when to look again."""
        guarded = (
            (resource, item) for resource in GUARDED for item in self.cache.of_model(resource, key)
        )
        return await self.deletions.see_to(key, guarded)


def _knows(error: KubeError, outcome: Outcome) -> bool:
    return outcome.kuberay and not isinstance(error, KindMissing)


def look_again(outcome: Outcome) -> float | None:
    """Return in how many seconds to look for what no watch tells of; None where all is told.

    Engines that start, rollouts, deadlines that pass, an edit that KubeRay does not take up.
    """
    service = outcome.ray_service
    if outcome.child_refusal is not None:
        return _IN_THE_WAY_S
    whole = outcome.progress_deadline.total_seconds() + 1
    if outcome.has_way_back:
        return min(_ENGINES_S, whole)
    if outcome.lacks is not None or any(pod.waits_for_volumes for pod in outcome.pods):
        return _IN_THE_WAY_S
    if service is not None and service.awaits_edit:
        return _IN_THE_WAY_S
    if service is not None and service.active is not None and outcome.refusal is None:
        engines = outcome.engines
        wanted = max(outcome.replicas.minimum, engines.target if engines else 1)
        if engines is None or len(engines.running) < wanted:
            return _ENGINES_S
    if outcome.rollout is not None or service is None or not service.ready:
        return whole
    return _LOAD_S if outcome.running else None


def _soonest(*waits: float | None) -> float | None:
    return min((it for it in waits if it is not None), default=None)
