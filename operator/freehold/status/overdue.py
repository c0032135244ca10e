"""When something takes too long, and when a rollout is given up for what served before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from freehold.api import conditions as api
from freehold.status.all_facts import all_facts, new_facts, root_cause
from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past, read_past
from freehold.status.serving import still_to_come, trouble_of_rollout


@dataclass(frozen=True, slots=True)
class NotDone:
    """What has not come within the progress deadline.

    Attributes:
        finding: What it waits for.
        message: The same, with the deadline.
    """

    finding: Finding
    message: str


def given_up(outcome: Outcome, old_status: Mapping[str, Any], now: datetime) -> str:
    """Return in a sentence why the rollout under way is given up; "" while it is not.

    It has until the progress deadline. Two things need no waiting: a RayService that KubeRay
    refuses, which it looks at no more; and an application on which Serve gave up while nothing
    answers, where the way back is the shortest way to serve.

    Args:
        outcome: What the pass has learned.
        old_status: The status as it was written last.
        now: The present.
    """
    if not outcome.has_way_back:
        return ""
    past = read_past(old_status)
    cause = root_cause(all_facts(new_facts(outcome, past), past))
    trouble = trouble_of_rollout(outcome)
    if cause is not None and _is_for_good(outcome, cause):
        return cause.message
    if is_overdue(outcome, cause, trouble, past, now):
        return not_done(outcome, cause, trouble).message
    return ""


def _is_for_good(outcome: Outcome, cause: Finding) -> bool:
    if cause.reason is api.DEPLOY_FAILED:
        said = outcome.submission
        return said is not None and said.is_of(outcome.serving_cluster, "DEPLOY_FAILED")
    return cause.reason is api.RAY_SERVICE_INVALID


def is_overdue(
    outcome: Outcome, cause: Finding | None, trouble: Finding | None, past: Past, now: datetime
) -> bool:
    """Return whether what is waited for has not come within the progress deadline.

    Once it is late it stays so until something changes: the spec, or what is waited for.

    Args:
        outcome: What the pass has learned.
        cause: The first fact that fails; None when all hold.
        trouble: What keeps a rollout from going on; None where nothing does.
        past: The status before.
        now: The present.
    """
    if cause is None and outcome.rollout is None:
        return False
    if cause is not None and cause.reason is api.PENDING:
        return False  # nothing is known: there is nothing to be late
    stalled = past.of(api.STALLED)
    if stalled is not None and past.had(api.STALLED, api.PROGRESS_DEADLINE_EXCEEDED.name):
        same = past.had(api.READY, _late(outcome, cause, trouble).reason.name)
        return same and stalled.observed_generation == outcome.generation
    began = _began(outcome, cause, past)
    return began is not None and now >= outcome.deadline(began)


def not_done(outcome: Outcome, cause: Finding | None, trouble: Finding | None) -> NotDone:
    """Return what has not come within the progress deadline."""
    late = _late(outcome, cause, trouble)
    seconds = int(outcome.progress_deadline.total_seconds())
    words = f"Not done within spec.rollout.progressDeadline ({seconds} s). {late.message}"
    return NotDone(late, words)


def _began(outcome: Outcome, cause: Finding | None, past: Past) -> datetime | None:
    """Return since when it has been under way, None where that is only now."""
    if not past.was(api.RECONCILING) or (cause is not None and past.was(api.READY)):
        return None
    started = outcome.rollout.started if outcome.rollout else None
    known = [it for it in (past.since(api.RECONCILING), started) if it is not None]
    return max(known, default=None)


def _late(outcome: Outcome, cause: Finding | None, trouble: Finding | None) -> Finding:
    if cause is not None or trouble is not None:
        return cause or trouble or _UNKNOWN
    return Finding(api.PROGRESS_DEADLINE_EXCEEDED, still_to_come(outcome) or _UNKNOWN.message)


_UNKNOWN = Finding(
    api.PROGRESS_DEADLINE_EXCEEDED,
    "The rollout has not come to its end; what served before it goes on.",
)
