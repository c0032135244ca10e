"""Ready, Reconciling and Stalled: what the four facts come to, in the sense of kstatus.

At most one of Reconciling and Stalled is True, and Ready is never True beside Stalled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from freehold.api import conditions as api
from freehold.api.conditions import ConditionType, Reason
from freehold.status.message import full_stop
from freehold.status.outcome import Finding, Outcome, Rollout
from freehold.status.past import Past
from freehold.status.placement import trouble_of
from freehold.status.raw import timestamp
from freehold.status.serving import trouble_of_rollout

Facts = Mapping[ConditionType, Finding]

_KINDS: Mapping[str, Reason] = {
    "InPlace": api.UPDATING_IN_PLACE,
    "NewReplicas": api.REPLACING_REPLICAS,
    "NewCluster": api.BUILDING_NEW_CLUSTER,
}


_COSTS: Mapping[str, str] = {
    "InPlace": "which Serve takes in place",
    "NewReplicas": "for which every replica starts anew",
    "NewCluster": "for which a new cluster is built",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """One of the three summaries: its status and why."""

    status: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Verdict:
    """The three of them."""

    ready: Summary
    reconciling: Summary
    stalled: Summary


def verdict(outcome: Outcome, facts: Facts, past: Past, now: datetime) -> Verdict:
    """Return the summaries of the facts.

    Args:
        outcome: What the pass learned.
        facts: The finding of each fact, former ones where nothing new is known.
        past: The status before.
        now: The present, for the progress deadline.
    """
    if outcome.deleting:
        message = "The object is being deleted; what serves it goes with it."
        return _under_way(Finding(api.DELETING, message), Finding(api.DELETING, message))
    cause = root_cause(facts)
    if outcome.suspended and outcome.observed and _hides_nothing(cause):
        return _suspended(outcome)
    trouble = _trouble_of_rollout(outcome)
    blocked = next((it for it in (cause, trouble) if it is not None and it.reason.stalls), None)
    if blocked is not None:
        return _stalled(blocked, blocked)
    if outcome.paused:
        return _paused(outcome, facts, cause)
    if _is_overdue(outcome, cause, trouble, past, now):
        return _overdue(outcome, cause, trouble)
    return _progressing(outcome, facts, cause, trouble)


def root_cause(facts: Facts) -> Finding | None:
    """Return the first fact that fails of those that Ready needs; None when all hold."""
    found = (facts[kind] for kind in api.NEEDED_FOR_READY)
    return next((item for item in found if not item.reason.holds), None)


def _progressing(
    outcome: Outcome, facts: Facts, cause: Finding | None, trouble: Finding | None
) -> Verdict:
    """Judge what nobody needs to act on: it is well, on its way, or tried again."""
    doing = _doing(outcome, cause, trouble)
    if cause is None:
        ready = Summary("True", facts[api.SERVING])
    else:
        ready = Summary("Unknown" if cause.reason is api.PENDING else "False", cause)
    if doing is None:
        well = Finding(api.SETTLED, "Nothing is under way.")
        return Verdict(ready, Summary("False", well), _not_stalled(api.SETTLED))
    return Verdict(ready, Summary("True", doing), _not_stalled(api.IN_PROGRESS))


def _doing(outcome: Outcome, cause: Finding | None, trouble: Finding | None) -> Finding | None:
    """Return what is under way: an error that is tried again, a rollout, what Ready waits for."""
    error = outcome.error
    if error is not None:
        when = f" Next try at {timestamp(error.retry_at)}." if error.retry_at else ""
        return Finding(api.RETRYING, full_stop(error.message) + when)
    if outcome.rollout is not None and outcome.current_revision:
        return _rolling_out(outcome, trouble or cause)
    return cause


def _rolling_out(outcome: Outcome, hindrance: Finding | None) -> Finding:
    assert outcome.rollout is not None
    reason = _KINDS.get(outcome.rollout.kind, api.ROLLING_OUT)
    told = " ".join(full_stop(item) for item in outcome.rollout.sentences)
    parts = [told or reason.meaning, f"At present: {hindrance.message}" if hindrance else ""]
    return Finding(reason, " ".join(part for part in parts if part))


def _trouble_of_rollout(outcome: Outcome) -> Finding | None:
    """Return what keeps a cluster that is to take over from doing so; None where nothing does."""
    service = outcome.ray_service
    if service is None or service.active is None or service.pending is None:
        return None
    pods = outcome.pods_of(service.pending.name)
    return trouble_of_rollout(outcome) or trouble_of(pods)


def _hides_nothing(cause: Finding | None) -> bool:
    """Return whether suspension is all there is to tell: what is suspended need not be planned."""
    return cause is None or cause.reason in (api.SUSPENDED, api.PENDING)


def _suspended(outcome: Outcome) -> Verdict:
    left = len(outcome.pods)
    ready = Finding(api.SUSPENDED, "spec.suspend is true: nothing runs, and nothing wakes it.")
    service = outcome.ray_service
    if left or (service is not None and service.suspend and not service.suspended):
        message = "spec.suspend is true: the hardware is being released."
        return _under_way(ready, Finding(api.SUSPENDING, message))
    still = Summary("False", Finding(api.SUSPENDED, ready.message))
    return Verdict(Summary("False", ready), still, _not_stalled(api.SETTLED))


def _paused(outcome: Outcome, facts: Facts, cause: Finding | None) -> Verdict:
    """Tell what is there; a change that waits for the annotation to go is not Ready."""
    paused = Finding(api.PAUSED, _held_back(outcome.rollout))
    if cause is not None:
        ready = Summary("Unknown" if cause.reason is api.PENDING else "False", cause)
    elif outcome.rollout is not None:
        ready = Summary("False", paused)
    else:
        ready = Summary("True", facts[api.SERVING])
    return Verdict(ready, Summary("False", paused), _not_stalled(api.SETTLED))


def _held_back(rollout: Rollout | None) -> str:
    """Return what the annotation does, and what a change that waits for it would cost."""
    message = "The annotation freehold.dev/paused keeps the operator from writing any child"
    if rollout is None:
        return f"{message}."
    cost = f", {_COSTS[rollout.kind]}" if rollout.kind in _COSTS else ""
    told = " ".join(full_stop(item) for item in rollout.sentences)
    return f"{message}; a change of the spec waits{cost}{f': {told}' if told else '.'}"


def _is_overdue(
    outcome: Outcome, cause: Finding | None, trouble: Finding | None, past: Past, now: datetime
) -> bool:
    """Return whether what is waited for has not come within the progress deadline.

    Once it is late it stays so until something changes: the spec, or what is waited for.
    """
    if cause is None and outcome.rollout is None:
        return False
    if cause is not None and cause.reason is api.PENDING:
        return False  # nothing is known: there is nothing to be late
    stalled = past.of(api.STALLED)
    if stalled is not None and past.had(api.STALLED, api.PROGRESS_DEADLINE_EXCEEDED.name):
        same = past.had(api.READY, _late(cause, trouble).reason.name)
        return same and stalled.observed_generation == outcome.generation
    began = _began(outcome, cause, past)
    return began is not None and now >= outcome.deadline(began)


def _began(outcome: Outcome, cause: Finding | None, past: Past) -> datetime | None:
    """Return since when it has been under way, None where that is only now."""
    if not past.was(api.RECONCILING) or (cause is not None and past.was(api.READY)):
        return None
    started = outcome.rollout.started if outcome.rollout else None
    known = [it for it in (past.since(api.RECONCILING), started) if it is not None]
    return max(known, default=None)


def _late(cause: Finding | None, trouble: Finding | None) -> Finding:
    message = "The rollout has not come to its end; what served before it goes on."
    return cause or trouble or Finding(api.PROGRESS_DEADLINE_EXCEEDED, message)


def _overdue(outcome: Outcome, cause: Finding | None, trouble: Finding | None) -> Verdict:
    late = _late(cause, trouble)
    seconds = int(outcome.progress_deadline.total_seconds())
    message = f"Not done within spec.rollout.progressDeadline ({seconds} s). {late.message}"
    return _stalled(late, Finding(api.PROGRESS_DEADLINE_EXCEEDED, message))


def _stalled(cause: Finding, why: Finding) -> Verdict:
    needed = Finding(api.ACTION_NEEDED, f"Nothing is under way until {_who(cause)} acts.")
    return Verdict(Summary("False", cause), Summary("False", needed), Summary("True", why))


def _who(cause: Finding) -> str:
    """Return who must act, as the subject of a sentence."""
    actor = cause.reason.actor
    return "somebody" if actor is api.Actor.NOBODY else f"the {actor}"


def _under_way(ready: Finding, doing: Finding) -> Verdict:
    reconciling = Summary("True", doing)
    return Verdict(Summary("False", ready), reconciling, _not_stalled(api.IN_PROGRESS))


def _not_stalled(reason: Reason) -> Summary:
    return Summary("False", Finding(reason, "Nobody needs to act."))
