"""Step times that are learned from an engine's own counters."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.autoscaling.replica import StepTime
from benchmarks.autoscaling.traffic import Requests
from benchmarks.engine_bench.calibration import Calibrated, calibrated
from benchmarks.engine_bench.comparison import LOADS, requests_of, simulate

from freehold.serving.autoscaling.rates import Work

# the simulator is compiled once, by one process
pytestmark = pytest.mark.xdist_group("simulator")

# of one core of a processor, far from what a GPU takes
STEP = StepTime(p0=25.0, p1=0.7, p2=0.0, d0=25.0, d1=1.5, d2=3.0)
KV_TOKENS = 10_000


def found() -> Calibrated:
    """Return what is learned from looks at steps of all kinds, twenty to a look."""
    rng, look = np.random.default_rng(1), Work()
    looks, prompts, outputs = [look], [], []
    for _ in range(300):
        prompt, batch, context = (int(rng.integers(1, most)) for most in (400, 16, 600))
        busy = sum(STEP.seconds(prompt * (i == 0), batch, batch * context) for i in range(20))
        kv = 20 * batch * context / KV_TOKENS
        done = busy, 20, prompt, 20 * batch, kv
        look = Work(*(was + more for was, more in zip(look, done, strict=True)))
        looks.append(look)
        prompts += [context - 10] * batch
        outputs += [20] * batch
    asked = Requests(np.zeros(len(prompts)), np.array(prompts), np.array(outputs))
    return calibrated(looks, asked, seats=16, budget=2048)


def test_step_times_are_found_again_however_far_from_what_was_believed() -> None:
    it = found()
    for kind in ((0, 1, 200), (0, 16, 6000), (300, 0, 0), (300, 8, 2000)):
        assert it.hardware.step.seconds(*kind) == pytest.approx(STEP.seconds(*kind), rel=0.1), kind
    assert it.hardware.kv_tokens == pytest.approx(KV_TOKENS, rel=0.01)
    assert it.error < 0.02
    assert it.looks == 300


def test_a_simulated_engine_takes_as_long_as_its_steps() -> None:
    hardware = found().hardware
    one = Requests(np.array([3.0]), np.array([256]), np.array([2]))
    answered, busy = simulate(one, hardware)
    first, second = hardware.step.seconds(256, 0, 0), hardware.step.seconds(0, 1, 257)
    assert answered.first[0] - 3.0 == pytest.approx(first)
    assert answered.done[0] - 3.0 == pytest.approx(first + second)
    assert busy == pytest.approx(first + second)


def test_answers_stand_where_their_requests_do() -> None:
    hardware = found().hardware
    two = Requests(np.array([9.0, 3.0]), np.array([64, 64]), np.array([2, 2]))
    answered, _ = simulate(two, hardware)
    assert answered.first - two.arrival == pytest.approx(hardware.step.seconds(64, 0, 0))


def test_a_load_asks_for_the_share_of_a_replica_that_it_is_named_for() -> None:
    hardware = found().hardware
    requests = requests_of(((4000, 0.5),), hardware, seed=1)
    _, busy = simulate(requests, hardware)
    assert 0.4 < busy / 4000 < 0.98  # steps are not always full
    assert all(requests_of(course, hardware, seed=1).arrival[-1] < 300 for course in LOADS.values())
