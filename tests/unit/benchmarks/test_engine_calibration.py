"""Step times that are fitted to an engine's own counters."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.autoscaling.replica import StepTime
from benchmarks.autoscaling.traffic import Requests
from benchmarks.engine_bench.calibration import Decoding, decoded, fitted
from benchmarks.engine_bench.comparison import LOADS, requests_of, simulate

from freehold.serving.autoscaling.rates import Work

# the simulator is compiled once, by one process
pytestmark = pytest.mark.xdist_group("simulator")

STEP = StepTime(p0=25.0, p1=0.6, p2=8e-5, d0=30.0, d1=1.7, d2=9.0)
PROMPTS = [(tokens, STEP.seconds(tokens, 0, 0)) for tokens in (64, 256, 1024)]


def look(batch: int, context: int, steps: int = 50) -> Decoding:
    busy = steps * STEP.seconds(0, batch, context)
    return Decoding(busy, steps, steps * batch, steps * context)


LOOKS = [look(batch, batch * tokens) for batch in (1, 4, 16) for tokens in (50, 700)]


def test_step_times_are_found_again() -> None:
    found = fitted(PROMPTS, LOOKS)
    step = found.hardware.step
    for name in StepTime.__slots__:
        assert getattr(step, name) == pytest.approx(getattr(STEP, name)), name
    assert found.prefill_error == pytest.approx(0, abs=1e-9)
    assert found.decode_error == pytest.approx(0, abs=1e-9)
    assert found.looks == len(LOOKS)


def test_no_part_of_a_step_takes_less_than_no_time() -> None:
    falling = [(64, 0.1), (256, 0.3), (1024, 0.9)]  # a square that would be negative
    assert fitted(falling, LOOKS).hardware.step.p2 == 0


def test_looks_at_prompts_are_no_looks_at_decoding() -> None:
    begin = Work(busy=1.0, steps=10, prompt=100, generated=10)
    looks = [
        begin,
        begin._replace(busy=2.0, steps=11, prompt=300, generated=12),
        begin._replace(busy=3.0, steps=31, prompt=300, generated=52),
        begin._replace(busy=3.0, steps=31, prompt=300, generated=52),
    ]
    (found,) = decoded(begin, looks, prompt=100, many=2)
    assert (found.busy, found.steps, found.generated) == (1.0, 20, 40)
    # on the average the eleventh token of each attends to its prompt and those before
    assert found.context == 40 * (100 + (2 + 42) / 2 / 2)


def test_a_simulated_engine_takes_as_long_as_its_steps() -> None:
    hardware = fitted(PROMPTS, LOOKS).hardware
    one = Requests(np.array([3.0]), np.array([256]), np.array([2]))
    answered, busy = simulate(one, hardware)
    first, second = STEP.seconds(256, 0, 0), STEP.seconds(0, 1, 257)
    assert answered.first[0] - 3.0 == pytest.approx(first)
    assert answered.done[0] - 3.0 == pytest.approx(first + second)
    assert busy == pytest.approx(first + second)


def test_answers_stand_where_their_requests_do() -> None:
    hardware = fitted(PROMPTS, LOOKS).hardware
    two = Requests(np.array([9.0, 3.0]), np.array([64, 64]), np.array([2, 2]))
    answered, _ = simulate(two, hardware)
    assert answered.first - two.arrival == pytest.approx(STEP.seconds(64, 0, 0))


def test_a_load_asks_for_the_share_of_a_replica_that_it_is_named_for() -> None:
    hardware = fitted(PROMPTS, LOOKS).hardware
    requests = requests_of(((4000, 0.5),), hardware, seed=1)
    _, busy = simulate(requests, hardware)
    assert 0.4 < busy / 4000 < 0.9  # steps are not always full
    assert all(requests_of(course, hardware, seed=1).arrival[-1] < 300 for course in LOADS.values())
