"""Fleets on paper: what they keep, what they ask for, and what comes too late."""

from __future__ import annotations

from freehold.serving.autoscaling.paper import (
    Fleet,
    Load,
    Rule,
    Strength,
    followed,
    for_backlog,
    held,
    wanted,
)

COLD_START = 60.0
RULE = Rule(1.2, 0.0, 0, 1.0)
USUAL = Strength(1.0, 1.0)


def load(now: float, work: float, most: int = 50) -> Load:
    return Load(now, 2.0, work, 10 * work, 0.0, 5, COLD_START, 2.0, 1, most)


def follow(work: list[float], strength: Strength = USUAL, ready: int = 2) -> list[Fleet]:
    fleet, found = Fleet(ready, (), ((0.0, ready),), 0.0, 0.0, 0.0), []
    for index, it in enumerate(work):
        fleet = followed(fleet, RULE, (it, it), load(2.0 * index, it), strength, 1.0)
        found.append(fleet)
    return found


def test_of_the_last_seconds_the_greatest_counts() -> None:
    peaks = held((), 0.0, 5, 60.0)
    peaks = held(peaks, 30.0, 3, 60.0)
    assert peaks[0][1] == 5
    peaks = held(peaks, 61.0, 2, 60.0)
    assert peaks[0][1] == 3
    assert held(peaks, 62.0, 9, 60.0) == ((62.0, 9),)


def test_a_backlog_that_will_be_worked_off_in_time_asks_for_nothing() -> None:
    now = load(0.0, 0.0)
    assert for_backlog(9.0, 0.0, 5, (), now) == 0
    assert for_backlog(100.0, 1.0, 5, (), now) == 0
    assert for_backlog(1000.0, 1.0, 5, (), now) > 5


def test_who_comes_soon_counts_from_then_on() -> None:
    now = load(0.0, 0.0)
    alone = for_backlog(600.0, 4.0, 5, (), now)
    soon = for_backlog(600.0, 4.0, 5, ((10.0, 5),), now)
    late = for_backlog(600.0, 4.0, 5, ((55.0, 5),), now)
    assert soon < late <= alone


def test_a_small_load_gets_relatively_more_of_a_restless_rule() -> None:
    restless = Rule(1.0, 0.6, 0, 1.0)
    assert wanted(restless, (1.0,)) == 2
    assert wanted(restless, (25.0,)) == 28


def test_replicas_come_a_cold_start_after_they_were_asked_for() -> None:
    fleets = follow([1.5] * 5 + [4.0] * 40)
    ready = [it.ready for it in fleets]
    assert ready[5:35] == [2] * 30
    assert ready[35] >= 5
    assert sum(count for _, count in fleets[5].coming) == 3


def test_what_is_asked_meanwhile_is_late_as_soon_as_more_waits_than_may() -> None:
    late = [it.late for it in follow([1.5] * 5 + [4.0] * 40)]
    assert late[5] == 0
    assert 0 < late[7] < late[30]
    assert late[44] < 40 * 40
    patient = [it.late for it in follow([1.5] * 5 + [4.0] * 40, Strength(1.0, 8.0))]
    assert patient[7] == 0 < patient[30] < late[30]


def test_none_goes_before_it_was_not_needed_for_a_cold_start() -> None:
    numbers = [it.ready for it in follow([4.0] * 60 + [1.0] * 60, ready=5)]
    gone = next(index for index in range(120) if numbers[index] < 5)
    assert 2.0 * (gone - 60) >= COLD_START - 2.0
    assert numbers[-1] == 2


def test_none_goes_while_requests_are_late() -> None:
    fleets = follow([9.0] * 20 + [1.0] * 60)
    late = [index for index in range(1, 80) if fleets[index].late > fleets[index - 1].late]
    assert late[-1] > 30
    assert fleets[late[-1]].ready == max(it.ready for it in fleets)
