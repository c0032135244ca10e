"""What holds of a status whatever a pass has learned, in whatever combination."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.status.situations import (
    INITIALIZING,
    NOW,
    PLAN,
    PODS,
    READY,
    SITUATIONS,
    UPGRADING,
    condition,
    pod,
)

from freehold.api import conditions as api
from freehold.api.conditions import REASONS, ConditionType
from freehold.api.status import LONGEST_MESSAGE, ModelDeploymentStatus
from freehold.status.changes import transitions, worth_writing
from freehold.status.outcome import (
    Engines,
    Finding,
    Outcome,
    PassError,
    Probe,
    Replicas,
    Retry,
    RolledBack,
    Rollout,
    ScalingDecision,
    Submission,
)
from freehold.status.overdue import given_up
from freehold.status.pod_state import ContainerTrouble
from freehold.status.ray_service_state import (
    DeploymentState,
    RayServiceState,
    ServeApplicationState,
    ServedCluster,
)
from freehold.status.serving import needs_probe, rolled_out
from freehold.status.summarize import summarize

TEXT = st.text(max_size=40)
REFUSALS = [
    it
    for it in REASONS.values()
    if set(it.conditions) & {api.PLANNED, api.PLACED}
    and (it.stalls or it.name == "SourceUnreachable")
]
STATUSES = st.sampled_from(
    ["", "NOT_STARTED", "DEPLOYING", "RUNNING", "DEPLOY_FAILED", "DELETING", "UNHEALTHY", "odd"]
)
APPLICATIONS = st.builds(
    ServeApplicationState,
    name=st.just("chat"),
    status=STATUSES,
    message=TEXT,
    deployments=st.lists(st.builds(DeploymentState, TEXT, STATUSES, TEXT), max_size=2).map(tuple),
)
CLUSTERS = st.builds(
    ServedCluster, st.sampled_from(["chat-old", "chat-new"]), st.lists(APPLICATIONS).map(tuple)
)
SERVICES = st.builds(
    RayServiceState,
    name=st.just("chat"),
    uid=st.just("u"),
    generation=st.integers(0, 3),
    observed_generation=st.none() | st.integers(0, 3),
    conditions=st.lists(
        st.sampled_from(
            [
                READY,
                INITIALIZING,
                UPGRADING,
                condition("Ready", "False", "ValidationFailed", "no", None),
                condition("Ready", "False", "InitializingTimeout"),
            ]
        )
    ).map(tuple),
    active=st.none() | CLUSTERS,
    pending=st.none() | CLUSTERS,
    endpoints=st.integers(0, 2),
    suspend=st.booleans(),
    suspended=st.booleans(),
    deleting=st.booleans(),
)
ALL_PODS = [
    *PODS,
    pod("a", running=False, unschedulable="0/3"),
    pod("b", running=False, troubles=(ContainerTrouble("ray", "ErrImagePull", ""),)),
    pod("c", "head", "chat-new", troubles=(ContainerTrouble("ray", "Error", ""),)),
    pod("d", deleting=True),
]
IDS = st.frozensets(st.sampled_from(["e1", "e2"]))
FINDINGS = st.builds(Finding, st.sampled_from(REFUSALS), TEXT | st.just("x" * 5000))
OUTCOMES = st.builds(
    Outcome,
    name=st.just("chat"),
    generation=st.integers(1, 3),
    deleting=st.booleans(),
    suspended=st.booleans(),
    paused=st.booleans(),
    replicas=st.sampled_from([Replicas(0, 0), Replicas(0, 3), Replicas(1, 1), Replicas(2, 4)]),
    assessed=st.booleans(),
    refusal=st.none() | FINDINGS,
    plan=st.sampled_from([None, PLAN]),
    current_revision=st.sampled_from(["", "chat-1"]),
    update_revision=st.sampled_from(["", "chat-2"]),
    rollout=st.none()
    | st.builds(
        Rollout,
        kind=st.sampled_from(["InPlace", "NewReplicas", "NewCluster", ""]),
        sentences=st.lists(TEXT, max_size=2).map(tuple),
        started=st.sampled_from([None, NOW, NOW - timedelta(days=1)]),
        waits_for=st.sampled_from(["", "chat-old"]),
    ),
    rolled_back=st.none() | st.builds(RolledBack, st.just("chat-2"), st.just("chat-1"), TEXT),
    observed=st.booleans(),
    kuberay=st.booleans(),
    child_refusal=st.none() | FINDINGS.filter(lambda it: api.PLACED in it.reason.conditions),
    ray_service=st.none() | SERVICES,
    pods=st.lists(st.sampled_from(ALL_PODS), unique_by=lambda it: it.name).map(tuple),
    engines=st.none() | st.builds(Engines, st.integers(0, 3), IDS),
    submission=st.none()
    | st.builds(
        Submission,
        cluster=st.sampled_from(["chat-old", "chat-new"]),
        status=STATUSES,
        taken=st.booleans(),
        words=TEXT,
    ),
    retry=st.none()
    | st.builds(Retry, st.sampled_from(["chat-old", "chat-new"]), TEXT, st.integers(1, 9)),
    probe=st.none() | st.builds(Probe, IDS, TEXT),
    error=st.none() | st.builds(PassError, TEXT, st.sampled_from([None, NOW])),
    addresses=st.sampled_from([(), (("openai", "http://chat"),)]),
    scaling=st.none() | st.builds(ScalingDecision, st.just("Holding"), TEXT),
)
WAITS = st.timedeltas(timedelta(0), timedelta(hours=2))


def by_type(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in status["conditions"]}


@settings(max_examples=50, deadline=None)
@given(passes=st.lists(st.tuples(OUTCOMES, WAITS), min_size=1, max_size=4))
def test_along_any_history(passes: list[tuple[Outcome, timedelta]]) -> None:
    status: dict[str, Any] = {}
    now = NOW
    for outcome, wait in passes:
        now += wait
        new = summarize(outcome, status, now)
        check_shape(new)
        check_sense(new, outcome)
        check_times(status, new)
        assert summarize(outcome, status, now) == new
        assert worth_writing(new, status, 0.0) or by_type(new).keys() == by_type(status).keys()
        events = transitions(status, new)
        assert len(events) <= 5
        assert all(event.reason in REASONS for event in events)
        assert transitions(new, new) == []
        if given_up(outcome, status, now):
            assert outcome.has_way_back
        if needs_probe(outcome):
            assert outcome.replicas.maximum > 0
        status = new


def check_shape(status: dict[str, Any]) -> None:
    text = json.dumps(status)
    ModelDeploymentStatus.model_validate_json(text)
    assert len(text) < 32_768
    assert [item["type"] for item in status["conditions"]] == list(ConditionType)
    for item in status["conditions"]:
        assert item["reason"] in REASONS
        assert 0 < len(item["message"]) <= LONGEST_MESSAGE
        assert item["message"].isprintable()


def check_sense(status: dict[str, Any], outcome: Outcome) -> None:
    found = {kind: item["status"] for kind, item in by_type(status).items()}
    assert not (found[api.RECONCILING] == "True" and found[api.STALLED] == "True")
    if found[api.READY] == "True":
        assert found[api.STALLED] == "False"
        assert all(found[kind] == "True" for kind in api.NEEDED_FOR_READY)
        assert not outcome.deleting
    elif not (outcome.suspended or outcome.paused):
        # whoever waits for Ready is told what is waited for, or who must act
        assert "True" in (found[api.RECONCILING], found[api.STALLED])
    if found[api.SERVING] != "True" and outcome.observed:
        assert status["readyReplicas"] == 0
    if rolled_out(outcome) and outcome.ray_service is not None:
        assert outcome.ray_service.observed


def check_times(old: dict[str, Any], new: dict[str, Any]) -> None:
    for kind, item in by_type(new).items():
        former = by_type(old).get(kind) if old else None
        if former is not None and former["status"] == item["status"]:
            assert item["lastTransitionTime"] == former["lastTransitionTime"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KEYS = ("conditions", "plan", "workloads", "desiredReplicas", "observedGeneration", "replicas")


@settings(deadline=None)
@given(
    situation=st.sampled_from(SITUATIONS),
    old=st.dictionaries(st.sampled_from(KEYS), JSON),
    odd=st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from([*ConditionType])},
            optional={
                "status": JSON,
                "reason": JSON,
                "message": JSON,
                "lastTransitionTime": JSON,
                "observedGeneration": JSON,
            },
        )
    ),
)
def test_a_former_status_that_is_nonsense_is_no_error(
    situation: Any, old: dict[str, Any], odd: list[Any]
) -> None:
    for former in (old, {**old, "conditions": odd}):
        status = summarize(situation.outcome, former, NOW)
        assert len(status["conditions"]) == 7
        transitions(former, status)
        worth_writing(status, former, 0.0)
