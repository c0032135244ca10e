"""Requests drawn from the traces: as many, as long and as bursty as those tell."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.autoscaling.clairvoyant import Work, kept, needed
from benchmarks.autoscaling.scenarios import _DAYS, SCENARIOS
from benchmarks.autoscaling.traffic import (
    DAY_S,
    at_rates,
    azure,
    clients,
    served,
    with_lengths_of,
)


def test_a_day_has_the_rate_that_is_asked_for() -> None:
    day = served("deepseek-r1", 0, rate=2.0, seed=1)
    assert len(day) / DAY_S == pytest.approx(2.0, rel=0.05)
    assert (np.diff(day.arrival) >= 0).all()
    assert 0 <= day.arrival[0] < day.arrival[-1] < DAY_S


def test_its_lengths_are_those_of_the_trace() -> None:
    day = served("deepseek-r1", 0, rate=3.0, seed=1)
    assert day.prompt.mean() == pytest.approx(1320, rel=0.15)
    assert day.output.mean() == pytest.approx(1397, rel=0.15)


def test_its_hours_differ_as_in_the_trace() -> None:
    day = served("deepseek-r1", 0, rate=5.0, seed=1)
    hours = np.bincount((day.arrival // 3600).astype(int), minlength=24)
    told = np.zeros(24)
    for windows in clients("deepseek-r1").values():
        for it in windows:
            told[int(it.begin // 3600)] += it.rate
    assert np.corrcoef(hours, told)[0, 1] > 0.98


def test_another_seed_is_another_day_and_the_same_the_same() -> None:
    one, same, other = (served("deepseek-r1", 0, 1.0, seed=it) for it in (1, 1, 2))
    assert (one.arrival == same.arrival).all()
    assert len(one) != len(other) or (one.arrival != other.arrival).any()


def test_scaled_prompts_are_longer_and_bounded() -> None:
    day = served("deepseek-r1", 0, 1.0, 1)
    long = served("deepseek-r1", 0, 1.0, 1, prompts=10.0, longest=30_000)
    assert (long.prompt == np.minimum(day.prompt * 10, 30_000)).all()


def test_azures_hours_are_whole() -> None:
    assert len(azure("code")) == 8819
    assert len(azure("conv")) == 19366
    assert azure("code").prompt.mean() == pytest.approx(2048, abs=1)


def test_lengths_of_another_trace_stay_together() -> None:
    pairs = {*zip(azure("code").prompt.tolist(), azure("code").output.tolist(), strict=True)}
    drawn = with_lengths_of(served("deepseek-r1", 0, 0.1, 1), azure("code"), 1)
    assert {*zip(drawn.prompt.tolist(), drawn.output.tolist(), strict=True)} <= pairs


def test_a_step_is_a_step() -> None:
    them = at_rates([(1000, 2.0), (1000, 16.0)], azure("conv"), 1)
    before, after = np.bincount((them.arrival // 1000).astype(int))
    assert after / before == pytest.approx(8, rel=0.15)


def test_development_and_test_share_no_day_and_no_client() -> None:
    development, test = (
        next(it for it in SCENARIOS if it.name == "reasoning-8b").requests(part, 1)
        for part in ("development", "test")
    )
    assert not np.array_equal(development.arrival[:100], test.arrival[:100])
    assert not set(_DAYS["development"]) & set(_DAYS["test"])


def test_replicas_are_kept_through_gaps_no_longer_than_a_start() -> None:
    need = np.array([2, 1, 1, 2, 1, 1, 1, 2])
    assert kept(need, gap=2).tolist() == [2, 2, 2, 2, 1, 1, 1, 2]


def test_as_many_are_needed_as_have_work() -> None:
    at_once = Work(np.array([10.0, 8.0, 4.0]), np.zeros(3), np.zeros(3))
    arrival = np.array([0.0, 1.0, 25.0])
    assert needed(arrival, at_once, window=10.0, utilisation=0.8).tolist() == [3, 1, 1]


def test_work_that_takes_time_is_needed_for_as_long() -> None:
    lasting = Work(np.zeros(2), np.array([40.0, 0.0]), np.array([20.0, 0.0]))
    arrival = np.array([0.0, 25.0])
    assert needed(arrival, lasting, window=10.0, utilisation=1.0).tolist() == [2, 2, 1]
