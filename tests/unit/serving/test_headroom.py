"""Headrooms are tried on paper, and the cheapest that keeps its word decides."""

from __future__ import annotations

import random
from collections.abc import Iterable

from freehold.serving.autoscaling.headroom import (
    PACES,
    RULES,
    Load,
    Trials,
    _pace,
    after,
    begin,
    best,
    for_backlog,
    held,
)

COLD_START = 60.0


def load(now: float, work: float, late: float = 0.0, ready: int = 5, most: int = 50) -> Load:
    return Load(now, 2.0, work, 10 * work, late, ready, COLD_START, 2.0, 1, most)


def tried(work: Iterable[float], late: float = 0.0, ready: int = 5) -> Trials:
    found = begin(0.0, ready)
    for index, it in enumerate(work):
        found = after(found, load(2.0 * (index + 1), it, late, ready))
    return found


def headroom(trials: Trials) -> float:
    rule = RULES[best(trials, COLD_START)]
    return rule.headroom + rule.restless / 2


def test_at_first_it_is_careful_and_where_load_is_calm_it_becomes_cheaper() -> None:
    calm = [4.0] * 5000
    assert headroom(tried(calm[:10])) > 1.3
    assert headroom(tried(calm)) < headroom(tried(calm[:10]))


def test_a_load_that_jumps_gets_more_headroom_than_a_calm_one() -> None:
    rng = random.Random(1)
    restless: list[float] = []
    while len(restless) < 5000:
        restless += [rng.choice((2.0, 5.0))] * rng.randint(40, 120)
    mean = sum(restless) / len(restless)
    assert headroom(tried(restless)) > headroom(tried([mean] * 5000))


def test_where_replicas_were_late_in_truth_those_on_paper_are_slower() -> None:
    def pace(late: float) -> float:
        trials = tried([4.6] * 4000, late=late)
        papers = [it.late for it in trials.mirrors]
        assert papers == sorted(papers, reverse=True)
        return PACES[_pace(trials)]

    assert pace(0.0) == 1.0
    assert pace(46.0) < 0.95


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


def restless() -> list[float]:
    rng, found = random.Random(2), list[float]()
    while len(found) < 8000:
        found += [rng.choice((3.0, 4.0, 5.0))] * rng.randint(40, 120)
    return found


def test_a_day_that_went_well_may_cost_a_leaner_rule_and_a_bad_one_a_more_careful() -> None:
    trials = tried(restless())
    well, badly = (trials._replace(late=it * trials.requests) for it in (0.0, 0.03))
    assert headroom(well) < headroom(badly)


def test_what_as_many_as_are_allowed_cannot_answer_speaks_against_no_rule() -> None:
    found = begin(0.0, 2)
    for index in range(2000):
        found = after(found, load(2.0 * (index + 1), 4.0, most=2))
    assert max(it.late for it in found.fleets) < 0.1 * found.requests
