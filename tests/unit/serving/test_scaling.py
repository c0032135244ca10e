"""What the scaling policy decides and tells, given what Serve's controller would give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from freehold.controller.engines import SCALING_LOG
from freehold.serving import scaling
from freehold.serving.scaling import FollowQueue, log_name

NAME = "FreeholdServer:chat"
ID = DeploymentID(name=NAME, app_name="chat")
CONFIG = AutoscalingConfig(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=18,
    upscale_delay_s=5,
    downscale_delay_s=300,
    downscale_to_zero_delay_s=600,
)


def context(
    running: int = 1,
    target: int = 1,
    total: float = 0.0,
    queued: float = 0.0,
    engines: list[tuple[int, int]] | None = None,
    bounds: tuple[int, int] = (1, 4),
) -> AutoscalingContext:
    """Return what Serve knows; of each engine the requests that run and wait in it."""
    ids = [ReplicaID(f"r{it}", ID) for it in range(running)]
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for replica, (runs, waits) in zip(ids, engines or (), strict=False):
        for name, value in (("running", runs), ("waiting", waits)):
            series = [TimeStampedValue(0.0, 99.0), TimeStampedValue(1.0, float(value))]
            raw.setdefault(name, {})[replica] = series
    return AutoscalingContext(
        deployment_id=ID,
        deployment_name=NAME,
        app_name="chat",
        current_num_replicas=running,
        target_num_replicas=target,
        running_replicas=ids,
        total_num_requests=total,
        total_queued_requests=queued,
        aggregated_metrics=dict,
        raw_metrics=lambda: raw,
        capacity_adjusted_min_replicas=bounds[0],
        capacity_adjusted_max_replicas=bounds[1],
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=0.0,
        config=CONFIG,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(scaling.time, "time", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


@pytest.fixture
def lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> Callable[[], list[dict[str, Any]]]:
    monkeypatch.setattr(scaling, "get_serve_logs_dir", lambda: str(tmp_path))
    log = tmp_path / log_name("chat")
    return lambda: [json.loads(it) for it in log.read_text().splitlines()] if log.exists() else []


SAID = {
    "enough": (
        context(total=9.2, engines=[(8, 1)]),
        "Holding",
        "8 requests run and 1 waits at 1 replica; at a target of 18 a replica, 1 replica is "
        "wanted.",
    ),
    "one": (
        context(total=1, engines=[(1, 0)]),
        "Holding",
        "1 request runs and 0 wait at 1 replica; at a target of 18 a replica, 1 replica is wanted.",
    ),
    "more": (
        context(total=40, queued=10, engines=[(16, 14)]),
        "ScalingUp",
        "16 requests run and 24 wait at 1 replica; at a target of 18 a replica, 3 replicas are "
        "wanted once that has held for 5 s.",
    ),
    "more on the way": (
        context(running=1, target=2, total=30, engines=[(16, 14)]),
        "ScalingUp",
        "16 requests run and 14 wait at 1 replica; at a target of 18 a replica, 2 replicas are "
        "wanted.",
    ),
    "more than may be": (
        context(running=4, target=4, total=200, engines=[(16, 34)] * 4),
        "Holding",
        "64 requests run and 136 wait at 4 replicas; at a target of 18 a replica, 12 replicas are "
        "wanted, and at most 4 allowed.",
    ),
    "less": (
        context(running=2, target=2, total=10, engines=[(6, 0), (4, 0)]),
        "ScalingDown",
        "10 requests run and 0 wait at 2 replicas; at a target of 18 a replica, 1 replica is "
        "enough once that has held for 300 s.",
    ),
    "less than may be": (
        context(running=1, target=1, engines=[(0, 0)]),
        "Holding",
        "0 requests run and 0 wait at 1 replica; at a target of 18 a replica, 0 replicas are "
        "enough, and at least 1 kept.",
    ),
    "nothing": (
        context(running=1, target=1, engines=[(0, 0)], bounds=(0, 4)),
        "ScalingDown",
        "0 requests run and 0 wait at 1 replica; at a target of 18 a replica, 0 replicas are "
        "enough once that has held for 600 s.",
    ),
    "engines that tell nothing yet": (
        context(total=12, queued=3),
        "Holding",
        "9 requests run and 3 wait at 1 replica; at a target of 18 a replica, 1 replica is wanted.",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_a_decision_is_told_with_the_numbers_that_decided(
    case: str, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    ctx, reason, message = SAID[case]
    FollowQueue()(ctx)
    (line,) = lines()
    assert (line["reason"], line["message"]) == (reason, message)


def test_the_number_is_that_of_serves_own_rule() -> None:
    for running, total in ((1, 40.0), (3, 10.0), (2, 36.0), (0, 0.0)):
        ctx = context(running=running, total=total)
        assert FollowQueue()(ctx) == replica_queue_length_autoscaling_policy(ctx)


def test_a_line_comes_with_each_decision_and_else_when_figures_change(
    lines: Callable[[], list[dict[str, Any]]], clock: Callable[[float], None]
) -> None:
    policy = FollowQueue()
    busy, busier = context(total=8, engines=[(8, 0)]), context(total=9, engines=[(9, 0)])
    for ctx in (busy, busier, busier):
        policy(ctx)
        clock(0.1)
    assert [it["running"] for it in lines()] == [8]
    clock(5.0)
    policy(busier)
    clock(5.0)
    policy(busier)
    assert [it["running"] for it in lines()] == [8, 9]
    for _ in range(3):
        policy(context(total=40, engines=[(16, 24)]))
        clock(0.6)
    assert [it["reason"] for it in lines()] == ["Holding", "Holding", "ScalingUp"]


def test_a_log_that_cannot_be_written_changes_no_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scaling, "get_serve_logs_dir", lambda: "/proc/none")
    assert FollowQueue()(context(total=40))[0] == pytest.approx(40 / 18)


def test_the_operator_asks_for_the_log_that_is_written() -> None:
    assert SCALING_LOG.format("chat") == log_name("chat")


def test_serve_takes_it_where_this_package_is_not_there() -> None:
    policy = AutoscalingPolicy(policy_function="freehold.serving.scaling:FollowQueue")
    assert b"_between_figures" in policy.get_serialized_policy_def().lower()
