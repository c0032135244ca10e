"""Headrooms are tried on paper; the one decides whose replicas and late requests cost least."""

from __future__ import annotations

import random
from collections.abc import Iterable

from freehold.serving.autoscaling.headroom import (
    LATE,
    RULES,
    STRENGTHS,
    Trials,
    _strength,
    after,
    begin,
    best,
)
from freehold.serving.autoscaling.paper import Load, Strength

COLD_START = 60.0


def load(now: float, work: float, late: float = 0.0, ready: int = 5, most: int = 50) -> Load:
    return Load(now, 2.0, work, 10 * work, late, ready, COLD_START, 2.0, 1, most)


def tried(work: Iterable[float], late: float = 0.0, ready: int = 5) -> Trials:
    found = begin(0.0, ready)
    for index, it in enumerate(work):
        found = after(found, load(2.0 * (index + 1), it, late, ready))
    return found


def headroom(trials: Trials) -> float:
    rule = RULES[best(trials)]
    return rule.headroom + rule.restless / 2


def test_at_first_it_is_careful_and_where_load_is_calm_it_becomes_cheaper() -> None:
    calm = [4.0] * 5000
    assert headroom(tried(calm[:10])) > 1.25
    assert headroom(tried(calm)) < headroom(tried(calm[:10]))


def test_a_load_that_jumps_gets_more_headroom_than_a_calm_one() -> None:
    rng = random.Random(1)
    restless: list[float] = []
    while len(restless) < 5000:
        restless += [rng.choice((2.0, 5.0))] * rng.randint(40, 120)
    mean = sum(restless) / len(restless)
    assert headroom(tried(restless)) > headroom(tried([mean] * 5000))


def strength(late: float) -> Strength:
    trials = tried([4.6] * 4000, late=late)
    papers = [it.late for it in trials.mirrors]
    assert papers == sorted(papers, reverse=True)
    return STRENGTHS[_strength(trials)]


def test_replicas_on_paper_that_are_as_late_as_in_truth_are_the_usual_ones() -> None:
    assert strength(0.0) == Strength(1.0, 1.0)


def test_where_replicas_were_late_in_truth_those_on_paper_are_slower() -> None:
    assert strength(46.0).pace < 0.95


def test_where_replicas_took_up_more_than_they_worked_off_those_on_paper_have_patience() -> None:
    bursts = ([9.0] * 20 + [2.0] * 180) * 20
    trials = tried(bursts, late=0.0, ready=4)
    assert trials.mirrors[STRENGTHS.index(Strength(1.0, 1.0))].late > 0
    assert STRENGTHS[_strength(trials)].patience > 4


def restless() -> list[float]:
    rng, found = random.Random(2), list[float]()
    while len(found) < 8000:
        found += [rng.choice((2.0, 5.0))] * rng.randint(40, 120)
    return found


def test_a_day_that_went_well_may_cost_a_leaner_rule_and_a_bad_one_a_more_careful() -> None:
    trials = tried(restless())
    well, badly = (trials._replace(late=it * trials.requests) for it in (0.0, 2 * LATE))
    assert headroom(well) < headroom(badly)


def test_however_bad_a_day_was_a_late_request_has_a_price() -> None:
    trials = tried(restless())
    bad, worse = (trials._replace(late=it * trials.requests) for it in (2 * LATE, 20 * LATE))
    assert best(bad) == best(worse)


def test_what_every_rule_would_have_been_late_for_decides_nothing() -> None:
    trials = tried(restless())
    fleets = tuple(it._replace(late=it.late + 0.1 * trials.requests) for it in trials.fleets)
    assert best(trials._replace(fleets=fleets)) == best(trials)


def test_a_rule_stays_in_command_where_another_is_hardly_better() -> None:
    trials = tried(restless())
    best_one = trials.fleets[best(trials)]
    other = (best(trials) + 1) % len(RULES)
    for factor, stays in ((1.005, True), (1.05, False)):
        fleets = list(trials.fleets)
        fleets[other] = best_one._replace(cost=factor * best_one.cost)
        found = best(trials._replace(fleets=tuple(fleets), chosen=other))
        assert (found == other) == stays


def test_what_as_many_as_are_allowed_cannot_answer_speaks_against_no_rule() -> None:
    found = begin(0.0, 2)
    for index in range(2000):
        found = after(found, load(2.0 * (index + 1), 4.0, most=2))
    assert max(it.late for it in found.fleets) < 0.1 * found.requests
