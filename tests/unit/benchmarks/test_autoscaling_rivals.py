"""The rules of others do what their formulas say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from benchmarks.autoscaling import kernel
from benchmarks.autoscaling.fleet import Policy, Seen, Setting
from benchmarks.autoscaling.replica import LLAMA_70B_H100
from benchmarks.autoscaling.rivals import RIVALS, Rival
from benchmarks.autoscaling.rivals.aibrix import AIBrix
from benchmarks.autoscaling.rivals.dynamo import engine_rate
from benchmarks.autoscaling.rivals.knative import Knative
from benchmarks.autoscaling.rivals.kubeai import KubeAI
from benchmarks.autoscaling.rivals.kubernetes import HorizontalPodAutoscaler
from benchmarks.autoscaling.rivals.ray_serve import RayServe
from benchmarks.autoscaling.rivals.skyserve import SkyServe
from benchmarks.autoscaling.traffic import at_rates, azure

SETTING = Setting(LLAMA_70B_H100, cold_start=60.0, bound=2.0, first=2)


def seen(running: int, ready: int = 2, queued: int = 0, kv: float = 0.1, arrived: int = 0) -> Seen:
    totals = np.array([1.0, 1.0, 1000.0, 200.0, 0.0, 1.0, 200.0, 0.0]) * max(1, arrived)
    return Seen(
        time=0.0,
        queued=queued,
        state=np.full(ready, kernel.READY),
        born=np.zeros(ready),
        ready_at=np.zeros(ready),
        running=np.full(ready, running / ready),
        waiting=np.zeros(ready),
        kv=np.full(ready, kv),
        counters=np.zeros((ready, kernel.COUNTERS)),
        totals=totals,
        arrived=arrived,
    )


def course(policy: Policy, load: Iterable[Any], wanted: int = 2) -> list[int]:
    """Return what a policy says, look after look, where it gets what it wants at once."""
    found = []
    for index, it in enumerate(load):
        wanted = max(1, policy.decide(it, (index + 1) * policy.interval, wanted))
        found.append(wanted)
    return found


def test_an_hpa_rises_at_once_and_falls_after_five_minutes() -> None:
    them = course(HorizontalPodAutoscaler(16.0), [seen(100), *[seen(10)] * 25])
    assert them[0] == 6
    assert them[:20] == [6] * 20
    assert them[-1] == 1


def test_an_hpa_leaves_what_is_within_a_tenth() -> None:
    assert course(HorizontalPodAutoscaler(16.0), [seen(34)]) == [2]
    assert course(HorizontalPodAutoscaler(16.0), [seen(36)]) == [3]


def test_keda_looks_at_what_waits_alone() -> None:
    policy = HorizontalPodAutoscaler(5.0, waiting=True)
    assert course(policy, [seen(500), seen(500, queued=29)]) == [2, 6]


def test_ray_serve_waits_half_a_minute_to_rise_and_ten_to_fall() -> None:
    them = course(RayServe(2.0), [*[seen(8)] * 6, *[seen(2)] * 70])
    assert them[:5] == [2, 2, 2, 4, 4]
    assert them.index(1) * RayServe.interval > 600


def test_knative_panics_and_comes_back() -> None:
    calm, storm = [seen(50)] * 40, [seen(1000)] * 5
    them = course(Knative(100.0), [*calm, *storm, *calm])
    assert max(them[:40]) <= 2
    assert max(them[40:50]) == 15
    assert them[-1] < 15


def test_kubeai_averages_over_ten_minutes() -> None:
    them = course(KubeAI(100.0), [seen(600)] * 60)
    assert them[5] < 3
    assert them[-1] == 6


def test_aibrix_doubles_at_the_most() -> None:
    assert course(AIBrix(0.5), [seen(10, kv=1.0)]) == [4]
    assert course(AIBrix(0.1), [seen(10, kv=1.0)]) == [4]
    assert course(AIBrix(0.5), [seen(10, kv=0.52)]) == [2]


def test_skyserve_takes_five_minutes_to_rise() -> None:
    them = course(SkyServe(1.0), [seen(10, arrived=200 * i) for i in range(1, 20)])
    assert them[:14] == [2] * 14
    assert them[15] == 10


def test_an_engine_takes_fewer_requests_that_are_longer() -> None:
    short, long = (engine_rate(LLAMA_70B_H100, 1000 * it, 200 * it) for it in (1, 4))
    assert 0 < long < short / 3


@pytest.mark.parametrize("rival", RIVALS, ids=lambda it: it.name)
def test_every_rule_asks_for_more_where_more_is_asked_for(rival: Rival) -> None:
    day = at_rates([(10.0, 5.0)], azure("conv"), 1)
    policy = rival.make(rival.default, SETTING, day)
    light = [seen(10, kv=0.05, arrived=20 * i) for i in range(1, 90)]
    heavy = [seen(900, queued=400, kv=0.95, arrived=5000 * i) for i in range(90, 180)]
    them = course(policy, [*light, *heavy])
    assert max(them[:80]) < max(them[90:])
