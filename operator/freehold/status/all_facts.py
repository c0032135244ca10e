"""The four facts together, as a pass found them or as they stood before."""

from __future__ import annotations

from collections.abc import Mapping

from freehold.api import conditions as api
from freehold.api.conditions import REASONS, ConditionType
from freehold.status.outcome import Finding, Outcome
from freehold.status.past import Past
from freehold.status.placed import placed
from freehold.status.planned import planned
from freehold.status.scaled import scaled
from freehold.status.serving import serving

Facts = Mapping[ConditionType, Finding]

_FACTS = {
    api.PLANNED: planned,
    api.PLACED: placed,
    api.SERVING: serving,
    api.SCALED: scaled,
}
_UNKNOWN = Finding(api.PENDING, "It could not be looked at yet.")


def new_facts(outcome: Outcome, past: Past) -> dict[ConditionType, Finding | None]:
    """Return what a pass has found of each fact; None where it found nothing new."""
    return {kind: check(outcome, past) for kind, check in _FACTS.items()}


def all_facts(new: Mapping[ConditionType, Finding | None], past: Past) -> Facts:
    """Return each fact, as it stood before where nothing new is known."""
    return {kind: found or _kept(past, kind) for kind, found in new.items()}


def root_cause(facts: Facts) -> Finding | None:
    """Return the first fact that fails of those that Ready needs; None when all hold."""
    found = (facts[kind] for kind in api.NEEDED_FOR_READY)
    return next((item for item in found if not item.reason.holds), None)


def _kept(past: Past, kind: ConditionType) -> Finding:
    """Return the former finding of a fact, as far as its reason is one of ours."""
    former = past.of(kind)
    reason = REASONS.get(former.reason) if former else None
    if former is None or reason is None or reason.status != former.status:
        return _UNKNOWN
    return Finding(reason, former.message)
