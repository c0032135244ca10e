"""Whether the spec can be carried out at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.api import conditions as api
from freehold.api.faults import counted
from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past
from freehold.status.raw import count, text


def planned(outcome: Outcome, _past: Past) -> Finding | None:
    """Return the finding of Planned, or None where nothing new is known."""
    if not outcome.assessed:
        return None
    refusal = outcome.refusal
    if refusal is not None and api.PLANNED in refusal.reason.conditions:
        return refusal
    if refusal is not None:
        return Finding(api.PLAN_MADE, "The model fits; Placed says what the cluster lacks.")
    if outcome.plan is None:
        return Finding(api.PENDING, "It has not been planned yet.")
    return Finding(api.PLAN_MADE, _plan_sentence(outcome.plan))


def is_planned(outcome: Outcome) -> bool:
    """Return whether there is a plan to carry out, the present spec's or a former one's."""
    return outcome.plan is not None or outcome.ray_service is not None


def _plan_sentence(plan: Mapping[str, Any]) -> str:
    tensor, pipeline = count(plan.get("tensor")) or 1, count(plan.get("pipeline")) or 1
    nodes = counted(count(plan.get("nodes")) or 1, "node")
    split = f"tensor parallel {tensor}" + (
        f", pipeline parallel {pipeline}" if pipeline > 1 else ""
    )
    name, accelerator = text(plan.get("candidate")), text(plan.get("accelerator"))
    on = accelerator if name == accelerator else f"{accelerator} (candidate {name})"
    tokens, context = count(plan.get("kvCacheTokens")), count(plan.get("contextLength"))
    return (
        f"One replica takes {tensor * pipeline} x {on} on {nodes}, {split}: requests of up to "
        f"{context or 0:,} tokens, {tokens or 0:,} tokens of KV cache."
    )
