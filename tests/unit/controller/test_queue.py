"""The queue: each key once, never twice at a time, failures later and later, nobody starves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.controller.queue import Key, Pace, PassQueue

A, B, C = Key("models", "a"), Key("models", "b"), Key("other", "a")


@dataclass
class Clock:
    """A clock that is moved by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def make_queue(clock: Clock, **pace: float) -> PassQueue:
    return PassQueue(Pace(**pace), clock, lambda: 0.0)


async def take_now(queue: PassQueue) -> Key | None:
    """Return the next key, or None where none is due."""
    return await queue.take() if queue.depth else None


async def test_a_key_that_waits_is_not_added_again() -> None:
    queue = make_queue(Clock())
    for key in (A, B, A, A, C, B):
        queue.add(key)
    assert [await queue.take() for _ in range(3)] == [A, B, C]
    assert queue.depth == 0


async def test_a_key_whose_pass_runs_is_looked_at_once_more_and_not_at_the_same_time() -> None:
    queue = make_queue(Clock())
    queue.add(A)
    await queue.take()
    for _ in range(5):
        queue.add(A)
    assert await take_now(queue) is None
    queue.done(A)
    assert await take_now(queue) == A
    queue.done(A)
    assert await take_now(queue) is None


async def test_failures_come_back_later_and_later_up_to_a_bound() -> None:
    clock = Clock()
    queue = make_queue(clock, first_retry=1.0, longest_retry=5.0, burst=100)
    queue.add(A)
    waits = []
    for _ in range(5):
        await queue.take()
        queue.done(A, failed=True)
        start = clock.now
        while queue.depth == 0:
            clock.now += 0.5
        waits.append(clock.now - start)
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_a_success_forgets_the_failures_before_it() -> None:
    clock = Clock()
    queue = make_queue(clock, first_retry=1.0, burst=100)
    queue.add(A)
    for failed in (True, True, False, True):
        await take_and_end(queue, clock, failed)
    start = clock.now
    while queue.depth == 0:
        clock.now += 0.5
    assert clock.now - start == 1.0


async def take_and_end(queue: PassQueue, clock: Clock, failed: bool) -> None:
    while queue.depth == 0:
        clock.now += 0.5
    key = await queue.take()
    queue.done(key, failed=failed, after=None if failed else 0.5)


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (3600.0, 300.0)])
async def test_the_server_s_own_wait_is_the_least_up_to_the_longest_retry(
    asked: float, waited: float
) -> None:
    clock = Clock()
    queue = make_queue(clock, first_retry=1.0, longest_retry=300.0)
    queue.add(A)
    queue.done(await queue.take(), failed=True, after=asked)
    clock.now = waited - 0.1
    assert queue.depth == 0
    clock.now = waited
    assert await take_now(queue) == A


async def test_a_change_does_not_wait_for_the_retry() -> None:
    queue = make_queue(Clock(), first_retry=100.0)
    queue.add(A)
    queue.done(await queue.take(), failed=True)
    assert await take_now(queue) is None
    queue.add(A)
    assert await take_now(queue) == A


async def test_what_is_to_be_gone_on_with_at_once_waits_behind_the_others() -> None:
    queue = make_queue(Clock())
    for key in (A, B, C):
        queue.add(key)
    queue.done(await queue.take(), after=0.0)
    assert [await queue.take() for _ in range(3)] == [B, C, A]


async def test_a_key_that_is_gone_on_with_at_once_again_and_again_is_held_back_too() -> None:
    clock = Clock()
    queue = make_queue(clock, burst=5, interval=1.0)
    queue.add(A)
    for now in (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0):
        clock.now = now
        assert await take_now(queue) == A
        queue.done(A, after=0.0)
    assert await take_now(queue) is None


async def test_a_pass_that_is_due_later_than_the_pace_asks_waits_no_longer() -> None:
    clock = Clock()
    queue = make_queue(clock, burst=1, interval=5.0)
    queue.add(A)
    queue.done(await queue.take(), after=10.0)
    clock.now = 10.0
    assert await take_now(queue) == A


async def test_of_two_later_passes_the_earlier_one_counts() -> None:
    clock = Clock()
    queue = make_queue(clock)
    queue.add_after(A, 10)
    queue.add_after(A, 3)
    queue.add_after(A, 20)
    clock.now = 3.0
    assert await take_now(queue) == A
    queue.done(A)
    clock.now = 30.0
    assert await take_now(queue) is None


async def test_a_forgotten_key_does_not_come_back_by_itself() -> None:
    clock = Clock()
    queue = make_queue(clock)
    queue.add_after(A, 5)
    queue.forget(A)
    clock.now = 10.0
    assert await take_now(queue) is None


async def test_a_worker_that_waits_wakes_for_a_key_and_for_the_time() -> None:
    queue = PassQueue(Pace())
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add_after(B, 0.01)
    assert await asyncio.wait_for(waiting, 5) == B
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(A)
    assert await asyncio.wait_for(waiting, 5) == A


async def test_a_noisy_key_does_not_hold_up_the_others() -> None:
    """One key asks for pass after pass; the quiet ones wait no longer than without it."""
    clock = Clock()
    queue = make_queue(clock, burst=5, interval=1.0)
    passes: Counter[Key] = Counter()
    for tick in range(1000):
        queue.add(A)
        if tick % 100 == 0:
            queue.add(B)
        while (key := await take_now(queue)) is not None:
            passes[key] += 1
            clock.now += 0.001
            queue.done(key)
        clock.now += 0.009
    assert passes[B] == 10
    assert 5 < passes[A] < 5 + clock.now + 1


async def test_jitter_spreads_a_thousand_retries() -> None:
    pace = Pace(first_retry=1.0, jitter=0.5)
    chance = random.Random(1)
    waits = {round(pace.retry_after(1, chance.random()), 3) for _ in range(1000)}
    assert min(waits) >= 1.0
    assert max(waits) <= 1.5
    assert len(waits) > 300


async def test_age_and_depth_are_of_what_waits() -> None:
    clock = Clock()
    queue = make_queue(clock)
    assert (queue.depth, queue.age, queue.longest_running) == (0, 0.0, 0.0)
    queue.add(A)
    clock.now = 2.0
    queue.add(B)
    assert (queue.depth, queue.age) == (2, 2.0)
    await queue.take()
    clock.now = 5.0
    assert (queue.depth, queue.age, queue.longest_running) == (1, 3.0, 3.0)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([A, B, C])),
        st.tuples(st.just("later"), st.sampled_from([A, B, C])),
        st.tuples(st.just("take"), st.none()),
        st.tuples(st.just("done"), st.booleans()),
        st.tuples(st.just("wait"), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(actions)
def test_whatever_happens_no_key_runs_twice_at_a_time_and_none_is_lost(
    steps: list[tuple[str, Key | bool | None]],
) -> None:
    asyncio.run(check_steps(steps))


async def check_steps(steps: list[tuple[str, Key | bool | None]]) -> None:
    clock = Clock()
    queue = make_queue(clock, first_retry=1.0, longest_retry=4.0)
    running: list[Key] = []
    asked: set[Key] = set()
    for step, what in steps:
        if step == "add" and isinstance(what, Key):
            queue.add(what)
            asked.add(what)
        elif step == "later" and isinstance(what, Key):
            queue.add_after(what, 2.0)
            asked.add(what)
        elif step == "take" and (key := await take_now(queue)) is not None:
            assert key not in running
            running.append(key)
            asked.discard(key)
        elif step == "done" and running:
            key = running.pop(0)
            queue.done(key, failed=bool(what))
        clock.now += 0.3
    for key in running:
        queue.done(key)
    clock.now += 1000
    rest = []
    while (key_left := await take_now(queue)) is not None:
        rest.append(key_left)
        queue.done(key_left)
        clock.now += 10
    assert asked <= set(rest)


@pytest.mark.parametrize("failures", [1, 5, 1000])
def test_a_wait_is_never_longer_than_its_bound(failures: int) -> None:
    assert Pace().retry_after(failures, 0.99) <= 300 * 1.5
