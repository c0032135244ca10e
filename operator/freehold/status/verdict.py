"""Ready, Reconciling and Stalled: what the four facts come to, in the sense of kstatus.

At most one of Reconciling and Stalled is True, and Ready is never True beside Stalled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from freehold.api import conditions as api
from freehold.api.conditions import Reason
from freehold.status.all_facts import Facts, root_cause
from freehold.status.message import full_stop
from freehold.status.outcome import Finding, Outcome, Rollout
from freehold.status.overdue import is_overdue, not_done
from freehold.status.past import Past
from freehold.status.raw import timestamp
from freehold.status.serving import trouble_of_rollout

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
    given_up = _rolled_back(outcome, past)
    if given_up is not None:
        return _stalled(cause or given_up, given_up)
    trouble = trouble_of_rollout(outcome)
    blocked = next((it for it in (cause, trouble) if it is not None and it.reason.stalls), None)
    if blocked is not None and not _may_pass(outcome, blocked):
        return _stalled(blocked, blocked)
    if outcome.paused:
        return _paused(outcome, facts, cause)
    if is_overdue(outcome, cause, trouble, past, now):
        late = not_done(outcome, cause, trouble)
        return _stalled(late.finding, Finding(api.PROGRESS_DEADLINE_EXCEEDED, late.message))
    return _progressing(outcome, facts, cause, trouble)


def _may_pass(outcome: Outcome, blocked: Finding) -> bool:
    """Return whether what blocks a rollout is waited for until the rollout is given up."""
    return blocked.reason.goes_back and outcome.has_way_back


def _rolled_back(outcome: Outcome, past: Past) -> Finding | None:
    """Return that the rollout was given up, also where a pass did not come to know of it."""
    given_up, former = outcome.rolled_back, past.of(api.STALLED)
    if given_up is not None:
        message = f"Revision {given_up.failed} was given up: {full_stop(given_up.cause)}"
        return Finding(api.ROLLED_BACK, f"{message} Back to revision {given_up.to}.")
    if not outcome.assessed and former and past.had(api.STALLED, api.ROLLED_BACK.name):
        return Finding(api.ROLLED_BACK, former.message)
    return None


def _progressing(
    outcome: Outcome, facts: Facts, cause: Finding | None, trouble: Finding | None
) -> Verdict:
    """Judge what nobody needs to act on: it is well, on its way, or tried again."""
    doing = _doing(outcome, cause, trouble)
    if cause is None or _only_reads(cause, facts):
        ready = Summary("True", facts[api.SERVING])
    else:
        ready = Summary("Unknown" if cause.reason is api.PENDING else "False", cause)
    if doing is None:
        well = Finding(api.SETTLED, "Nothing is under way.")
        return Verdict(ready, Summary("False", well), _not_stalled(api.SETTLED))
    return Verdict(ready, Summary("True", doing), _not_stalled(api.IN_PROGRESS))


def _only_reads(cause: Finding, facts: Facts) -> bool:
    """Return whether what serves is as it was, while a pod reads what is to come after it."""
    return cause.reason is api.DESCRIBING_MODEL and facts[api.SERVING].reason.holds


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
