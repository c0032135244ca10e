"""A plan as ``status.plan`` shows it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from freehold.api.scalars import mebibytes
from freehold.api.status import MOST_ITEMS, HourlyCost, PlanStatus, RejectedCandidate
from freehold.plan.plan import Plan, Rejection
from freehold.status.message import sentence


def plan_status(plan: Plan) -> PlanStatus:
    """Return the ``status.plan`` of a plan; the same plan gives the same object."""
    return PlanStatus(
        candidate=plan.candidate,
        accelerator=plan.accelerator.name,
        tensor=plan.layout.tensor,
        pipeline=plan.layout.pipeline,
        nodes=plan.layout.nodes,
        weights_per_device=mebibytes(round(plan.memory.weights)),
        kv_cache_tokens=plan.kv_cache_tokens,
        context_length=plan.context_length,
        hourly_cost=_cost(plan),
        rejected=_rejected(plan.rejected),
    )


def money(amount: Decimal) -> str:
    """Return an amount in plain decimals, two of them or as many as it has.

    >>> money(Decimal("47.2")), money(Decimal("0.80480"))
    ('47.20', '0.8048')
    """
    text = f"{amount:f}".rstrip("0") if "." in f"{amount:f}" else f"{amount:f}."
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def _cost(plan: Plan) -> HourlyCost | None:
    if plan.offer is None or plan.hourly_cost is None:
        return None
    return HourlyCost(amount=money(plan.hourly_cost), currency=plan.offer.currency)


def _rejected(rejections: Iterable[Rejection]) -> tuple[RejectedCandidate, ...] | None:
    """Return the first candidates by name: what did not fit before what merely was not taken.

    Where there are more than the status holds, a reason to change something is worth more than
    the news that there was a choice.
    """
    worth = sorted(rejections, key=lambda item: (item.reason == "NotChosen", item.candidate))
    kept = sorted(worth[:MOST_ITEMS], key=lambda item: item.candidate)
    return tuple(RejectedCandidate(**_fields(item)) for item in kept) or None


def _fields(item: Rejection) -> dict[str, str]:
    message = sentence(item.message)
    return {"candidate": item.candidate, "reason": item.reason, "message": message}
