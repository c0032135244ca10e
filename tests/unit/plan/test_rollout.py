"""What an edit of the spec asks for: nothing, other scaling settings, or a rollout."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.plan.builders import accelerator, ask, made_up

from freehold.plan.canonical import canonical_json, digest
from freehold.plan.failure import Failure, failure_text, read_failure
from freehold.plan.plan import NoPlan, Plan
from freehold.plan.planner import Option, Question
from freehold.plan.rollout import (
    Decided,
    Decision,
    GoBack,
    Keep,
    Rescale,
    Return,
    RollOut,
    changed_fields,
    decide,
    plan_preferring,
    progress_deadline,
    spec_parts,
    standing,
)

SPEC: dict[str, Any] = {
    "managedBy": "freehold.dev/operator",
    "suspend": False,
    "model": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct", "contextLength": 8192},
    "hardware": {"candidates": [{"name": "l4", "accelerator": "l4-24gb"}]},
    "engine": {"name": "vllm", "args": {"max_num_seqs": 16, "seed": 1}},
}


def with_fields(**fields: Any) -> dict[str, Any]:
    """Return the spec with fields replaced; one that is None is left out."""
    spec = copy.deepcopy(SPEC) | fields
    return {name: value for name, value in spec.items() if value is not None}


def decided(name: str, spec: dict[str, Any], candidate: str = "l4") -> Decided:
    return Decided(name, spec_parts(spec), candidate)


def after(new: dict[str, Any], *old: dict[str, Any]) -> Decision:
    revisions = [decided(f"r{i}", spec) for i, spec in enumerate(old, 1)]
    return decide(spec_parts(new), revisions)


SCALED = {"minReplicas": 0, "maxReplicas": 4}
UNCHANGED = {
    "the same": with_fields(),
    "another count": with_fields(replicas=7),
    "no replicas": with_fields(replicas=0),
    "autoscaling with the settings that a count has": with_fields(autoscaling=SCALED),
    "suspended": with_fields(suspend=True),
    "suspend left out": with_fields(suspend=None),
    "another controller": with_fields(managedBy="example.com/other"),
    "a deadline": with_fields(rollout={"progressDeadline": "5m"}),
    "an empty rollout": with_fields(rollout={}),
    "who may reach it": with_fields(endpoint={"allowedNamespaces": {"from": "All"}}),
    "keys in another order": dict(reversed(with_fields().items())),
    "a number as Helm writes it": with_fields(
        engine={"args": {"seed": 1.0, "max_num_seqs": 1.6e1}, "name": "vllm"}
    ),
}


@pytest.mark.parametrize("spec", UNCHANGED.values(), ids=UNCHANGED)
def test_no_revision_for(spec: dict[str, Any]) -> None:
    assert after(spec, SPEC) == Keep("r1")
    assert after(SPEC, spec) == Keep("r1")


RESCALED = {
    "a target": SCALED | {"target": {"timeToFirstToken": "5s"}},
    "a time to zero": SCALED | {"scaleToZeroAfter": "1m"},
}


@pytest.mark.parametrize("autoscaling", RESCALED.values(), ids=RESCALED)
def test_other_scaling_settings_for(autoscaling: dict[str, Any]) -> None:
    assert after(with_fields(autoscaling=autoscaling), SPEC) == Rescale("r1")
    assert after(with_fields(replicas=3), with_fields(autoscaling=autoscaling)) == Rescale("r1")


ROLLED_OUT = {
    "another source": (
        {"model": {"source": "hf://a/b", "contextLength": 8192}},
        ("spec.model.source",),
    ),
    "a field more and one less": (
        {"model": {"source": SPEC["model"]["source"], "servedName": "x"}},
        ("spec.model.contextLength", "spec.model.servedName"),
    ),
    "an engine argument": (
        {"engine": {"name": "vllm", "args": {"max_num_seqs": 32, "seed": 1}}},
        ("spec.engine.args.max_num_seqs",),
    ),
    "true where 1 stood": (
        {"engine": {"name": "vllm", "args": {"max_num_seqs": 16, "seed": True}}},
        ("spec.engine.args.seed",),
    ),
    "a default written out": ({"rollout": {"type": "BlueGreen"}}, ("spec.rollout",)),
    "who may call": (
        {"endpoint": {"authentication": {"type": "None"}}},
        ("spec.endpoint",),
    ),
    "an overlay that removes": ({"templates": {"head": {"spec": None}}}, ("spec.templates",)),
    "a field of a later release": ({"later": {"x": 1}}, ("spec.later",)),
}


@pytest.mark.parametrize(("fields", "changed"), ROLLED_OUT.values(), ids=ROLLED_OUT)
def test_a_rollout_that_keeps_the_candidate_for(
    fields: dict[str, Any], changed: tuple[str, ...]
) -> None:
    assert after(with_fields(**fields), SPEC) == RollOut(changed, "l4")


MOVED = {
    "another accelerator": (
        {"candidates": [{"name": "l4", "accelerator": "l40s-48gb"}]},
        "spec.hardware.candidates[0].accelerator",
    ),
    "one candidate more": (
        {
            "candidates": [
                {"name": "a", "accelerator": "a100-80gb"},
                *SPEC["hardware"]["candidates"],
            ]
        },
        "spec.hardware.candidates",
    ),
    "no hardware": (None, "spec.hardware"),
}


@pytest.mark.parametrize(("hardware", "changed"), MOVED.values(), ids=MOVED)
def test_a_rollout_that_chooses_anew_for(hardware: Any, changed: str) -> None:
    assert after(with_fields(hardware=hardware), SPEC) == RollOut((changed,), None)


def test_the_first_revision_is_a_rollout_without_a_preference() -> None:
    assert after(SPEC) == RollOut((), None)


def test_an_edit_taken_back_returns_to_the_revision_of_before() -> None:
    edited = with_fields(serviceAccountName="other")
    assert after(SPEC, SPEC, edited) == Return("r1")
    assert after(with_fields(replicas=9), SPEC, edited) == Return("r1")


def test_an_edit_taken_back_with_other_scaling_carries_the_objects_over() -> None:
    edited = with_fields(serviceAccountName="other")
    deeper = with_fields(autoscaling=RESCALED["a target"])
    assert after(deeper, SPEC, edited) == Rescale("r1")
    assert after(deeper, deeper, SPEC, edited) == Return("r1")


def test_hardware_that_is_gone_is_chosen_anew_without_an_edit() -> None:
    revisions = [decided("r1", SPEC)]
    assert decide(spec_parts(SPEC), revisions, hardware_gone=True) == RollOut((), None)


EDITED = with_fields(serviceAccountName="other")
FAILED = Failure(2, "", "No node takes a pod.", "r1")


def after_failure(new: dict[str, Any], failure: Failure = FAILED) -> Decision:
    """Return what a spec asks for after r1 has served and the rollout of r2 was given up."""
    revisions = [decided("r1", SPEC), replace(decided("r2", EDITED), failure=failure)]
    return decide(spec_parts(new), revisions, deadline=progress_deadline(new))


LAID_OVER = {
    "nothing": {},
    "another count": {"replicas": 7},
    "other bounds": {"autoscaling": SCALED},
    "suspended": {"suspend": True},
    "who may reach it": {"endpoint": {"allowedNamespaces": {"from": "All"}}},
}


@pytest.mark.parametrize("fields", LAID_OVER.values(), ids=LAID_OVER)
def test_what_was_given_up_is_not_tried_again_for(fields: dict[str, Any]) -> None:
    assert after_failure(EDITED | fields) == GoBack("r1", "r2")


def test_what_was_given_up_is_tried_again_with_another_deadline() -> None:
    longer = EDITED | {"rollout": {"progressDeadline": "1h"}}
    assert after_failure(longer) == Return("r2")
    assert after_failure(longer, replace(FAILED, deadline="1h")) == GoBack("r1", "r2")
    assert after_failure(EDITED, replace(FAILED, deadline="1h")) == Return("r2")


def test_after_what_was_given_up_any_other_spec_is_tried() -> None:
    assert after_failure(SPEC) == Return("r1")
    assert isinstance(after_failure(with_fields(serviceAccountName="third")), RollOut)
    assert after_failure(EDITED | {"autoscaling": RESCALED["a target"]}) == Rescale("r2")


def test_what_was_given_up_is_tried_again_after_another_spec() -> None:
    """By then the one that was returned to is the newest."""
    revisions = [replace(decided("r2", EDITED), failure=FAILED), decided("r1", SPEC)]
    assert decide(spec_parts(EDITED), revisions) == Return("r2")


@pytest.mark.parametrize("gone", ["r0", "r2", ""])
def test_without_what_it_went_back_to_it_is_tried_again(gone: str) -> None:
    assert after_failure(EDITED, replace(FAILED, back_to=gone)) == Return("r2")


def test_what_stands_while_nothing_is_decided() -> None:
    first, second = decided("r1", SPEC), decided("r2", EDITED)
    failed = replace(second, failure=FAILED)
    assert [standing(it) for it in ([], [first], [first, second])] == ["", "r1", "r2"]
    assert standing([first, failed]) == "r1"
    assert standing([failed]) == "r2"
    assert standing([failed, first]) == "r1"


def test_a_failure_is_read_as_it_was_written() -> None:
    assert read_failure(failure_text(FAILED)) == FAILED
    told = replace(FAILED, cause='ä "quoted"\nline', deadline="30m")
    assert read_failure(failure_text(told)) == told
    assert failure_text(told).count("\n") == 0


@pytest.mark.parametrize("text", [None, "", "{", "7", "[]", "{}", '{"generation": "x"}', "null"])
def test_what_is_no_failure_of_ours_is_none(text: str | None) -> None:
    assert read_failure(text) is None


def test_of_two_revisions_of_one_spec_the_newer_stands() -> None:
    """The second was made when the first one's hardware had gone."""
    revisions = [decided("r1", SPEC, "gone"), decided("r2", SPEC, "there")]
    assert decide(spec_parts(SPEC), revisions) == Keep("r2")


def test_the_spec_itself_is_left_as_it_is() -> None:
    spec = with_fields(autoscaling=dict(SCALED), rollout={"progressDeadline": "5m"})
    before = copy.deepcopy(spec)
    spec_parts(spec)
    assert spec == before


def test_null_where_a_block_may_stand_is_no_crash() -> None:
    assert spec_parts({"autoscaling": None, "rollout": None}).scaling == {}


def question(in_order: bool = True) -> Question:
    """Return a question with a candidate that is too small and two that do."""
    asked = ask("meta-llama/Llama-3.1-8B-Instruct", "l4-24gb", context=8192)
    options = (
        Option("small", made_up(2048)),
        Option("first", accelerator("h100-80gb")),
        Option("second", accelerator("h200-141gb")),
    )
    return replace(asked, options=options, in_order=in_order)


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(
    ("prefer", "chosen"),
    [
        pytest.param("second", "second", id="listed and able"),
        pytest.param("small", "first", id="listed and unable"),
        pytest.param("gone", "first", id="not listed"),
        pytest.param(None, "first", id="none"),
    ],
)
def test_a_candidate_is_kept_while_it_is_listed_and_able(
    prefer: str | None, chosen: str, in_order: bool
) -> None:
    answer = plan_preferring(question(in_order), prefer)
    assert isinstance(answer, Plan)
    assert answer.candidate == chosen
    assert {it.candidate for it in answer.rejected} == {"small", "first", "second"} - {chosen}


def test_where_nothing_is_able_the_preference_changes_nothing() -> None:
    small = replace(question(), options=question().options[:1])
    answer = plan_preferring(small, "small")
    assert isinstance(answer, NoPlan)
    assert [it.candidate for it in answer.rejected] == ["small"]


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_VALUES)
def test_canonical_form_outlives_a_journey_through_json(value: Any) -> None:
    """As through the API server, which orders keys and drops a fraction of nothing."""
    journeyed = json.loads(canonical_json(value))
    assert canonical_json(journeyed) == canonical_json(value)
    assert digest(journeyed) == digest(value)


@settings(deadline=None)
@given(_VALUES)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert changed_fields(value, json.loads(json.dumps(value))) == ()


@settings(deadline=None)
@given(_VALUES, _VALUES)
def test_what_differs_is_named(one: Any, other: Any) -> None:
    assert bool(changed_fields(one, other)) == (canonical_json(one) != canonical_json(other))
