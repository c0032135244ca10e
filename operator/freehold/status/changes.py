"""What a new status means to those who watch: whether to write it, and which Events to post."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from freehold.api import conditions as api
from freehold.api.conditions import REASONS, Actor, ConditionType
from freehold.status.message import sentence
from freehold.status.past import Past, read_past
from freehold.status.raw import ConditionState, count, text

# Messages carry numbers that change all the time; they may be this old in the object.
SECONDS_BETWEEN_MESSAGES = 60.0
_TEXT = ("message", "lastTransitionTime")
_ROLLOUTS = (
    api.UPDATING_IN_PLACE,
    api.REPLACING_REPLICAS,
    api.BUILDING_NEW_CLUSTER,
    api.ROLLING_OUT,
)
# What may pass by itself and yet is no part of a start that goes well.
_FAILURES = (
    api.SOURCE_UNREACHABLE,
    api.DESCRIBE_FAILED,
    api.UNSCHEDULABLE,
    api.IMAGE_PULL_FAILED,
    api.PODS_CRASHING,
    api.PODS_EVICTED,
    api.PODS_NOT_MADE,
    api.UNHEALTHY,
    api.ENDPOINT_UNANSWERED,
)


@dataclass(frozen=True, slots=True)
class EventToPost:
    """An Event on the ModelDeployment.

    Attributes:
        type: Normal, or Warning where somebody may have to act.
        reason: A documented reason.
        message: One or two sentences.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def worth_writing(
    new: Mapping[str, Any], old: Mapping[str, Any], seconds_since_write: float
) -> bool:
    """Return whether a status is to be written now.

    What people and machines act on is written at once; where only words changed, at most once a
    minute. An equal status is never written.
    """
    if new == old:
        return False
    return _acted_on(new) != _acted_on(old) or seconds_since_write >= SECONDS_BETWEEN_MESSAGES


def _acted_on(status: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in status.items() if key not in ("conditions", "scaling")}
    found = status.get("conditions")
    conditions = [
        {key: value for key, value in item.items() if key not in _TEXT}
        if isinstance(item, Mapping)
        else item
        for item in (found if isinstance(found, list | tuple) else ())
    ]
    return {**rest, "conditions": conditions}


def transitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[EventToPost]:
    """Return the Events that tell how one written status became the next, each transition once."""
    before, after = read_past(old), read_past(new)
    events = [
        *_of_rollout(before, after),
        *_of_ready(before, after),
        *_of_stalled(before, after),
        *_of_replicas(before, after),
    ]
    return events


def _of_rollout(before: Past, after: Past) -> Iterator[EventToPost]:
    now = after.of(api.RECONCILING)
    if now is not None and _is_new(before, after, api.RECONCILING):
        reason = REASONS.get(now.reason)
        if now.status == "True" and reason in _ROLLOUTS:
            yield EventToPost("Normal", now.reason, sentence(now.message))
    revision = text(after.raw.get("currentRevision"))
    if revision and revision != text(before.raw.get("currentRevision")):
        message = f"Revision {revision} serves from now on."
        yield EventToPost("Normal", api.ROLLED_OUT.name, message)


def _of_ready(before: Past, after: Past) -> Iterator[EventToPost]:
    ready = after.of(api.READY)
    if ready is None or not _is_new(before, after, api.READY):
        return
    if ready.status == "False" and before.had(api.STALLED, ready.reason):
        return  # Stalled has told it
    kind: Literal["Normal", "Warning"] = "Warning" if _warns(before, ready) else "Normal"
    yield EventToPost(kind, ready.reason, sentence(ready.message))


def _warns(before: Past, ready: ConditionState) -> bool:
    """Return whether somebody may have to act: starting is no news, failing or falling is."""
    reason = REASONS.get(ready.reason)
    if ready.status != "False" or reason is None:
        return False
    fell = before.was(api.READY) and reason.actor is not Actor.NOBODY
    return reason.stalls or reason in _FAILURES or fell


def _of_stalled(before: Past, after: Past) -> Iterator[EventToPost]:
    """Yield what Ready has not told already: that a deadline has passed."""
    stalled = after.of(api.STALLED)
    if stalled is None or stalled.status != "True" or not _is_new(before, after, api.STALLED):
        return
    if not after.had(api.READY, stalled.reason):
        yield EventToPost("Warning", stalled.reason, sentence(stalled.message))


def _of_replicas(before: Past, after: Past) -> Iterator[EventToPost]:
    was, wanted = (count(it.raw.get("desiredReplicas")) for it in (before, after))
    if was is None or wanted is None or was == wanted:
        return
    scaled = after.of(api.SCALED)
    why = f" {scaled.message}" if scaled else ""
    message = sentence(f"From {was} to {wanted} replicas.{why}")
    yield EventToPost("Normal", api.SCALED_EVENT.name, message)


def _is_new(before: Past, after: Past, kind: ConditionType) -> bool:
    """Return whether status or reason of a condition differ from before."""
    then, now = before.of(kind), after.of(kind)
    if then is None or now is None:
        return then is not now
    return (then.status, then.reason) != (now.status, now.reason)
