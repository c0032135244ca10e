"""What a token costs is found again in what replicas of known physics did."""

from __future__ import annotations

import random

import pytest

from freehold.serving.autoscaling.rates import Rates, StepCost, Work, full_batch

TRUE = StepCost(step=0.015, prompt=6e-5, sequence=4e-5, kv=0.02)


# of one core, where a sequence costs thirty times what anybody would believe of a GPU
CORE = StepCost(step=0.025, prompt=7e-4, sequence=1.5e-3, kv=0.035)


def done(seed: int, looks: int, batch: tuple[int, int] = (5, 200), true: StepCost = TRUE) -> Rates:
    """Return what is learned of engines that run now few sequences and now many."""
    rng, rates = random.Random(seed), Rates()
    for _ in range(looks):
        steps, sequences = rng.randint(20, 80), rng.randint(*batch)
        prompt, kv = steps * rng.uniform(0, 300), steps * sequences / 300 * rng.uniform(0.7, 1.3)
        work = (float(steps), prompt, float(steps * sequences), kv)
        busy = sum(cost * it for cost, it in zip(true.terms, work, strict=True))
        rates = rates.after(Work(busy * rng.uniform(0.98, 1.02), *work))
    return rates


def test_the_costs_of_a_token_are_learned_in_a_minute() -> None:
    learned = done(1, 60).cost(StepCost())
    for batch, kv in ((256, 0.003), (64, 0.01)):
        ours, theirs = learned.token_costs(batch, kv), TRUE.token_costs(batch, kv)
        assert ours == pytest.approx(theirs, rel=0.2)


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_a_prior_that_is_wrong_is_forgotten(wrong: float) -> None:
    prior = StepCost(*(it * wrong for it in TRUE.terms))
    learned = done(2, 300).cost(prior)
    assert learned.token_costs(128, 0.005) == pytest.approx(TRUE.token_costs(128, 0.005), rel=0.1)


def test_a_prior_that_is_wrong_by_far_is_forgotten_in_minutes() -> None:
    learned = done(3, 300, batch=(1, 16), true=CORE).cost(StepCost())
    ours, theirs = (it.token_costs(16, 1 / 300) for it in (learned, CORE))
    assert ours == pytest.approx(theirs, rel=0.1)


def test_before_anything_was_done_the_prior_stands() -> None:
    assert Rates().cost(TRUE).terms == pytest.approx(TRUE.terms)
    assert Rates().after(Work()) == Rates()


def test_no_cost_is_negative_whatever_was_told() -> None:
    rates = Rates()
    for busy, steps in ((5.0, 1.0), (0.1, 100.0), (3.0, 2.0)):
        rates = rates.after(Work(busy, steps, 10.0 * steps, 3.0 * steps, 0.1 * steps))
    assert all(it >= 0 for it in rates.cost(StepCost()).terms)


def test_a_full_replica_is_full_by_its_seats_or_by_its_kv_cache() -> None:
    assert full_batch(256, 0.001) == 256
    assert full_batch(256, 0.01) == pytest.approx(92)
    assert full_batch(256, 0.0) == 256
    assert full_batch(256, 5.0) == 1
