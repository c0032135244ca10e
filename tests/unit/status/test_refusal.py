"""A refusal bears the reason that says who must act."""

from __future__ import annotations

import pytest

from freehold.api import conditions as api
from freehold.api.conditions import Reason
from freehold.api.faults import Cause, Fault
from freehold.api.manifest import parse_manifest
from freehold.catalog.builtin import builtin_catalog
from freehold.compose import Planned, plan_model
from freehold.plan.plan import NoPlan, Rejection
from freehold.sources import hub
from freehold.status.outcome import Finding
from freehold.status.refusal import refusal_of_faults, refusal_of_no_plan, refusal_on_cluster

MANIFEST = """
apiVersion: freehold.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: chat}}
spec:
  model: {{source: {source}}}
  hardware: {{candidates: [{{name: only, accelerator: {accelerator}}}]}}
"""
KNOWN = "hf://meta-llama/Llama-3.1-405B-Instruct"


def refusal(source: str = KNOWN, accelerator: str = "h100-80gb") -> Finding:
    manifest = parse_manifest(MANIFEST.format(source=source, accelerator=accelerator))
    (model,) = manifest.models
    answer = plan_model(model, builtin_catalog(), offline=True)
    if isinstance(answer, Planned):
        assert isinstance(answer.answer, NoPlan)
        return refusal_of_no_plan(answer.answer)
    return refusal_of_faults(answer)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(refusal(accelerator="l4-24gb"), api.NOTHING_FITS, id="too small"),
        pytest.param(refusal(accelerator="h1000"), api.UNKNOWN_ACCELERATOR, id="no such class"),
        pytest.param(refusal("file:///does/not/exist"), api.UNKNOWN_MODEL, id="no such folder"),
        pytest.param(refusal("s3://bucket/model"), api.UNKNOWN_MODEL, id="nothing to plan from"),
        pytest.param(refusal("hf://nobody/none"), api.SOURCE_UNREACHABLE, id="offline"),
    ],
)
def test_what_planning_refuses_has_its_reason(found: Finding, reason: Reason) -> None:
    assert found.reason is reason
    assert found.message.endswith((".", "?"))


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.VALUE, api.INVALID_SPEC),
        (Cause.ACCELERATOR, api.UNKNOWN_ACCELERATOR),
        (Cause.MODEL, api.UNKNOWN_MODEL),
        (Cause.ACCESS, api.GATED_MODEL),
        (Cause.UNREACHABLE, api.SOURCE_UNREACHABLE),
    ],
)
def test_every_cause_has_its_reason(cause: Cause, reason: Reason) -> None:
    fault = Fault("spec.model.source", "x", "y", cause=cause)
    assert refusal_of_faults([fault]) == Finding(reason, "spec.model.source: found x; allowed: y.")


def test_what_the_user_must_mend_stands_before_what_may_pass() -> None:
    passing = Fault("spec.model.source", "silence", "a hub", cause=Cause.UNREACHABLE)
    wrong = [Fault(f"spec.field{n}", "x", "y") for n in range(4)]
    found = refusal_of_faults([passing, *wrong])
    assert found.reason is api.INVALID_SPEC
    assert found.message.startswith("spec.field0: found x; allowed: y. spec.field1:")
    assert found.message.endswith("And 2 more faults.")


def test_no_faults_are_no_refusal() -> None:
    with pytest.raises(ValueError, match="at least one fault"):
        refusal_of_faults([])


def rejected(*reasons: str) -> NoPlan:
    return NoPlan(tuple(Rejection(f"c{i}", it, f"why {it}") for i, it in enumerate(reasons)))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (rejected("DoesNotFit", "NoSuchNodes"), api.NO_HARDWARE),
        (rejected("NoSuchNodes", "NoEngineImage"), api.NO_ENGINE_IMAGE),
        (rejected("DoesNotFit", "UnsupportedFormat"), api.NOTHING_FITS),
        (rejected("UnknownAccelerator"), api.UNKNOWN_ACCELERATOR),
        (rejected("UnknownAccelerator", "DoesNotFit"), api.NOTHING_FITS),
        (rejected(), api.NOTHING_FITS),
    ],
)
def test_what_the_cluster_lacks_stands_before_what_does_not_fit(
    answer: NoPlan, reason: Reason
) -> None:
    assert refusal_of_no_plan(answer).reason is reason


def test_a_gated_repository_asks_for_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    gated = Fault("spec.model.source", "it is gated", "access", cause=Cause.ACCESS)

    def answer(*_: object, **__: object) -> tuple[Fault, ...]:
        return (gated,)

    monkeypatch.setattr(hub, "describe_repository", answer)
    found = refusal("hf://owner/gated")
    assert found.reason is api.GATED_MODEL


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("NoHardware", api.NO_HARDWARE),
        ("NoEngineImage", api.NO_ENGINE_IMAGE),
        ("DoesNotFit", api.NOTHING_FITS),
    ],
)
def test_what_a_cluster_lacks_has_its_reason(word: str, reason: Reason) -> None:
    assert refusal_on_cluster(word, "why") == Finding(reason, "why")
