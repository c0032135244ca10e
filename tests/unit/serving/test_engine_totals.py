"""What an engine's steps add up to."""

from __future__ import annotations

import pytest

from freehold.serving.autoscaling.engine_totals import EngineTotals, Queue, Tokens, replica


def test_steps_that_follow_each_other_take_the_time_between_their_ends() -> None:
    totals = EngineTotals()
    totals.add(10.0, Queue(running=2, kv=0.2), Tokens(prompt=90, generated=2, first=(0.5, 0.3)))
    totals.add(10.1, Queue(running=2, kv=0.3), Tokens(generated=2))
    totals.add(10.2, Queue(), Tokens(generated=2, finished=2))
    assert totals.busy == pytest.approx(0.7)
    assert (totals.steps, totals.prompt, totals.generated, totals.finished) == (3, 90, 6, 2)
    assert totals.kv == pytest.approx(0.5)


def test_idle_time_is_no_work() -> None:
    totals = EngineTotals()
    totals.add(10.0, Queue(), Tokens(generated=1, finished=1, first=(0.2,)))
    totals.add(500.0, Queue(running=1), Tokens(prompt=5, generated=1, first=(0.4,)))
    assert totals.busy == pytest.approx(0.6)


def test_a_part_of_a_prompt_begins_at_a_time_that_nobody_knows() -> None:
    totals = EngineTotals()
    totals.add(10.0, Queue(running=1), Tokens())
    totals.add(11.0, Queue(running=1), Tokens(prompt=9000, generated=1, first=(2.0,)))
    assert (totals.busy, totals.steps) == (1.0, 1)


def test_late_first_tokens_are_counted_for_whatever_bound_there_may_be() -> None:
    totals = EngineTotals()
    totals.add(10.0, Queue(), Tokens(first=(0.1, 1.7, 6.0)))
    told = totals.told()
    late = {it: replica("a", told, it) for it in (0.1, 1.5, 2.0, 2.9, 5.0, 600.0)}
    found = {bound: it.late for bound, it in late.items() if it}
    assert found == {0.1: 2.0, 1.5: 2.0, 2.0: 1.0, 2.9: 1.0, 5.0: 1.0, 600.0: 0.0}


def test_a_replica_that_does_not_tell_all_tells_nothing() -> None:
    told = EngineTotals(queue=Queue(3, 4, 0.5), busy=7.0).told()
    found = replica("a", told, 2.0)
    assert found is not None
    assert (found.running, found.waiting, found.kv, found.work.busy) == (3.0, 4.0, 0.5, 7.0)
    del told["busy"]
    assert replica("a", told, 2.0) is None
