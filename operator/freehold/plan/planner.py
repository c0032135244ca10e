"""The planner: a model and candidates in, a plan or reasons out."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from freehold.api.architecture import ModelDescription
from freehold.api.modeldeployment import Parallelism, Workload
from freehold.plan import explain
from freehold.plan.accelerator import Accelerator
from freehold.plan.constraints import (
    fewer_layers_than_stages,
    hardware_violation,
    layout_violation,
    parallelism_fault,
    tensor_violation,
)
from freehold.plan.demand import Demand, demand_of, sequences
from freehold.plan.device_memory import device_memory
from freehold.plan.engine_settings import EngineSettings
from freehold.plan.kv_cache import kv_cache_cost
from freehold.plan.layout import (
    Layout,
    layouts_across_nodes,
    pinned_layout,
    planned_layouts,
)
from freehold.plan.plan import NoPlan, Plan, Rejection

# What the status has room for; a class with so much memory holds more than anybody asks.
_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Option:
    """A candidate with its accelerator class at hand.

    Attributes:
        name: Name of the candidate.
        accelerator: Its class.
        purchase: OnDemand or Spot.
        parallelism: The user's split; None to plan it.
    """

    name: str
    accelerator: Accelerator
    purchase: str = "OnDemand"
    parallelism: Parallelism | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """All that planning depends on.

    Attributes:
        model: The model's shape.
        settings: What the engine arguments say.
        context: Longest request asked for; None for the longest that fits.
        workload: What one replica must hold at once.
        options: Candidates.
        in_order: Whether they stand in the user's order; if not, the cheapest that fits is taken.
    """

    model: ModelDescription
    settings: EngineSettings
    context: int | None
    workload: Workload | None
    options: tuple[Option, ...]
    in_order: bool = True


# Judges one candidate of a question.
Judge = Callable[[Question, Option], Plan | Rejection]


def make_plan(
    question: Question,
    *,
    judge: Judge | None = None,
    prefer: str | None = None,
) -> Plan | NoPlan:
    """Return the plan of the first candidate that carries the model, or why none does.

    Args:
        question: What to plan.
        judge: Judges one candidate instead of ``consider``, such as by the nodes that exist.
        prefer: Name of the candidate to stay with as long as it carries the model.
    """
    answers = [(judge or consider)(question, option) for option in question.options]
    plans = [answer for answer in answers if isinstance(answer, Plan)]
    rejected = [answer for answer in answers if isinstance(answer, Rejection)]
    if not plans:
        return NoPlan(tuple(rejected))
    chosen, why = _choose(plans, question.in_order, prefer)
    others = [_not_chosen(plan, why) for plan in plans if plan is not chosen]
    return replace(chosen, rejected=tuple(rejected + others))


def _choose(plans: list[Plan], in_order: bool, prefer: str | None) -> tuple[Plan, str]:
    """Return the plan to take, and why the others were not taken."""
    for plan in plans:
        if plan.candidate == prefer:
            return plan, f"{plan.candidate} was chosen before and stays"
    if in_order:
        first = plans[0]
        return first, f"{first.candidate} was taken, this comes later in the order"
    cheapest = min(plans, key=_price)
    return cheapest, f"{cheapest.candidate} was taken, this costs more or has no known price"


def _price(plan: Plan) -> tuple[bool, Decimal, int, str]:
    cost = plan.hourly_cost
    return cost is None, cost or Decimal(0), plan.layout.devices, plan.candidate


def _not_chosen(plan: Plan, why: str) -> Rejection:
    where = explain.replica(plan.accelerator, plan.layout)
    return Rejection(plan.candidate, "NotChosen", f"{where} would fit too; {why}", plan.memory)


def consider(question: Question, option: Option) -> Plan | Rejection:
    """Return the best plan on one candidate, or why there is none."""
    model, settings = question.model, question.settings
    demand = _demand(question, pinned=option.parallelism is not None)
    refused = _refused_anywhere(question, demand)
    if refused is not None:
        return Rejection(option.name, "ContextTooLong", refused)
    unsupported = hardware_violation(model, settings, option.accelerator)
    if unsupported is not None:
        return Rejection(option.name, "UnsupportedFormat", unsupported)
    if option.parallelism is not None:
        return _pinned(question, option, demand)
    layouts = _valid(question, planned_layouts(option.accelerator))
    plan = _first(question, option, demand, layouts)
    if plan is not None:
        return plan
    largest = next(it for it in layouts if it.devices == layouts[-1].devices)
    wider = _valid(question, layouts_across_nodes(option.accelerator))
    better = _first(question, option, demand, wider)
    return _rejection(question, option, demand, largest, better.layout if better else None)


def _first(
    question: Question, option: Option, demand: Demand, layouts: list[Layout]
) -> Plan | None:
    """Return the plan with the first layout whose memory suffices.

    With as many stages, a larger tensor parallel size never needs more of a device. So after one
    failure the least size that fits is found by bisection, and a class whose nodes have very many
    divisors is planned as fast as any other.
    """
    least: dict[int, float] = {}
    groups: dict[int, list[Layout]] = {}
    for layout in layouts:
        stages = layout.pipeline
        if layout.tensor < least.get(stages, 0):
            continue
        plan = _try(question, option, demand, layout)
        if plan is not None:
            return plan
        # the layouts stand by devices, so that those of a group stand by tensor parallel size
        same = (groups := groups or _by_stages(layouts))[stages]
        least[stages] = _least_that_fits(question, option, demand, same)
    return None


def _least_that_fits(
    question: Question, option: Option, demand: Demand, same: list[Layout]
) -> float:
    """Return the least tensor parallel size that fits among layouts of as many stages, or inf."""

    def fits(layout: Layout) -> bool:
        return _try(question, option, demand, layout) is not None

    if not fits(same[-1]):
        return math.inf
    return same[bisect_left(same, True, hi=len(same) - 1, key=fits)].tensor


def _by_stages(layouts: list[Layout]) -> dict[int, list[Layout]]:
    groups: dict[int, list[Layout]] = {}
    for layout in layouts:
        groups.setdefault(layout.pipeline, []).append(layout)
    return groups


def _valid(question: Question, layouts: Iterable[Layout]) -> list[Layout]:
    """Return the layouts that the model's shape allows, each size judged once."""
    model, settings, tried = question.model, question.settings, tuple(layouts)
    sizes = {it.tensor for it in tried}
    divide = {n for n in sizes if tensor_violation(model, settings, n) is None}
    deep = {it.pipeline for it in tried}
    stages = {n for n in deep if fewer_layers_than_stages(model, n) is None}
    return [it for it in tried if it.tensor in divide and it.pipeline in stages]


def _demand(question: Question, pinned: bool) -> Demand:
    limit = question.model.max_context_length
    return demand_of(question.context, question.workload, limit, pinned)


def _refused_anywhere(question: Question, demand: Demand) -> str | None:
    """Return why no hardware whatever could carry this."""
    if question.context is not None and question.context > question.model.max_context_length:
        return explain.context_is_too_long(question.model, question.context)
    longest = question.context or question.model.max_context_length
    if demand.tokens > longest:
        return explain.workload_is_longer_than_context(demand, longest)
    return None


def _pinned(question: Question, option: Option, demand: Demand) -> Plan | Rejection:
    """Judge the parallelism that the user wrote, and no other."""
    assert option.parallelism is not None
    number = [it.name for it in question.options].index(option.name)
    path = f"spec.hardware.candidates[{number}].parallelism"
    fault = parallelism_fault(option.accelerator, option.parallelism, path)
    if fault is not None:
        return Rejection(option.name, "InvalidParallelism", str(fault))
    tensor, pipeline = option.parallelism.tensor, option.parallelism.pipeline
    layout = pinned_layout(option.accelerator, tensor, pipeline)
    assert layout is not None  # parallelism_fault has seen to it
    violation = layout_violation(question.model, question.settings, layout)
    if violation is not None:
        return Rejection(option.name, "InvalidParallelism", violation)
    plan = _try(question, option, demand, layout)
    if plan is not None:
        return plan
    free = replace(option, parallelism=None)
    better = consider(question, free)
    return _rejection(
        question, option, demand, layout, better.layout if isinstance(better, Plan) else None
    )


def _try(question: Question, option: Option, demand: Demand, layout: Layout) -> Plan | None:
    """Return the plan with one layout, or None where its memory does not suffice."""
    model, settings = question.model, question.settings
    memory = device_memory(model, option.accelerator, settings, layout.tensor, layout.pipeline)
    cost = kv_cache_cost(model, settings, layout.tensor, layout.pipeline)
    available = memory.left_for_kv_cache
    if demand.bytes_needed(cost) > available:
        return None
    context = demand.context_within(cost, available)
    seqs = settings.max_num_seqs or sequences(
        demand, cost, available, context, question.workload is not None
    )
    if option.accelerator.vendor == "cpu":
        available = min(available, max(demand.bytes_needed(cost), cost.bytes_for(seqs, context)))
        memory = replace(memory, kv_cache=available)
    return Plan(
        candidate=option.name,
        purchase=option.purchase,
        accelerator=option.accelerator,
        model=model,
        settings=settings,
        layout=layout,
        memory=memory,
        kv_cache_tokens=min(_MOST_TOKENS, cost.capacity(available, context)),
        context_length=context,
        context_capped=demand.context is None and context < demand.limit,
        max_num_seqs=seqs,
        offer=option.accelerator.cheapest(option.purchase, layout.devices_per_node),
        # a note on nodes speaks of those that one tensor parallel group lies over
        notes=explain.notes(
            option.accelerator, layout.tensor_group, model, settings, context, demand, seqs
        ),
    )


def _rejection(
    question: Question, option: Option, demand: Demand, layout: Layout, better: Layout | None
) -> Rejection:
    """Return why the layout's memory does not suffice, and what would."""
    model, settings, accelerator = question.model, question.settings, option.accelerator
    memory = device_memory(model, accelerator, settings, layout.tensor, layout.pipeline)
    cost = kv_cache_cost(model, settings, layout.tensor, layout.pipeline)
    weights_fit = memory.left_for_kv_cache > 0
    if not weights_fit:
        why = explain.weights_do_not_fit(accelerator, settings, layout, memory)
    else:
        why = explain.kv_cache_does_not_fit(accelerator, settings, layout, memory, cost, demand)
    cure = explain.what_would_fit(better, accelerator, settings, weights_fit)
    return Rejection(option.name, "DoesNotFit", f"{why}; {cure}", memory)
