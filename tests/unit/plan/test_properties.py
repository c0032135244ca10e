"""What holds for every model and every accelerator, known or made up."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from tests.unit.plan.builders import (
    CLASSES,
    MODELS,
    accelerator,
    ask,
    contexts,
    loads,
    made_up,
    memories,
    models,
    nodes,
)

from freehold.api.architecture import (
    Checkpoint,
    Experts,
    LocalAttention,
    ModelDescription,
    StatedModel,
)
from freehold.api.scalars import MOST_DEVICES, MOST_LAYERS, MOST_STAGES
from freehold.plan.accelerator import Accelerator
from freehold.plan.constraints import layout_violation
from freehold.plan.device_memory import DeviceMemory, device_memory
from freehold.plan.kv_cache import kv_cache_cost
from freehold.plan.layout import Layout, planned_layouts
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Option, Question, make_plan

many = settings(derandomize=True, max_examples=400, deadline=None)
splits = st.sampled_from([None, (1, 1), (2, 1)])
Load = tuple[int, int, int] | None


def devices(answer: Plan | NoPlan) -> float:
    """Return how many devices a replica takes; a refusal takes more than there are."""
    return answer.layout.devices if isinstance(answer, Plan) else math.inf


def check_plan(plan: Plan, question: Question) -> None:
    """Assert what makes a plan one that can run."""
    memory, layout = plan.memory, plan.layout
    slack = 1 + 1e-9
    assert memory.weights + memory.overhead + memory.kv_cache <= memory.usable * slack
    assert memory.usable <= memory.total * slack
    assert min(memory.weights, memory.overhead, memory.kv_cache, memory.free) >= 0
    assert layout_violation(plan.model, plan.settings, layout) is None
    assert layout.devices_per_node * layout.nodes == layout.devices
    assert layout.devices_per_node <= plan.accelerator.node_sizes[-1]
    assert 1 <= plan.context_length <= plan.model.max_context_length
    assert question.context in (None, plan.context_length)
    assert plan.context_capped == (
        question.context is None and plan.context_length < plan.model.max_context_length
    )
    cost = kv_cache_cost(plan.model, plan.settings, layout.tensor, layout.pipeline)
    assert cost.bytes_for(1, plan.context_length) <= memory.kv_cache * slack
    if question.workload is not None:
        tokens = question.workload.prompt_tokens + question.workload.output_tokens
        needed = cost.bytes_for(question.workload.concurrent_requests, tokens)
        assert needed <= memory.kv_cache * slack
    assert plan.kv_cache_tokens >= plan.context_length


@many
@given(models, memories, nodes, st.booleans(), st.none() | contexts, loads)
def test_no_plan_puts_more_on_a_device_than_it_has(
    model: ModelDescription,
    memory: int,
    sizes: tuple[int, ...],
    fast: bool,
    context: int | None,
    load: Load,
) -> None:
    question = ask(model, made_up(memory, sizes, fast), context=context, workload=load)
    answer = make_plan(question)
    if isinstance(answer, Plan):
        check_plan(answer, question)
    else:
        assert answer.rejected[0].message


@pytest.mark.parametrize("name", CLASSES)
def test_every_known_model_on_every_known_class_is_planned_soundly_or_refused_in_words(
    name: str,
) -> None:
    device = accelerator(name)
    for model in MODELS:
        question = ask(model, device)
        answer = make_plan(question)
        if isinstance(answer, Plan):
            check_plan(answer, question)
        else:
            (rejection,) = answer.rejected
            assert rejection.reason in {"DoesNotFit", "UnsupportedFormat"}
            assert name in rejection.message


@many
@given(models, memories, st.integers(1, 100_000), nodes, st.booleans(), st.none() | contexts, loads)
def test_more_memory_never_turns_a_fit_into_a_refusal_nor_takes_more_devices(
    model: ModelDescription,
    memory: int,
    more: int,
    sizes: tuple[int, ...],
    fast: bool,
    context: int | None,
    load: Load,
) -> None:
    less = make_plan(ask(model, made_up(memory, sizes, fast), context=context, workload=load))
    larger = made_up(memory + more, sizes, fast)
    assert devices(make_plan(ask(model, larger, context=context, workload=load))) <= devices(less)


@many
@given(models, memories, nodes, st.booleans(), contexts, st.integers(1, 500_000), loads)
def test_a_longer_context_never_needs_fewer_devices(
    model: ModelDescription,
    memory: int,
    sizes: tuple[int, ...],
    fast: bool,
    context: int,
    more: int,
    load: Load,
) -> None:
    # a request longer than the context is refused for that, whatever the hardware
    assume(load is None or load[1] + load[2] <= context)
    device = made_up(memory, sizes, fast)
    short = make_plan(ask(model, device, context=context, workload=load))
    long = make_plan(ask(model, device, context=context + more, workload=load))
    assert devices(long) >= devices(short)


@many
@given(models, memories, nodes, st.none() | contexts, st.integers(1, 400), st.integers(1, 400))
def test_more_requests_at_once_never_need_fewer_devices(
    model: ModelDescription,
    memory: int,
    sizes: tuple[int, ...],
    context: int | None,
    requests: int,
    more: int,
) -> None:
    device = made_up(memory, sizes)
    few = make_plan(ask(model, device, context=context, workload=(requests, 900, 100)))
    many_more = ask(model, device, context=context, workload=(requests + more, 900, 100))
    assert devices(make_plan(many_more)) >= devices(few)


@many
@given(models, memories, nodes, splits, st.none() | contexts, loads)
def test_the_cure_of_a_refusal_cures(
    model: ModelDescription,
    memory: int,
    sizes: tuple[int, ...],
    split: tuple[int, int] | None,
    context: int | None,
    load: Load,
) -> None:
    device = made_up(memory, sizes, fast=False)
    answer = make_plan(ask(model, device, context=context, workload=load, split=split))
    words = answer.rejected[0].message if isinstance(answer, NoPlan) else ""
    found = re.search(r"parallelism: {tensor: (\d+), pipeline: (\d+)}", words)
    if found is not None:
        cure = (int(found[1]), int(found[2]))
        cured = make_plan(ask(model, device, context=context, workload=load, split=cure))
        assert isinstance(cured, Plan)
        event("cured")


# Layouts whose memory is worked out for one candidate; a fraction of a millisecond each.
MOST_TRIED = 100


@pytest.mark.parametrize("name", CLASSES)
def test_few_layouts_are_tried_for_a_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = accelerator(name)
    tried = [layouts_tried(ask(model, device), monkeypatch) for model in MODELS]
    assert 0 < max(tried) < MOST_TRIED


def layouts_tried(question: Question, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how often the planner worked out a layout's memory."""
    count = 0

    def counting(*arguments: Any) -> DeviceMemory:
        nonlocal count
        count += 1
        return device_memory(*arguments)

    monkeypatch.setattr("freehold.plan.planner.device_memory", counting)
    make_plan(question)
    return count


def most_divisors(count: int) -> tuple[int, ...]:
    """Return the node sizes with the most divisors, as many as a class may have."""
    sizes = range(1, MOST_DEVICES + 1)
    divisors = {n: sum(n % k == 0 for k in range(1, n + 1)) for n in sizes}
    return tuple(sorted(sorted(sizes, key=divisors.__getitem__)[-count:]))


def at_the_bounds(heads: int, key_value_heads: int, size: str) -> ModelDescription:
    """Return a model as large as one can be stated, and easily divided."""
    return StatedModel(
        layers=MOST_LAYERS,
        hidden_size=1 << 20,
        attention_heads=heads,
        key_value_heads=key_value_heads,
        head_dim=4096,
        intermediate_size=720_720,
        vocabulary_size=1 << 24,
        max_context_length=2**31 - 1,
        local_attention=LocalAttention(window=2**31 - 1, layers=MOST_LAYERS - 1),
        experts=Experts(
            count=1 << 14,
            per_token=1 << 14,
            intermediate_size=720_720,
            layers=MOST_LAYERS - 1,
            shared=1 << 14,
        ),
        checkpoint=Checkpoint(size=size, precision="bf16"),
    )


# One that no device holds, one that only many hold together, one whose cache is all there is.
SIZES = ["99999999Ti", "40Ti", "1"]
BOUNDS = [(2520, 2520), (3840, 1), (4096, 4096)]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("split", [None, (1, MOST_STAGES), (MOST_DEVICES, 1), (2, 7)])
def test_at_the_upper_bounds_of_every_field_as_few_layouts_are_tried(
    fast: bool, split: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = made_up(100_000, most_divisors(64), fast)
    load = (2**31 - 1, 2**30, 2**30 - 1)
    questions = [
        ask(at_the_bounds(*heads, size), device, split=split, workload=workload)
        for heads in BOUNDS
        for size in SIZES
        for workload in (None, load)
    ]
    tried = [layouts_tried(question, monkeypatch) for question in questions]
    assert max(tried) < MOST_TRIED  # none where the split itself is impossible


@settings(many, max_examples=100)
@given(models, memories, st.booleans(), contexts, loads)
def test_the_plan_is_the_first_layout_that_fits_when_it_is_pinned(
    model: ModelDescription, memory: int, fast: bool, context: int, load: Load
) -> None:
    device = made_up(memory, (2, 6, 8), fast)
    free = make_plan(ask(model, device, context=context, workload=load))
    fitting = (
        layout
        for layout in planned_layouts(device)
        if isinstance(make_plan(ask_pinned(model, device, layout, context, load)), Plan)
    )
    assert next(fitting, None) == (free.layout if isinstance(free, Plan) else None)


def ask_pinned(
    model: ModelDescription, device: Accelerator, layout: Layout, context: int, load: Load
) -> Question:
    split = (layout.tensor, layout.pipeline)
    return ask(model, device, context=context, workload=load, split=split)


def test_choosing_among_all_classes_tries_as_few_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    options = tuple(Option(name, accelerator(name)) for name in CLASSES if name != "cpu")
    questions = [replace(ask(model, "cpu"), options=options, in_order=False) for model in MODELS]
    tried = [layouts_tried(question, monkeypatch) for question in questions]
    assert 0 < max(tried) < MOST_TRIED * len(options)
