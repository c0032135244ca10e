"""From a manifest and the catalogue to the planner's question: names, classes, arguments."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.plan.builders import CATALOG, CLASSES, a_class, accelerator, known

from freehold.api.acceleratorclass import AcceleratorClass
from freehold.api.faults import Fault
from freehold.api.modeldeployment import ModelDeployment
from freehold.plan.accelerator import Accelerator, resolve_class
from freehold.plan.engine_settings import OWNED_BY_PLAN, read_engine_settings
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Question, make_plan
from freehold.plan.resolve import resolve

EIGHT = "meta-llama/Llama-3.1-8B-Instruct"


def deployment(**spec: Any) -> ModelDeployment:
    data = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "m"},
        "spec": {"model": {"source": f"hf://{EIGHT}"}, **spec},
    }
    return ModelDeployment.model_validate_json(json.dumps(data))


def question(
    classes: dict[str, AcceleratorClass] | None = None, **spec: Any
) -> Question | tuple[Fault, ...]:
    return resolve(deployment(**spec), known(EIGHT), {**CATALOG.classes, **(classes or {})})


def planned(classes: dict[str, AcceleratorClass] | None = None, **spec: Any) -> Plan:
    asked = question(classes, **spec)
    assert isinstance(asked, Question), asked
    answer = make_plan(asked)
    assert not isinstance(answer, NoPlan), answer
    return answer


def test_without_candidates_every_accelerator_is_one_and_the_cheapest_that_fits_is_taken() -> None:
    asked = question()
    assert isinstance(asked, Question)
    assert [option.name for option in asked.options] == [n for n in CLASSES if n != "cpu"]
    plan = make_plan(asked)
    assert isinstance(plan, Plan)
    assert plan.hourly_cost is not None
    for option in asked.options:
        alone = make_plan(Question(asked.model, asked.settings, None, None, (option,)))
        if isinstance(alone, Plan) and alone.hourly_cost is not None:
            assert plan.hourly_cost <= alone.hourly_cost
    reasons = {item.candidate: item.reason for item in plan.rejected}
    assert set(reasons) == {option.name for option in asked.options} - {plan.candidate}


def test_candidates_are_taken_in_the_users_order_whatever_they_cost() -> None:
    names = ["b200-180gb", "l4-24gb"]
    candidates = [{"name": f"c{i}", "accelerator": name} for i, name in enumerate(names)]
    plan = planned(hardware={"candidates": candidates})
    assert plan.accelerator.name == "b200-180gb"
    (other,) = plan.rejected
    assert (other.candidate, other.reason) == ("c1", "NotChosen")
    assert "comes later in the order" in other.message


def test_spot_is_priced_as_spot() -> None:
    def cost(purchase: str) -> Decimal:
        candidate = {"name": "c", "accelerator": "l4-24gb", "purchase": purchase}
        found = planned(hardware={"candidates": [candidate]}).hourly_cost
        assert found is not None
        return found

    assert cost("Spot") < cost("OnDemand")


def test_an_unknown_class_is_told_with_the_nearest() -> None:
    faults = question(hardware={"candidates": [{"name": "c", "accelerator": "h100-80g"}]})
    assert isinstance(faults, tuple)
    (fault,) = faults
    assert fault.path == "spec.hardware.candidates[0].accelerator"
    assert "Did you mean h100-80gb" in fault.hint


def test_a_class_that_extends_another_changes_one_thing() -> None:
    shapes = [
        {
            "name": "mine",
            "provider": "onprem",
            "devices": 8,
            "prices": [{"purchase": "OnDemand", "amount": "1.25", "currency": "EUR"}],
        }
    ]
    mine = a_class("mine", extends="h100-80gb", nodeShapes=shapes)
    candidates = [{"name": "c", "accelerator": "mine"}]
    plan = planned({"mine": mine}, hardware={"candidates": candidates})
    built_in = accelerator("h100-80gb")
    assert plan.accelerator.memory == built_in.memory
    assert plan.accelerator.features == built_in.features
    assert plan.offer is not None
    assert (plan.offer.amount, plan.offer.currency) == (Decimal("1.25"), "EUR")


def test_a_class_of_the_same_name_stands_before_the_built_in_one() -> None:
    shapes = [
        {
            "name": "own",
            "provider": "onprem",
            "devices": 1,
            "prices": [{"purchase": "OnDemand", "amount": "0.01", "currency": "USD"}],
        }
    ]
    own = a_class("l4-24gb", vendor="nvidia", memory="24Gi", features=["bf16"], nodeShapes=shapes)
    catalog = CATALOG.with_classes([own])
    asked = resolve(deployment(), known(EIGHT), catalog.classes)
    assert isinstance(asked, Question)
    plan = make_plan(asked)
    assert isinstance(plan, Plan)
    assert (plan.candidate, plan.hourly_cost) == ("l4-24gb", Decimal("0.01"))
    assert builtin_price() != Decimal("0.01")


def builtin_price() -> Decimal:
    offer = accelerator("l4-24gb").cheapest("OnDemand", 1)
    assert offer is not None
    return offer.amount


def test_a_chain_of_classes_is_followed_to_its_end() -> None:
    classes = {
        **CATALOG.classes,
        "a": a_class("a", extends="b", description="mine"),
        "b": a_class("b", extends="l4-24gb", memory="20Gi"),
    }
    found = resolve_class("a", classes, "here")
    assert isinstance(found, Accelerator)
    assert (found.name, found.memory, found.spec.description) == ("a", 20 << 30, "mine")
    assert found.vendor == "nvidia"


BROKEN = {
    "a circle": (
        {"a": a_class("a", extends="b"), "b": a_class("b", extends="a")},
        "classes that extend each other: a -> b -> a",
    ),
    "a class that extends itself": (
        {"a": a_class("a", extends="a")},
        "classes that extend each other: a -> a",
    ),
    "a parent that does not exist": (
        {"a": a_class("a", extends="h100")},
        "unknown accelerator class 'h100'",
    ),
}


@pytest.mark.parametrize(("classes", "found"), BROKEN.values(), ids=BROKEN)
def test_a_broken_chain_is_a_fault(classes: dict[str, AcceleratorClass], found: str) -> None:
    fault = resolve_class("a", {**CATALOG.classes, **classes}, "here")
    assert isinstance(fault, Fault)
    assert fault.found == found


@pytest.mark.parametrize("name", OWNED_BY_PLAN)
def test_an_argument_that_the_plan_owns_is_refused_with_the_field_to_use(name: str) -> None:
    _, faults = read_engine_settings({name: 2})
    (fault,) = faults
    assert fault.path == f"spec.engine.args.{name}"
    assert OWNED_BY_PLAN[name] in fault.allowed
    assert fault.allowed.startswith("no value here; ")
    assert fault.hint == "Remove it from the arguments."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gpu_memory_utilization", 1.5),
        ("gpu_memory_utilization", 0),
        ("gpu_memory_utilization", True),
        ("gpu_memory_utilization", "0.9"),
        ("kv_cache_dtype", 8),
        ("kv_cache_dtype", ""),
        ("max_num_seqs", 0),
        ("max_num_seqs", 1.5),
        ("max_num_batched_tokens", -1),
        ("enable_expert_parallel", "yes"),
    ],
)
def test_an_argument_with_a_wrong_value_is_a_fault(name: str, value: Any) -> None:
    _, faults = read_engine_settings({name: value})
    assert [fault.path for fault in faults] == [f"spec.engine.args.{name}"]


def test_arguments_that_bear_on_the_plan_are_honoured_and_noted() -> None:
    args = {"gpu_memory_utilization": 0.8, "kv_cache_dtype": "fp8", "max_num_seqs": 12}
    candidates = [{"name": "c", "accelerator": "h100-80gb"}]
    plan = planned(hardware={"candidates": candidates}, engine={"args": args})
    assert plan.memory.usable == plan.memory.total * 0.8
    assert plan.max_num_seqs == 12
    for name, value in args.items():
        assert f"engine.args.{name} is honoured: {value}" in plan.notes


def test_every_fault_is_told_at_once() -> None:
    faults = question(
        hardware={"candidates": [{"name": "c", "accelerator": "nope"}]},
        engine={"args": {"max_model_len": 1, "max_num_seqs": 0}},
    )
    assert isinstance(faults, tuple)
    assert len(faults) == 3


def test_a_price_is_that_of_a_machine_that_holds_what_the_replica_takes_of_a_node() -> None:
    def shape(devices: int, amount: str) -> dict[str, Any]:
        price = {"purchase": "OnDemand", "amount": amount, "currency": "USD"}
        return {"name": f"n{devices}", "provider": "p", "devices": devices, "prices": [price]}

    mine = a_class("mine", extends="h100-80gb", nodeShapes=[shape(1, "1.00"), shape(8, "3.00")])

    def cost(tensor: int) -> Decimal | None:
        candidate = {"name": "c", "accelerator": "mine", "parallelism": {"tensor": tensor}}
        return planned({"mine": mine}, hardware={"candidates": [candidate]}).hourly_cost

    assert cost(1) == Decimal("1.00")
    assert cost(2) == Decimal("6.00")
