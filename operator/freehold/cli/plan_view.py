"""The plan as text: what was chosen, what a device holds, what it costs, why not otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from freehold.api.architecture import ModelDescription
from freehold.api.faults import counted
from freehold.api.scalars import GIB, quantity_bytes
from freehold.cli.memory_bar import bar, fits, legend
from freehold.cli.output import parameter_count, parameters, rounded
from freehold.cli.page import Page
from freehold.compose import Planned
from freehold.plan.layout import Layout
from freehold.plan.plan import NoPlan, Plan, Rejection
from freehold.plan.planner import Option, Question, make_plan

MOST_SHOWN = 8
_WIDE = 12
_PURCHASE = {"OnDemand": "on demand", "Spot": "spot"}


def show_model(page: Page, planned: Planned) -> None:
    """Write which model it is and where its description comes from."""
    model, description = planned.model, planned.described.description
    gated = "; gated: its licence must be accepted there" if planned.described.gated else ""
    page.title(model.name)
    page.row("model", f"{model.spec.model.source}{gated}", _WIDE)
    page.row("described by", planned.described.origin, _WIDE)
    page.row("size", _size(description), _WIDE)


def _size(model: ModelDescription) -> str:
    stored = quantity_bytes(model.checkpoint.size) / GIB
    count = parameters(parameter_count(model))
    latent = model.latent_attention is not None
    keys = "latent attention" if latent else f"{model.key_value_heads} KV heads"
    return (
        f"{count} parameters, {stored:,.1f} GiB of weights in {model.checkpoint.precision}; "
        f"{model.layers} layers, {model.attention_heads} heads, {keys}"
    )


def show_answer(page: Page, planned: Planned) -> None:
    """Write the chosen plan and what was passed over, or why nothing carries the model."""
    answer = planned.answer
    if isinstance(answer, NoPlan):
        _show_refusals(page, planned.model.name, _nearest_first(answer.rejected, planned.question))
        return
    show_plan(page, answer)
    rejected = _in_order(answer.rejected, planned.question)
    if rejected:
        page.gap()
        page.title("Passed over")
        _show_rejected(page, rejected)


def show_apart(page: Page, question: Question) -> None:
    """Write what each option alone would make of the model."""
    for i, option in enumerate(question.options):
        if i:
            page.gap()
        answer = make_plan(replace(question, options=(option,)))
        if isinstance(answer, Plan):
            show_plan(page, answer)
        else:
            _show_refusal(page, answer.rejected[0])


def show_plan(page: Page, plan: Plan) -> None:
    """Write one plan."""
    where = in_words(plan.accelerator.name, plan.layout)
    name = "" if plan.candidate == plan.accelerator.name else f"{plan.candidate}: "
    page.gap()
    page.title(f"{name}{where}", "bold green")
    page.row("each device", bar(plan.memory, page.shaded), _WIDE)
    page.row("", legend(plan.memory, page.shaded), _WIDE)
    page.row("context", _context(plan), _WIDE)
    page.row("KV cache", _cache(plan), _WIDE)
    at_once = counted(plan.max_num_seqs, "request")
    page.row("concurrency", f"{at_once} at once (max_num_seqs)", _WIDE)
    page.row("price", price(plan), _WIDE)
    for note in plan.notes:
        page.row("note", note, _WIDE, "yellow")


def in_words(accelerator: str, layout: Layout) -> str:
    """Return a layout as a sentence would have it."""
    over = f" over {layout.nodes} nodes" if layout.nodes > 1 else ""
    split = f": tensor {layout.tensor}, pipeline {layout.pipeline}" if layout.devices > 1 else ""
    return f"{layout.devices} x {accelerator}{over}{split}"


def _context(plan: Plan) -> str:
    longest = plan.model.max_context_length
    if plan.context_capped:
        return f"{plan.context_length:,} tokens, capped; the model can {longest:,}"
    if plan.context_length == longest:
        return f"{longest:,} tokens, all that the model can"
    return f"{plan.context_length:,} tokens as asked; the model can {longest:,}"


def _cache(plan: Plan) -> str:
    whole = plan.kv_cache_tokens / plan.context_length
    return f"{plan.kv_cache_tokens:,} tokens: {whole:.1f} requests of full context"


def price(plan: Plan) -> str:
    """Return what a replica and a device cost in an hour, and where."""
    offer, cost = plan.offer, plan.hourly_cost
    if offer is None or cost is None:
        return f"no {_PURCHASE[plan.purchase]} list price is known for {plan.accelerator.name}"
    where = " ".join(word for word in (offer.provider, offer.region) if word)
    return (
        f"{rounded(cost)} {offer.currency} an hour for a replica: {plan.layout.devices} x "
        f"{rounded(offer.amount)}, {where}, {_PURCHASE[plan.purchase]}, list price"
    )


def _show_rejected(page: Page, rejected: Sequence[Rejection]) -> None:
    """Write the rejections, at most a screen of them."""
    shown = rejected[:MOST_SHOWN]
    names = max(len(item.candidate) for item in shown)
    wide = names + 2 + max(len(item.reason) for item in shown)
    for item in shown:
        page.row(f"{item.candidate.ljust(names)}  {item.reason}", item.message, wide)
    _say_more(page, len(rejected))


def _say_more(page: Page, count: int) -> None:
    if count > MOST_SHOWN:
        page.row(f"and {count - MOST_SHOWN} more: --all shows every class", "", 0)


def _show_refusals(page: Page, name: str, rejected: Sequence[Rejection]) -> None:
    page.gap()
    page.title(f"No candidate carries {name}.", "bold red")
    for item in rejected[:MOST_SHOWN]:
        page.gap()
        _show_refusal(page, item)
    _say_more(page, len(rejected))


def _show_refusal(page: Page, item: Rejection) -> None:
    page.title(f"{item.candidate}: {item.reason}", "bold red")
    if item.memory is not None:
        page.row("each device", bar(item.memory, page.shaded), _WIDE)
        page.row("", legend(item.memory, page.shaded), _WIDE)
        if not fits(item.memory):
            usable = item.memory.usable / GIB
            page.row("", f"| {usable:.1f} GiB is what the engine may use", _WIDE)
    page.row("why", item.message, _WIDE)


def show_classes(page: Page, question: Question, options: Iterable[Option]) -> None:
    """Write what every class would make of the model: the plans cheapest first, then the rest."""
    answers = [make_plan(replace(question, options=(option,))) for option in options]
    plans = sorted((item for item in answers if isinstance(item, Plan)), key=_cost)
    refusals = [item.rejected[0] for item in answers if isinstance(item, NoPlan)]
    names = [plan.candidate for plan in plans] + [item.candidate for item in refusals]
    wide = max(len(name) for name in names)
    page.gap()
    page.title("Every class of the catalogue, on demand, cheapest first")
    for plan in plans:
        page.row(plan.candidate, _in_short(plan), wide)
    for item in refusals:
        page.row(item.candidate, f"{item.reason}: {item.message}", wide, "dim")


def _in_short(plan: Plan) -> str:
    layout = plan.layout
    nodes = f", {layout.nodes} nodes" if layout.nodes > 1 else ""
    devices = f"{layout.devices} (tensor {layout.tensor}, pipeline {layout.pipeline}{nodes})"
    cost = plan.hourly_cost
    asked = f"{rounded(cost)} {plan.offer.currency}/h" if cost and plan.offer else "no known price"
    return f"{asked.rjust(14)}  {devices}, context {plan.context_length:,}"


def _cost(plan: Plan) -> tuple[bool, float, int]:
    cost = plan.hourly_cost
    return cost is None, float(cost or 0), plan.layout.devices


def _in_order(rejected: Iterable[Rejection], question: Question) -> list[Rejection]:
    """Return the rejections in the order in which the candidates were given."""
    order = {option.name: i for i, option in enumerate(question.options)}
    return sorted(rejected, key=lambda item: order[item.candidate])


def _nearest_first(rejected: Iterable[Rejection], question: Question) -> list[Rejection]:
    """Return refusals as the user ordered them, or else those that came nearest first."""
    if question.in_order:
        return _in_order(rejected, question)
    return sorted(rejected, key=lambda item: (-_nearness(item), item.candidate))


def _nearness(item: Rejection) -> float:
    memory = item.memory
    return memory.usable / (memory.weights + memory.overhead) if memory else 0.0
