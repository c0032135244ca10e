"""Whether as many replicas run as are wanted."""

from __future__ import annotations

from freehold.api import conditions as api
from freehold.api.faults import counted
from freehold.status.facts import Check, first_finding
from freehold.status.message import agreeing
from freehold.status.outcome import Engines, Finding, Outcome
from freehold.status.past import Past
from freehold.status.placement import trouble_of, worker_pods
from freehold.status.planned import is_planned
from freehold.status.raw import count


def scaled(outcome: Outcome, past: Past) -> Finding | None:
    """Return the finding of Scaled, or None where nothing new is known."""
    if not outcome.observed:
        return None
    run = agreeing(outcome.running, "runs", "run")
    message = f"{outcome.running} of {counted(desired_replicas(outcome, past), 'replica')} {run}."
    return first_finding(_CHECKS, outcome, past, Finding(api.AS_DESIRED, message))


def desired_replicas(outcome: Outcome, past: Past) -> int:
    """Return how many replicas are wanted: what Serve decided, inside the spec's bounds."""
    if outcome.suspended:
        return 0
    least, most = outcome.replicas.minimum, outcome.replicas.maximum
    decided = outcome.engines.target if outcome.engines else None
    if decided is None:
        decided = count(past.raw.get("desiredReplicas"))
    return max(least, min(most, least if decided is None else decided))


def _suspended(outcome: Outcome, _past: Past) -> Finding | None:
    if not outcome.suspended:
        return None
    return Finding(api.SUSPENDED, "spec.suspend is true: no replica is wanted.")


def _nothing_is_planned(outcome: Outcome, _past: Past) -> Finding | None:
    if is_planned(outcome):
        return None
    return Finding(api.NOT_PLANNED, "There is no plan: there are no replicas.")


def _nothing_is_wanted(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.replicas.maximum > 0 or outcome.ray_service is None:
        return None
    left = worker_pods(outcome)
    if left:
        return Finding(api.SCALING_DOWN, f"No replica is wanted; {counted(left, 'pod')} still run.")
    return Finding(api.SCALED_TO_ZERO, "No replica is wanted.")


def _nothing_is_there(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.serving_cluster:
        return None
    return Finding(api.NOT_PLACED, "There is no Ray cluster: there are no replicas.")


def _serve_does_not_tell(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.engines is not None:
        return None
    return Finding(api.NOT_COUNTED, "Serve does not tell its replicas at the moment.")


def _too_few_run(outcome: Outcome, past: Past) -> Finding | None:
    wanted, running = desired_replicas(outcome, past), outcome.running
    if running >= wanted:
        return None
    how = f"{running} of {counted(wanted, 'replica')} {agreeing(running, 'runs', 'run')}"
    trouble = trouble_of(outcome, outcome.serving_cluster)
    if trouble is not None:
        return Finding(trouble.reason, f"{how}. {trouble.message}")
    return Finding(api.SCALING_UP, f"{how}; {wanted - running} to come.")


def _too_many_run(outcome: Outcome, past: Past) -> Finding | None:
    wanted, running = desired_replicas(outcome, past), outcome.running
    if running <= wanted:
        return None
    message = f"{counted(running, 'replica')} run, {wanted} wanted: {running - wanted} end."
    return Finding(api.SCALING_DOWN, message)


def _none_is_wanted(outcome: Outcome, _past: Past) -> Finding | None:
    if outcome.engines != Engines(target=0):
        return None
    return Finding(api.SCALED_TO_ZERO, "No replica is wanted until a request comes.")


_CHECKS: tuple[Check, ...] = (
    _suspended,
    _nothing_is_planned,
    _nothing_is_wanted,
    _nothing_is_there,
    _serve_does_not_tell,
    _too_few_run,
    _too_many_run,
    _none_is_wanted,
)
