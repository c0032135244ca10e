"""When a status is written, and which Events tell of it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.status.situations import (
    ASLEEP,
    BACK,
    BROKEN,
    COMING,
    ENGINES,
    FRESH,
    GIVEN_UP,
    LATER,
    NOW,
    ROLLED,
    SERVED,
    SERVES,
    SITUATIONS,
    SLEPT,
    TWO,
    WAITED,
    Situation,
    beside,
    refused,
    rolling,
    status_of,
    with_pod,
)

from freehold.api import conditions as api
from freehold.api.conditions import REASONS
from freehold.status.changes import EventToPost, transitions, worth_writing
from freehold.status.outcome import Engines, Replicas, ScalingDecision

Status = dict[str, Any]


def with_message(status: Status, message: str) -> Status:
    changed = deepcopy(status)
    changed["conditions"][0]["message"] = message
    return changed


def with_scaling(text: str) -> Status:
    decided = replace(SERVES, replicas=Replicas(1, 4), scaling=ScalingDecision("Holding", text))
    return status_of(decided, old=SERVED)


AT_ONCE = [
    ("there was none", {}, SERVED),
    ("a condition changed its status", status_of(COMING), SERVED),
    ("a condition changed its reason", status_of(with_pod()), WAITED),
    (
        "more replicas are wanted",
        SERVED,
        status_of(replace(SERVES, replicas=TWO, engines=Engines(2, ENGINES.running)), old=SERVED),
    ),
    ("a replica more answers", SERVED, SERVED | {"readyReplicas": 2}),
    ("another revision serves", SERVED, SERVED | {"currentRevision": "chat-2"}),
    ("another plan was made", SERVED, SERVED | {"plan": SERVED["plan"] | {"tensor": 4}}),
    ("a new generation was seen", SERVED, status_of(replace(SERVES, generation=2), old=SERVED)),
    ("what stands there is no status at all", {"conditions": "nonsense"}, SERVED),
]
ONCE_A_MINUTE = [
    ("a message changed", SERVED, with_message(SERVED, "Another number.")),
    ("the scaling decision has other words", with_scaling("5 wait."), with_scaling("6 wait.")),
]


@pytest.mark.parametrize(("old", "new"), [it[1:] for it in AT_ONCE], ids=[it[0] for it in AT_ONCE])
def test_what_is_acted_on_is_written_at_once(old: Status, new: Status) -> None:
    assert worth_writing(new, old, 0.0)


@pytest.mark.parametrize(
    ("old", "new"), [it[1:] for it in ONCE_A_MINUTE], ids=[it[0] for it in ONCE_A_MINUTE]
)
def test_words_alone_are_written_once_a_minute(old: Status, new: Status) -> None:
    assert not worth_writing(new, old, 59.9)
    assert worth_writing(new, old, 60.0)


def test_an_equal_status_is_never_written() -> None:
    assert not worth_writing(deepcopy(SERVED), SERVED, 1e9)


FINISHED = replace(SERVES, generation=2, current_revision="chat-2", update_revision="chat-2")
EVENTS = [
    ("it begins", {}, status_of(FRESH), [("Normal", api.CREATING)]),
    ("it is refused", {}, status_of(refused(api.NOTHING_FITS)), [("Warning", api.NOTHING_FITS)]),
    ("no node takes it", status_of(FRESH), WAITED, [("Warning", api.UNSCHEDULABLE)]),
    ("Serve begins to deploy", status_of(FRESH), status_of(COMING), [("Normal", api.DEPLOYING)]),
    (
        "it serves for the first time",
        status_of(COMING),
        SERVED,
        [("Normal", api.ROLLED_OUT), ("Normal", api.ANSWERS)],
    ),
    ("a rollout begins", SERVED, ROLLED, [("Normal", api.BUILDING_NEW_CLUSTER)]),
    ("a rollout ends", ROLLED, status_of(FINISHED, old=ROLLED), [("Normal", api.ROLLED_OUT)]),
    (
        "nothing answers while a rollout fails",
        status_of(BROKEN, old=SERVED),
        status_of(replace(BROKEN, engines=Engines(1)), old=status_of(BROKEN, old=SERVED)),
        [("Warning", api.DEPLOY_FAILED)],
    ),
    (
        "a rollout is given up",
        ROLLED,
        status_of(BACK, old=ROLLED),
        [("Warning", api.ROLLED_BACK)],
    ),
    (
        "a rollout is given up and the former revision has to come up again",
        ROLLED,
        status_of(replace(COMING, **GIVEN_UP), old=ROLLED),
        [("Warning", api.DEPLOYING), ("Warning", api.ROLLED_BACK)],
    ),
    (
        "the revision that was gone back to serves again",
        status_of(replace(COMING, **GIVEN_UP), old=ROLLED),
        status_of(BACK, old=status_of(replace(COMING, **GIVEN_UP), old=ROLLED)),
        [],
    ),
    (
        "a spec is applied after one that was given up",
        status_of(BACK, old=ROLLED),
        status_of(replace(rolling("NewCluster"), generation=3), old=status_of(BACK, old=ROLLED)),
        [("Normal", api.BUILDING_NEW_CLUSTER), ("Normal", api.ANSWERS)],
    ),
    (
        "no node for too long",
        WAITED,
        status_of(with_pod(unschedulable="0/3 nodes are available"), LATER, WAITED),
        [("Warning", api.PROGRESS_DEADLINE_EXCEEDED)],
    ),
    (
        "a rollout takes too long",
        ROLLED,
        status_of(beside(), LATER, ROLLED),
        [("Warning", api.PROGRESS_DEADLINE_EXCEEDED)],
    ),
    (
        "it falls asleep",
        SERVED | {"desiredReplicas": 1},
        SLEPT,
        [("Normal", api.SCALED_TO_ZERO), ("Normal", api.SCALED_EVENT)],
    ),
    (
        "it wakes",
        SLEPT,
        status_of(replace(ASLEEP, engines=Engines(1)), old=SLEPT),
        [("Normal", api.WAKING), ("Normal", api.SCALED_EVENT)],
    ),
    (
        "no engine runs any more",
        SERVED,
        status_of(replace(SERVES, engines=Engines(1)), old=SERVED),
        [("Warning", api.DEPLOYING)],
    ),
    (
        "it is deleted",
        SERVED,
        status_of(replace(SERVES, deleting=True), old=SERVED),
        [("Normal", api.DELETING)],
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [it[1:] for it in EVENTS], ids=[it[0] for it in EVENTS]
)
def test_a_transition_is_an_event(old: Status, new: Status, expected: list[Any]) -> None:
    events = transitions(old, new)
    assert [(it.type, it.reason) for it in events] == [(kind, it.name) for kind, it in expected]
    assert all(it.reason in REASONS and 0 < len(it.message) <= 1024 for it in events)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda it: it.sentence)
def test_without_a_transition_there_is_no_event(situation: Situation) -> None:
    first = situation.status()
    again = status_of(situation.outcome, situation.now, first)
    assert transitions(first, again) == []


def test_an_event_tells_what_changed() -> None:
    two = replace(SERVES, replicas=TWO, engines=Engines(2, ENGINES.running))
    (event,) = transitions(SERVED, status_of(two, NOW, SERVED))
    words = "From 1 to 2 replicas. 1 of 2 replicas runs; 1 to come."
    assert event == EventToPost("Normal", "ReplicasChanged", words)


def test_a_rollout_is_told_with_what_it_means() -> None:
    rollout = rolling("NewReplicas")
    (event,) = transitions(SERVED, status_of(rollout, old=SERVED))
    assert event == EventToPost("Normal", "ReplacingReplicas", "spec.engine.args changes.")
