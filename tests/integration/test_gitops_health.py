"""What GitOps engines make of a ModelDeployment, in every situation it can be in."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from tests.gitops.health_tool import Verdict, judge
from tests.unit.status.situations import SERVED, SITUATIONS, Situation

EVERY = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda it: it.sentence)
ARGO = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}
SUSPENDED = {
    "it is suspended",
    "what was given up is suspended",
    "it is paused and well",
    "it is paused and a change waits",
    "it is paused and pods crash",
}


def model(status: dict[str, Any] | None = None, generation: int = 1, **metadata: Any) -> Any:
    found: dict[str, Any] = {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "chat", "namespace": "models", "generation": generation, **metadata},
        "spec": {"model": {"source": "hf://owner/chat"}},
    }
    return found if status is None else {**found, "status": status}


@cache
def verdicts() -> dict[str, Verdict]:
    objects = [model(it.status(), _seen(it)) for it in SITUATIONS]
    found = judge(objects)
    return {it.sentence: verdict for it, verdict in zip(SITUATIONS, found, strict=True)}


def _seen(situation: Situation) -> int:
    generation: int = situation.status()["observedGeneration"]
    return generation


@EVERY
def test_kstatus_reads_it_as_it_is_meant(situation: Situation) -> None:
    assert verdicts()[situation.sentence].kstatus == situation.health


@EVERY
def test_argo_cd_reads_it_as_it_is_meant(situation: Situation) -> None:
    expected = "Suspended" if situation.sentence in SUSPENDED else ARGO[situation.health]
    verdict = verdicts()[situation.sentence]
    assert verdict.argo == expected
    assert verdict.message


def test_what_no_operator_has_seen_is_not_called_well() -> None:
    fresh = model({"observedGeneration": -1})
    edited = model(deepcopy(SERVED), generation=2)
    for verdict in judge([fresh, edited]):
        assert (verdict.kstatus, verdict.argo) == ("InProgress", "Progressing")
    (bare,) = judge([model()])
    assert bare.argo == "Progressing"


def test_what_is_being_deleted_is_terminating() -> None:
    (verdict,) = judge([model(SERVED, deletionTimestamp="2026-11-23T09:00:00Z")])
    assert verdict.kstatus == "Terminating"


def test_the_reason_is_told_with_what_is_degraded() -> None:
    told = verdicts()["Serve could not deploy"].message
    assert told.startswith("DeployFailed: Serve could not deploy chat on cluster chat-old: KeyErr")
