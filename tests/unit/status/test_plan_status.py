"""``status.plan``: exact figures, a bounded list, and the same bytes for the same plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.plan.builders import ask, the_plan

from freehold.api.scalars import quantity_bytes
from freehold.api.status import MOST_ITEMS
from freehold.plan.plan import Rejection
from freehold.status.plan_status import money, plan_status

PLAN = the_plan(ask("meta-llama/Llama-3.1-405B-Instruct", "h100-80gb", context=65_536))


def rejections(*names: str, reason: str = "DoesNotFit") -> tuple[Rejection, ...]:
    return tuple(Rejection(name, reason, f"why not {name}") for name in names)


def test_what_was_planned_is_what_is_shown() -> None:
    status = plan_status(PLAN)
    assert (status.candidate, status.accelerator) == ("only", "h100-80gb")
    assert (status.tensor, status.pipeline, status.nodes) == (8, 2, 2)
    assert (status.context_length, status.kv_cache_tokens) == (65_536, PLAN.kv_cache_tokens)
    assert status.rejected is None
    shown = quantity_bytes(status.weights_per_device)
    assert 0 <= shown - PLAN.memory.weights < 1 << 20


def test_the_cost_is_that_of_a_whole_replica_to_the_last_digit() -> None:
    assert PLAN.offer is not None
    offer = replace(PLAN.offer, amount=Decimal("0.706832"), currency="EUR")
    cost = plan_status(replace(PLAN, offer=offer)).hourly_cost
    assert cost is not None
    assert (cost.amount, cost.currency) == ("11.309312", "EUR")
    assert plan_status(replace(PLAN, offer=None)).hourly_cost is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("47.2", "47.20"),
        ("0.80480", "0.8048"),
        ("6", "6.00"),
        ("110.08", "110.08"),
        ("1E+2", "100.00"),
    ],
)
def test_money_is_plain_decimals(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text


def test_rejections_are_sorted_and_bounded_and_reasons_stand_before_choices() -> None:
    choices = rejections(*"abcdefgh", reason="NotChosen")
    unfit = rejections("z", "y", "x")
    rejected = plan_status(replace(PLAN, rejected=(*choices, *unfit))).rejected
    assert rejected is not None
    assert len(rejected) == MOST_ITEMS
    assert [item.candidate for item in rejected] == [*"abcde", "x", "y", "z"]
    assert rejected[-1].message == "why not z"


def test_the_order_of_the_rejections_changes_nothing() -> None:
    some = rejections("c", "a", "b")
    forward, back = replace(PLAN, rejected=some), replace(PLAN, rejected=some[::-1])
    assert plan_status(forward).model_dump_json() == plan_status(back).model_dump_json()
