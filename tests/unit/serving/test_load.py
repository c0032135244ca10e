"""The load is measured in replicas that it keeps busy, whoever of them tells something."""

from __future__ import annotations

import pytest

from freehold.serving.autoscaling.load import Came, Measured, Mix, Replica, first_look, measure
from freehold.serving.autoscaling.rates import StepCost, Work

COST = StepCost(step=0.02, prompt=1e-4, sequence=1e-4, kv=0.0)
SPAN = 2.0


def replica(name: str = "r", running: float = 0.0, waiting: float = 0.0, **did: float) -> Replica:
    work = Work(
        did.get("busy", 0.0),
        did.get("steps", 0.0),
        did.get("prompt", 0.0),
        did.get("generated", 0.0),
        did.get("kv", 0.0),
    )
    kv = running * 0.001
    return Replica(name, running, waiting, kv, did.get("finished", 0.0), did.get("late", 0.0), work)


def after(before: Measured, *replicas: Replica, queued: float = 0.0) -> tuple[Measured, Came]:
    return measure(before, queued, replicas, SPAN, 64, COST)


def test_what_ends_and_what_is_under_way_more_has_come() -> None:
    before = first_look(3.0, (replica(running=10, waiting=2),))
    _, came = after(before, replica(running=12, waiting=1, finished=4), queued=5.0)
    assert came.requests == 4 + 2 - 1 + 2


def test_a_new_replica_and_one_that_is_gone_change_nothing_by_that_alone() -> None:
    before = first_look(0.0, (replica("a", running=10), replica("b", running=20, finished=900)))
    _, came = after(before, replica("a", running=10), replica("c", running=30, finished=500))
    assert came.requests == 0
    assert came.work == 0


def test_one_whose_counters_went_back_has_begun_again() -> None:
    before = first_look(0.0, (replica(running=3, finished=900, prompt=5000),))
    _, came = after(before, replica(running=1, finished=2, prompt=100))
    assert came == Came(0.0, 0.0, 0.0)


def test_prompts_count_where_they_are_prefilled_and_while_they_wait() -> None:
    measured, came = after(first_look(0.0, (replica(),)), replica(running=2, prompt=4000))
    assert came.work >= 4000 * COST.prompt / SPAN
    # ten more of the mean length wait
    _, waiting = after(measured, replica(running=2, waiting=10, prompt=4000))
    assert waiting.work >= 10 * 2000 * COST.prompt / SPAN


def test_answers_are_as_long_as_what_was_generated_for_each_that_ended() -> None:
    assert Mix(finished=99, generated=19_800).mean_output == 200
    # long before one of the longer answers has ended
    assert Mix(finished=99, generated=99_800).mean_output == 1000


def test_a_steady_load_keeps_as_many_busy_as_its_tokens_cost() -> None:
    measured = first_look(0.0, (replica(),))
    for look in range(1, 600):
        # 8 requests a second of 500 tokens in and 100 out, 25 under way
        done, steps = 16.0 * look, 64.0 * look
        tokens = {"prompt": 500 * done, "generated": 100 * done, "kv": steps * 0.025}
        busy = COST.step * steps + COST.prompt * 500 * done + COST.sequence * 100 * done
        measured, came = after(
            measured, replica(running=25, finished=done, steps=steps, busy=busy, **tokens)
        )
    token = COST.step / 64 + COST.sequence
    assert came.work == pytest.approx(8 * (500 * COST.prompt + 100 * token), rel=0.05)


def test_a_model_that_sleeps_forgets_nothing() -> None:
    measured = first_look(0.0, (replica(),))
    measured, _ = after(measured, replica(running=4, finished=10, prompt=9000, generated=3000))
    before = measured.mix
    for _ in range(1000):
        measured, _ = after(measured)
    assert measured.mix.mean_output == pytest.approx(before.mean_output, rel=0.01)
