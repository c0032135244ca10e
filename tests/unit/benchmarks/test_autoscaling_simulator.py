"""Simulated replicas: what they take, when they answer, and that nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from benchmarks.autoscaling import kernel, validation
from benchmarks.autoscaling.fleet import Outcome, Run, Seen, Setting, run
from benchmarks.autoscaling.replica import LLAMA_70B_H100
from benchmarks.autoscaling.traffic import Requests

# compiled once, by one process
pytestmark = pytest.mark.xdist_group("simulator")

HARDWARE = replace(LLAMA_70B_H100, max_num_seqs=4, token_budget=1000, kv_tokens=10_000)
SETTING = Setting(HARDWARE, cold_start=10.0, bound=2.0, first=1, most=3)


def requests(arrival: Any, prompt: int, output: int) -> Requests:
    arrival = np.asarray(arrival, float)
    return Requests(arrival, np.full(len(arrival), prompt), np.full(len(arrival), output))


def after(them: Requests, setting: Setting = SETTING, until: float = 1e6) -> Run:
    found = Run(them, setting, seed=1)
    kernel.advance(found.world, until)
    return found


class Says:
    """A policy that says one number after the other."""

    interval, age = 1.0, 0.0

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        return self._numbers.pop(0) if self._numbers else wanted


def outcome(them: Requests, *numbers: int) -> Outcome:
    return run(them, SETTING, Says(*numbers), seed=1)


def test_one_request_takes_a_prefill_and_a_step_for_each_further_token() -> None:
    step = HARDWARE.step
    world = after(requests([5.0], 600, 3)).world
    first = 5.0 + step.seconds(600, 0, 0)
    assert world.first[0] == pytest.approx(first)
    assert world.done[0] == pytest.approx(first + step.seconds(0, 1, 601) + step.seconds(0, 1, 602))


def test_a_prompt_beyond_the_budget_is_prefilled_in_parts() -> None:
    world = after(requests([0.0], 2500, 1)).world
    parts = sum(HARDWARE.step.seconds(tokens, 0, 0) for tokens in (1000, 1000, 500))
    assert world.first[0] == pytest.approx(parts)


def test_who_comes_to_a_busy_replica_waits_for_the_step_that_is_scheduled_besides() -> None:
    step = HARDWARE.step
    under_way = step.seconds(600, 0, 0)
    world = after(requests([0.0, under_way / 2], 600, 50)).world
    scheduled = under_way + step.seconds(0, 1, 601)
    assert world.first[1] == pytest.approx(scheduled + step.seconds(600, 1, 602))


def test_who_comes_among_steps_that_are_taken_together_waits_as_long() -> None:
    step = HARDWARE.step
    them = requests([0.0, 1.0], 600, 200)
    ends = step.seconds(600, 0, 0) + np.cumsum([step.seconds(0, 1, 601 + i) for i in range(200)])
    following = int(np.searchsorted(ends, 1.0)) + 1
    prefill = step.seconds(600, 1, 601 + following + 1)
    assert after(them).world.first[1] == pytest.approx(ends[following] + prefill)


def test_where_nothing_is_scheduled_ahead_who_comes_waits_for_the_step_under_way_alone() -> None:
    step, hardware = HARDWARE.step, replace(HARDWARE, ahead=False)
    under_way = step.seconds(600, 0, 0)
    them = requests([0.0, under_way / 2], 600, 50)
    world = after(them, replace(SETTING, hardware=hardware)).world
    assert world.first[1] == pytest.approx(under_way + step.seconds(600, 1, 601))


def test_a_request_beyond_the_seats_waits_in_the_queue_for_one() -> None:
    world = after(requests([0.0] * 5, 100, 50), until=0.3).world
    assert kernel.queued(world) == 1
    kernel.advance(world, 1e6)
    assert (world.first[:4] < world.done[:4].min()).all()
    assert world.first[4] > world.done[:4].min()


def test_what_finds_no_room_in_the_kv_cache_waits_in_the_engine() -> None:
    found = after(requests([0.0] * 3, 4000, 400), until=5.0)
    seen = found.see(5.0)
    assert (seen.running[0], seen.waiting[0]) == (2, 1)
    assert seen.kv[0] < 1


def test_where_the_kv_cache_runs_full_the_last_one_is_put_back_and_all_are_answered() -> None:
    world = after(requests([0.0, 0.1, 0.2], 3200, 400)).world
    assert world.scalars[kernel.PREEMPTED] > 0
    assert np.isfinite(world.done).all()
    assert world.done[0] < world.done[2]


def test_counters_tell_what_was_done() -> None:
    found = after(requests(np.arange(20) * 0.7, 300, 40))
    counters = found.see(1e6).totals
    assert counters[kernel.FINISHED] == 20
    assert counters[kernel.PROMPT] == 20 * 300
    assert counters[kernel.GENERATED] == counters[kernel.OUTPUT] == 20 * 40
    assert counters[kernel.BUSY] < found.world.done.max()


def test_nothing_is_left_in_what_has_answered_all() -> None:
    world = after(requests(np.arange(50) * 0.05, 700, 30)).world
    assert world.kv[0] == world.context[0] == world.prefill_n[0] == world.decode_n[0] == 0
    assert np.isfinite(world.done).all()


def test_a_replica_answers_a_cold_start_after_it_was_asked_for() -> None:
    found = outcome(requests(np.arange(200) * 0.2, 300, 40), 1, 2)
    second = found.course.time[found.course.ready.index(2)]
    assert second == pytest.approx(2 + SETTING.cold_start, abs=2.5)
    assert found.starts == 1


def test_a_replica_that_drains_ends_what_it_began_and_takes_nothing_more() -> None:
    found = outcome(requests(np.arange(60) * 0.5, 300, 100), 2, *[2] * 15, 1)
    assert np.isfinite(found.wait).all()
    there, wanted = found.course.there, found.course.wanted
    assert there[16] == 2 > wanted[16]
    assert there[-1] == 1


def test_a_replica_that_only_starts_is_the_first_to_go() -> None:
    found = outcome(requests(np.arange(60) * 0.5, 300, 20), 3, 1)
    assert found.course.there[:2] == [3, 1]
    assert max(found.course.ready) == 1


def test_gpu_hours_count_from_the_start_that_was_asked_for() -> None:
    few = outcome(requests(np.arange(60) * 0.5, 300, 20))
    more = outcome(requests(np.arange(60) * 0.5, 300, 20), 2)
    replica_seconds = (more.gpu_hours - few.gpu_hours) * 3600 / HARDWARE.devices
    assert replica_seconds == pytest.approx(few.course.time[-1] - 1)


def test_a_request_that_was_never_answered_is_missed() -> None:
    setting = replace(SETTING, cold_start=1e5, first=1, least=0)
    found = run(requests([0.0, 5.0], 300, 20), setting, Says(1, 0), seed=1)
    assert found.attainment == 0.5


def test_of_a_replica_that_is_killed_begun_answers_are_lost_and_the_others_come_first() -> None:
    found = after(requests([0.0, 0.0, 0.0, 0.0, 0.0, 1.0], 300, 200), until=1.5)
    world = found.world
    begun = np.isfinite(world.first)
    kernel.kill(world, 0)
    assert begun.sum() == 4
    assert np.isinf(world.first).all()
    kernel.start(world, 2.0, 3.0)
    kernel.advance(world, 1e6)
    assert np.isfinite(world.first[~begun]).all()
    assert np.isinf(world.first[begun]).all()


def test_the_same_seed_gives_the_same_run_and_another_one_does_not() -> None:
    them = requests(np.arange(400) * 0.03, 300, 40)
    one, same, other = (
        run(them, replace(SETTING, first=3), Says(), seed=it).wait for it in (1, 1, 2)
    )
    assert (one == same).all()
    assert (one != other).any()


def test_it_comes_near_what_nvidia_published() -> None:
    rows, (first, between, throughput) = validation.errors()
    assert first < 0.15
    assert between < 0.07
    assert throughput < 0.07
    # where the queue begins
    by_concurrency = {ours.concurrency: ours for _, ours in rows}
    assert by_concurrency[50].first < 1000 < 5000 < by_concurrency[100].first
