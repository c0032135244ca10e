"""Every reason is documented so that somebody who reads it knows what to do."""

from __future__ import annotations

import re

import pytest

from freehold.api import conditions as api
from freehold.api.conditions import CONDITIONS, REASONS, Actor, ConditionType, Reason

EVERY_REASON = pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS.keys())
OF_FACTS = [it for it in REASONS.values() if set(it.conditions) & {*api.NEEDED_FOR_READY}]


@EVERY_REASON
def test_a_reason_is_a_word_with_sentences(reason: Reason) -> None:
    # the pattern of metav1.Condition, and short enough for a column of kubectl
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason.name)
    assert len(reason.name) <= len("ProgressDeadlineExceeded")
    for sentence in (reason.meaning, reason.runbook):
        assert sentence.endswith(".") and len(sentence) > len("Nothing")
        assert "\n" not in sentence


@EVERY_REASON
def test_who_must_act_is_told_what_to_do(reason: Reason) -> None:
    if reason.actor is not Actor.NOBODY:
        assert reason.runbook != "Nothing."
    if reason.stalls:
        assert reason.actor is not Actor.NOBODY


@pytest.mark.parametrize("reason", OF_FACTS, ids=lambda it: it.name)
def test_only_what_fails_can_stall(reason: Reason) -> None:
    assert reason.status in {"True", "False", "Unknown"}
    assert not (reason.holds and reason.stalls)


def test_every_constant_stands_under_its_own_name() -> None:
    constants = [value for value in vars(api).values() if isinstance(value, Reason)]
    assert len(REASONS) == len(constants)


def test_every_condition_is_explained() -> None:
    assert list(CONDITIONS) == list(ConditionType)
    for meaning in CONDITIONS.values():
        assert meaning.when_true.endswith(".") and meaning.when_false.endswith(".")
