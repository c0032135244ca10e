"""What status says of every situation that a model can be in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.status.situations import (
    ANSWERED,
    ASLEEP,
    COMING,
    ENGINES,
    FRESH,
    LATER,
    NOW,
    SERVED,
    SERVES,
    SITUATIONS,
    Situation,
    application,
    beside,
    cluster,
    condition,
    refused,
    rolling,
    service,
    status_of,
    with_pod,
)

from freehold.api import conditions as api
from freehold.api.conditions import REASONS, ConditionType
from freehold.api.status import LONGEST_MESSAGE, ModelDeploymentStatus
from freehold.status.outcome import (
    Engines,
    Outcome,
    PassError,
    Probe,
    Replicas,
    ScalingDecision,
    Submission,
)
from freehold.status.scaling import read_scaling
from freehold.status.serving import needs_probe, rolled_out

EVERY = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda it: it.sentence)
EVENTS_ALONE = {api.ROLLED_OUT.name, api.SCALED_EVENT.name}


def by_type(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in status["conditions"]}


def told(status: dict[str, Any], kind: ConditionType) -> tuple[str, str]:
    found = by_type(status)[kind]
    return found["status"], found["reason"]


@EVERY
def test_ready_names_the_root_cause(situation: Situation) -> None:
    status, reason = situation.ready
    assert told(situation.status(), api.READY) == (status, reason.name)


@EVERY
def test_facts_bear_their_own_reasons(situation: Situation) -> None:
    found = by_type(situation.status())
    facts = {found[kind]["reason"] for kind in (*api.NEEDED_FOR_READY, api.SCALED)}
    assert {reason.name for reason in situation.facts} <= facts
    for kind in (*api.NEEDED_FOR_READY, api.SCALED):
        reason = REASONS[found[kind]["reason"]]
        assert found[kind]["status"] == reason.status
        assert kind in reason.conditions


@EVERY
def test_reconciling_and_stalled_say_who_is_at_work(situation: Situation) -> None:
    status = situation.status()
    both = [told(status, kind) for kind in (api.RECONCILING, api.STALLED)]
    true = [reason for state, reason in both if state == "True"]
    assert len(true) <= 1
    if situation.why is not None:
        assert true == [situation.why.name]
    if told(status, api.READY)[0] == "True":
        assert told(status, api.STALLED)[0] == "False"


@EVERY
def test_the_status_is_what_the_crd_allows(situation: Situation) -> None:
    status = situation.status()
    parsed = ModelDeploymentStatus.model_validate_json(json.dumps(status))
    assert parsed.to_dict() == status
    assert [item["type"] for item in status["conditions"]] == list(ConditionType)
    for item in status["conditions"]:
        assert 0 < len(item["message"]) <= LONGEST_MESSAGE
        assert item["message"][-1] in ".…", item["message"]
        assert item["observedGeneration"] <= situation.outcome.generation


@EVERY
def test_a_second_pass_that_learns_the_same_changes_nothing(situation: Situation) -> None:
    first = situation.status()
    assert status_of(situation.outcome, situation.now, first) == first


@EVERY
def test_the_same_is_told_in_the_same_bytes(situation: Situation) -> None:
    assert json.dumps(situation.status()) == json.dumps(situation.status())


def test_every_documented_reason_is_told_in_some_situation_and_no_other() -> None:
    told_of = {item["reason"] for it in SITUATIONS for item in it.status()["conditions"]}
    assert told_of | EVENTS_ALONE == REASONS.keys()


def test_numbers_revisions_and_address_stand_where_kubectl_looks_for_them() -> None:
    outcome = replace(SERVES, replicas=Replicas(1, 4), engines=Engines(3, ENGINES.running))
    status = status_of(outcome)
    assert (status["replicas"], status["readyReplicas"], status["desiredReplicas"]) == (1, 1, 3)
    assert status["selector"] == "freehold.dev/model=chat"
    assert (status["currentRevision"], status["updateRevision"]) == ("chat-1", "chat-1")
    assert status["addresses"] == [{"name": "openai", "url": "http://chat.models.svc:8000/v1"}]
    workload = {"name": "chat", "kind": "RayService", "revision": "chat-1", "ready": True}
    assert status["workloads"] == [workload]
    assert status["plan"]["accelerator"] == "h100-80gb"


def test_what_the_scale_of_serve_exceeds_is_cut_to_the_bounds_of_the_spec() -> None:
    outcome = replace(SERVES, replicas=Replicas(2, 2), engines=Engines(5, ENGINES.running))
    assert status_of(outcome)["desiredReplicas"] == 2


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    before = status_of(with_pod(), NOW)
    after = status_of(with_pod(unschedulable="no GPU"), LATER, before)
    for kind in (api.READY, api.PLACED):
        assert by_type(after)[kind]["lastTransitionTime"] == "2026-11-23T09:00:00Z"
        assert by_type(after)[kind]["reason"] == api.UNSCHEDULABLE.name
    served = status_of(SERVES, LATER, before)
    assert by_type(served)[api.READY]["lastTransitionTime"] == "2026-11-23T10:00:00Z"
    assert by_type(served)[api.PLANNED]["lastTransitionTime"] == "2026-11-23T09:00:00Z"


def test_what_a_pass_did_not_get_to_keeps_its_state_and_its_generation() -> None:
    blind = Outcome("chat", 2, assessed=False, observed=False, error=PassError("503"))
    status = status_of(blind, LATER, SERVED)
    assert status["observedGeneration"] == 1
    assert by_type(status)[api.SERVING] == by_type(SERVED)[api.SERVING]
    assert by_type(status)[api.RECONCILING]["observedGeneration"] == 2
    for key in ("plan", "currentRevision", "replicas", "readyReplicas", "workloads"):
        assert status[key] == SERVED[key]


def test_a_message_of_any_length_is_cut() -> None:
    status = status_of(refused(api.INVALID_SPEC, "x" * 100_000 + "\n\x1b[31mred"))
    message = by_type(status)[api.PLANNED]["message"]
    assert len(message) == LONGEST_MESSAGE and message.endswith("…")
    assert len(json.dumps(status)) < 16_384


def test_a_deadline_that_passed_stays_passed_until_something_changes() -> None:
    waiting = with_pod(unschedulable="no GPU")
    began = status_of(waiting, NOW)
    late = status_of(waiting, LATER, began)
    assert told(late, api.STALLED) == ("True", api.PROGRESS_DEADLINE_EXCEEDED.name)
    later = LATER + timedelta(days=1)
    assert told(status_of(waiting, later, late), api.STALLED)[0] == "True"
    moved = status_of(with_pod(), later, late)
    assert told(moved, api.RECONCILING) == ("True", api.PODS_STARTING.name)
    edited = status_of(replace(waiting, generation=2), later, late)
    assert told(edited, api.STALLED)[0] == "False"


def test_the_deadline_counts_from_the_present_rollout() -> None:
    first = status_of(rolling("NewCluster"), NOW - timedelta(hours=2), SERVED)
    assert told(status_of(beside(), NOW, first), api.STALLED)[0] == "False"
    overdue = status_of(beside(), NOW + timedelta(minutes=31), first)
    assert told(overdue, api.STALLED)[0] == "True"


def test_a_retried_error_is_never_overdue_by_itself() -> None:
    failing = replace(SERVES, error=PassError("the API server answers 429", LATER))
    first = status_of(failing, NOW, SERVED)
    status = status_of(failing, NOW + timedelta(days=1), first)
    assert told(status, api.RECONCILING) == ("True", api.RETRYING.name)
    assert told(status, api.READY) == ("True", api.ANSWERS.name)


def test_waking_that_takes_a_request_with_it_is_not_forgotten() -> None:
    awake = replace(ASLEEP, engines=ENGINES, probe=Probe(ENGINES.running, "HTTP 500"))
    assert told(status_of(awake), api.READY) == ("False", api.ENDPOINT_UNANSWERED.name)
    assert told(status_of(replace(awake, probe=ANSWERED)), api.READY)[0] == "True"


def test_what_keeps_a_wake_from_going_on_is_told() -> None:
    crashing = replace(
        ASLEEP, engines=Engines(1), pods=(*ASLEEP.pods, *with_pod(unschedulable="no GPU").pods)
    )
    status = status_of(crashing, LATER, status_of(ASLEEP))
    assert told(status, api.READY) == ("True", api.WAKING.name)
    assert "the scheduler says: no GPU." in by_type(status)[api.READY]["message"]
    assert told(status, api.SCALED) == ("False", api.UNSCHEDULABLE.name)


def test_serve_s_traceback_is_told_in_its_last_line() -> None:
    text = 'Traceback (most recent call last):\n  File "x"\nValueError: too long\n'
    failed = service(cluster("chat-old", application("DEPLOY_FAILED", text)))
    message = by_type(status_of(replace(SERVES, ray_service=failed)))[api.READY]["message"]
    assert message.endswith("ValueError: too long. 1 replica of before still runs.")


@pytest.mark.parametrize(
    ("kind", "cost"),
    [
        ("InPlace", "which Serve takes in place"),
        ("NewReplicas", "for which every replica starts anew"),
        ("NewCluster", "for which a new cluster is built"),
    ],
)
def test_what_waits_for_the_pause_to_end_is_told_with_what_it_costs(kind: str, cost: str) -> None:
    found = by_type(status_of(replace(rolling(kind), paused=True), old=SERVED))
    for item in (found[api.READY], found[api.RECONCILING]):
        assert item["reason"] == api.PAUSED.name
        assert f"a change of the spec waits, {cost}: spec.engine.args" in item["message"]


def test_a_scaling_decision_stays_until_another_is_heard_of() -> None:
    scaled = replace(SERVES, replicas=Replicas(1, 4), scaling=ScalingDecision("Holding", "5 wait."))
    told_once = status_of(scaled)
    assert told_once["scaling"] == {"reason": "Holding", "message": "5 wait.", "starting": 0}
    silent = replace(scaled, scaling=None)
    assert status_of(silent, LATER, told_once)["scaling"] == told_once["scaling"]
    asleep = replace(silent, replicas=Replicas(0, 0))
    assert "scaling" not in status_of(asleep, LATER, told_once)


LEARNED = {
    "promptTokensPerSecond": 9000,
    "generatedTokensPerSecond": 700,
    "coldStart": "95s",
}


def test_the_load_is_told_with_the_decision() -> None:
    told = {
        "reason": "ScalingUp",
        "message": "2 are wanted.",
        "queued": 14,
        "running": 16,
        "desired": 2,
        "ready": 1,
        "learned": LEARNED,
    }
    engines = Engines(2, frozenset({"a"}), starting=1)
    status = status_of(
        replace(SERVES, engines=engines, scaling=read_scaling(json.dumps({"seen": [], **told})))
    )
    assert status["scaling"] == {**told, "starting": 1}
    waking = replace(SERVES, engines=Engines(1, starting=1), scaling=None)
    assert status_of(waking, LATER, status)["scaling"]["learned"] == LEARNED


@pytest.mark.parametrize(
    ("learned", "taken"),
    [
        ({"promptTokensPerSecond": 1, "generatedTokensPerSecond": 2}, True),
        (LEARNED, True),
        ({"promptTokensPerSecond": 1}, False),
        ({"promptTokensPerSecond": "x", "generatedTokensPerSecond": 2}, False),
        (7, False),
    ],
)
def test_what_was_learned_is_told_whole_or_not_at_all(learned: object, taken: bool) -> None:
    line = json.dumps({"reason": "Holding", "message": "1 is.", "learned": learned})
    status = status_of(replace(SERVES, scaling=read_scaling(line)))
    assert status["scaling"].get("learned") == (learned if taken else None)


def test_from_zero_serve_does_not_ask_the_policy_whose_last_word_is_old() -> None:
    old = ScalingDecision("Holding", "0 replicas are wanted.", running=0, queued=0)
    waking = replace(ASLEEP, engines=Engines(1, starting=1), scaling=old)
    told = status_of(waking)["scaling"]
    message = "No replica runs yet and 1 replica is wanted."
    assert told == {"reason": "Waking", "message": message, "starting": 1}


@pytest.mark.parametrize("line", ["", "Traceback", "[]", '{"reason": "Holding"}', '{"reas'])
def test_a_line_that_is_none_of_the_policys_says_nothing(line: str) -> None:
    assert read_scaling(line) is None


def test_what_is_suspended_from_the_first_needs_no_plan() -> None:
    status = status_of(replace(FRESH, plan=None, suspended=True))
    assert told(status, api.READY) == ("False", api.SUSPENDED.name)
    assert told(status, api.RECONCILING) == ("False", api.SUSPENDED.name)


UNASKED = replace(SERVES, probe=None)
GONE_ON = replace(SERVES, engines=Engines(2, frozenset({"e1", "e2"})))


@pytest.mark.parametrize(
    ("outcome", "due"),
    [
        pytest.param(SERVES, False, id="all that run have answered"),
        pytest.param(UNASKED, True, id="none was asked"),
        pytest.param(GONE_ON, True, id="a new engine was not asked"),
        pytest.param(
            replace(SERVES, probe=Probe(ENGINES.running, "HTTP 500")), True, id="the last failed"
        ),
        pytest.param(ASLEEP, False, id="it sleeps: a request would wake it"),
        pytest.param(replace(UNASKED, replicas=Replicas(0, 0)), False, id="none is wanted"),
        pytest.param(FRESH, False, id="nothing is there"),
        pytest.param(COMING, False, id="no cluster serves"),
        pytest.param(replace(UNASKED, engines=None), True, id="Serve does not tell, unasked"),
        pytest.param(replace(SERVES, engines=None), False, id="Serve does not tell, answered"),
        pytest.param(
            replace(UNASKED, engines=None, replicas=Replicas(0, 4)),
            False,
            id="Serve does not tell, and it may sleep",
        ),
    ],
)
def test_engines_are_asked_when_they_are_new_and_never_woken(outcome: Outcome, due: bool) -> None:
    assert needs_probe(outcome) is due


RUNS = cluster("chat-old", application())


@pytest.mark.parametrize(
    ("outcome", "done"),
    [
        pytest.param(SERVES, True, id="it runs and has answered"),
        pytest.param(ASLEEP, True, id="it sleeps"),
        pytest.param(replace(SERVES, replicas=Replicas(0, 0), probe=None), True, id="none wanted"),
        pytest.param(UNASKED, False, id="it has not answered"),
        pytest.param(FRESH, False, id="there is no RayService"),
        pytest.param(COMING, False, id="its first cluster is pending"),
        pytest.param(
            replace(SERVES, submission=None), False, id="Serve does not answer at the moment"
        ),
        pytest.param(
            replace(SERVES, submission=None, engines=None), True, id="Serve has never answered"
        ),
        pytest.param(
            replace(SERVES, submission=Submission("chat-old", "RUNNING", taken=False)),
            False,
            id="what runs is the application of before",
        ),
        pytest.param(
            replace(SERVES, submission=Submission("chat-old", "DEPLOYING", taken=True)),
            False,
            id="Serve builds it, and KubeRay speaks of before",
        ),
        pytest.param(beside(), False, id="another cluster is pending"),
        pytest.param(
            replace(SERVES, ray_service=service(RUNS, generation=2)), False, id="not yet seen"
        ),
        pytest.param(
            replace(SERVES, ray_service=service(cluster("chat-old", application("DEPLOYING")))),
            False,
            id="Serve is deploying",
        ),
        pytest.param(
            replace(
                SERVES,
                ray_service=service(RUNS, None, condition("Ready", "False", "ValidationFailed")),
            ),
            False,
            id="KubeRay refuses it",
        ),
    ],
)
def test_a_rollout_is_done_when_all_of_it_runs_and_answers(outcome: Outcome, done: bool) -> None:
    assert rolled_out(outcome) is done
