"""What the policy makes of what Serve's controller knows, and what it leaves on the head's disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy
from tests.scaling_log import made_again

from freehold.serving import scaling
from freehold.serving.autoscaling.decision_log import log_name
from freehold.serving.autoscaling.engine_totals import EngineTotals, Queue
from freehold.serving.scaling import FollowQueue
from freehold.status.decisions import SCALING_LOG

ID = DeploymentID(name="FreeholdServer:chat", app_name="chat")
BEGIN = 1_000_000.0
SECONDS = 2.0


def policy() -> FollowQueue:
    return FollowQueue(seats=16)


def context(
    engines: list[EngineTotals],
    target: int | None = None,
    queued: float = 0.0,
    bounds: tuple[int, int] = (0, 9),
    at: float = BEGIN,
) -> AutoscalingContext:
    """Return what Serve knows: what each engine told, and what is queued before them."""
    ids = [ReplicaID(f"r{it}", ID) for it in range(len(engines))]
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for replica, engine in zip(ids, engines, strict=True):
        for name, value in engine.told().items():
            series = [TimeStampedValue(at - 1, 99.0), TimeStampedValue(at, value)]
            raw.setdefault(name, {})[replica] = series
    return AutoscalingContext(
        deployment_id=ID,
        deployment_name=ID.name,
        app_name="chat",
        current_num_replicas=len(engines),
        target_num_replicas=len(engines) if target is None else target,
        running_replicas=ids,
        total_num_requests=queued,
        total_queued_requests=queued,
        aggregated_metrics=dict,
        raw_metrics=lambda: raw,
        capacity_adjusted_min_replicas=bounds[0],
        capacity_adjusted_max_replicas=bounds[1],
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=at,
        config=AutoscalingConfig(target_ongoing_requests=2.0, downscale_to_zero_delay_s=600.0),
    )


class Clock:
    """The clock of the policy."""

    def __init__(self) -> None:
        self.now = BEGIN

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(scaling, "time", found)
    return found


@pytest.fixture
def lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Callable[[], list[dict[str, Any]]]:
    monkeypatch.setattr(scaling, "get_serve_logs_dir", lambda: str(tmp_path))
    log = tmp_path / log_name("chat")
    return lambda: [json.loads(it) for it in log.read_text().splitlines()] if log.exists() else []


def engine(**numbers: Any) -> EngineTotals:
    queue = Queue(numbers.pop("running", 0), numbers.pop("waiting", 0), numbers.pop("kv", 0.0))
    return EngineTotals(queue=queue, **numbers)


BUSY = {"busy": 100.0, "steps": 4000, "generated": 60_000, "prompt": 40_000, "finished": 400}


def after(step: int) -> dict[str, float]:
    """Return what an engine has done by the so manieth look at it."""
    return {name: it + step * it / 50 for name, it in BUSY.items()}


def test_a_step_in_the_queue_is_answered_at_the_next_look(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    follows(context([engine(**BUSY)]))
    clock.now += SECONDS
    later = BUSY | {"busy": 102.0, "steps": 4080, "generated": 61_200, "prompt": 40_800}
    ctx = context([engine(running=16, waiting=600, kv=0.3, **later)], at=clock.now)
    wanted, kept = follows(ctx)
    assert (wanted, kept) == (9, {})
    last = lines()[-1]
    assert (last["queued"], last["running"], last["desired"]) == (600, 16, 9)
    assert (last["ready"], last["starting"], last["reason"]) == (1, 0, "ScalingUp")
    assert "at most 9 are allowed" in last["message"]


def test_what_it_says_between_two_looks_is_what_it_said(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    follows(context([engine()]))
    clock.now += SECONDS / 2
    assert follows(context([engine(waiting=600)]))[0] == 1
    assert len(lines()) == 1


def test_figures_that_were_seen_before_are_no_time_without_requests(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    for _ in range(5):
        follows(context([engine(running=4, **BUSY)], at=BEGIN))
        clock.now += SECONDS
    assert [it["time"] for it in lines()] == [BEGIN, BEGIN + 4 * SECONDS]


def test_every_decision_can_be_made_again_from_its_line(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    for step in range(60):
        done = after(step)
        waiting = 200 if 20 <= step < 30 else 0
        follows(context([engine(running=8, waiting=waiting, **done)] * 2, at=clock.now))
        clock.now += SECONDS
    told = lines()
    assert len(told) == 60
    assert len({it["desired"] for it in told}) > 1
    again = [(it.replicas, it.message) for it in made_again(told)]
    assert again == [(it["desired"], it["message"]) for it in told]


def test_what_was_learned_outlives_an_edit_and_the_controller(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    for step in range(30):
        done = after(step)
        follows(context([engine(running=8, **done)], at=clock.now))
        clock.now += SECONDS
    nothing_known, before = (lines()[it]["learned"] for it in (0, -1))
    policy()(context([engine(running=8, **done)], at=clock.now))
    assert "first" not in lines()[-1]
    after_it = lines()[-1]["learned"]["generatedTokensPerSecond"]
    assert after_it == pytest.approx(before["generatedTokensPerSecond"], rel=0.05)
    assert before["generatedTokensPerSecond"] != nothing_known["generatedTokensPerSecond"]


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", '[1, 2, 3, 4, 5, 6, 7, "x"]', "null"])
def test_a_memory_that_cannot_be_read_is_none(
    text: str, lines: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "freehold_scaling_chat.json").write_text(text)
    assert policy()(context([engine()]))[0] == 1
    assert lines()[-1]["first"]


def test_a_start_from_zero_of_which_serve_asks_nobody_is_timed(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    follows(context([]))
    clock.now += 70.0
    follows(context([engine()], at=clock.now))
    assert lines()[-1]["learned"]["coldStart"] == "70s"


def test_figures_of_long_ago_count_for_nothing(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows = policy()
    follows(context([engine(running=3)]))
    clock.now += 60.0
    follows(context([engine(running=3)], at=BEGIN))
    assert lines()[-1]["reason"] == "NoMetrics"
    assert lines()[-1]["desired"] == 1


def test_a_log_that_cannot_be_written_changes_no_decision(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(scaling, "get_serve_logs_dir", lambda: "/proc/none")
    assert policy()(context([engine()] * 2))[0] == 2


def test_serve_counts_the_time_without_a_request_from_the_last_one_on(
    lines: Callable[[], list[dict[str, Any]]], clock: Clock
) -> None:
    follows, told = policy(), []
    for _ in range(4):
        told.append(follows(context([engine(**BUSY)], at=clock.now))[0])
        clock.now += SECONDS
    assert told[1:] == [0, 0, 0]
    assert {it["desired"] for it in lines()} == {1}
    kept = context([engine(**BUSY)], at=clock.now, bounds=(1, 4))
    assert follows(kept)[0] == 1


def test_what_goes_wrong_leaves_what_there_is_and_is_forgotten(
    lines: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    follows = policy()
    with monkeypatch.context() as broken:
        broken.setattr(scaling, "decide", fails)
        assert follows(context([engine()] * 2, target=3))[0] == 3
    assert lines() == []
    clock.now += SECONDS
    assert follows(context([engine()] * 2, at=clock.now))[0] == 2
    assert lines()[-1]["first"]


def test_the_operator_asks_for_the_log_that_is_written() -> None:
    assert SCALING_LOG.format("chat") == log_name("chat")


TAKEN = """
import sys
sys.path = [it for it in sys.path if not it.endswith("/operator")]
sys.meta_path = [it for it in sys.meta_path if "editable" not in repr(it)]
from types import SimpleNamespace
from ray import cloudpickle
follows = cloudpickle.loads(sys.stdin.buffer.read())(16)
here = SimpleNamespace(
    running_replicas=[], raw_metrics={}, total_queued_requests=3.0, target_num_replicas=0,
    capacity_adjusted_min_replicas=0, capacity_adjusted_max_replicas=4, app_name="chat",
    deployment_name="chat",
    config=SimpleNamespace(target_ongoing_requests=2.0, downscale_to_zero_delay_s=600.0),
)
print(follows(here)[0], [it for it in sys.modules if it.startswith("freehold")])
"""


def test_serve_takes_it_where_this_package_is_not_there() -> None:
    taken = AutoscalingPolicy(policy_function="freehold.serving.scaling:FollowQueue")
    ran = subprocess.run(
        [sys.executable, "-P", "-c", TAKEN],
        input=taken.get_serialized_policy_def(),
        capture_output=True,
        check=True,
    )
    assert ran.stdout.decode().strip() == "1 []"
