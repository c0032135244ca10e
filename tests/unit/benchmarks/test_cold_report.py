"""What is seen of a start becomes parts that add up, and a table with ratios of the same round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cold_bench.report import ratios_of, report
from benchmarks.cold_bench.results import FREEHOLD, PLAIN, REST, VLLM, ColdStart, Results, Turn
from benchmarks.cold_bench.watched import OF_VLLM, Watched, seen

WORKERS = {"ray.io/node-type": "worker"}


def _pod(role: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"ray.io/node-type": role}}, "status": status}


def _start(way: str, number: int, asked: int = 1, **moments: float) -> ColdStart:
    named = {name.replace("_", " "): it for name, it in moments.items()}
    return ColdStart(way, "apply", number, named, asked)


def test_nothing_is_seen_of_a_model_without_pods() -> None:
    assert seen([], None, WORKERS) == frozenset()
    reader = {"metadata": {"labels": {"freehold.dev/model": "chat"}}}
    assert seen([reader], {"status": {}}, WORKERS) == {"RayService"}


def test_a_head_is_ready_by_its_condition_and_a_worker_runs_by_its_container() -> None:
    head = _pod("head", conditions=[{"type": "Ready", "status": "True"}])
    waiting = _pod("worker", containerStatuses=[{"state": {"waiting": {}}}])
    running = _pod("worker", containerStatuses=[{"state": {"running": {}}}])
    both = {"head pod", "head ready", "worker pod"}
    assert seen([head, waiting], None, WORKERS) == both
    assert seen([head, running], None, WORKERS) == both | {"worker runs"}


@pytest.mark.parametrize("part", ["activeServiceStatus", "pendingServiceStatus"])
@pytest.mark.parametrize(("words", "runs"), [("RUNNING", True), ("DEPLOYING", False)])
def test_an_application_runs_where_kuberay_says_so(part: str, words: str, runs: bool) -> None:
    ray_service = {"status": {part: {"applicationStatuses": {"chat": {"status": words}}}}}
    assert ("application runs" in seen([], ray_service, WORKERS)) == runs


def test_parts_add_up_to_the_total_whatever_ends_first() -> None:
    start = _start(
        PLAIN, 1, head_pod=1.0, head_ready=30.0, worker_pod=1.5, worker_runs=40.0, first_token=90.0
    )
    assert start.parts == {
        "head pod": 1.0,
        "head ready": 29.0,
        "worker pod": 0.0,
        "worker runs": 10.0,
        "first token": 50.0,
    }


class _Nothing:
    """A model of which nothing is told."""

    def pods(self) -> list[dict[str, Any]]:
        return []

    def ray_service(self) -> None:
        return None


def test_what_was_not_told_in_time_ends_with_the_first_token() -> None:
    found = Watched(_Nothing(), WORKERS, OF_VLLM)
    found.look()
    assert found.moments == {}
    found.note("worker pod", "head pod")
    found.end()
    assert found.moments.keys() == {"worker pod", "worker runs", "first token"}
    assert found.moments["worker pod"] < found.moments["worker runs"]
    assert found.moments["worker runs"] == found.moments["first token"]


def test_ratios_are_of_the_same_round() -> None:
    ours = [_start(FREEHOLD, 1, first_token=90.0), _start(FREEHOLD, 2, first_token=80.0)]
    theirs = [_start(VLLM, 2, first_token=40.0), _start(VLLM, 3, first_token=1.0)]
    assert ratios_of(ours, theirs) == {2: 2.0}


def test_the_table_has_a_dash_for_what_a_way_does_not_have() -> None:
    results = Results({"": "2026-01-01: 2 cores", "Ray": "2.60.0"})
    results.cold = [
        _start(FREEHOLD, 1, RayService=2.0, head_pod=3.0, first_token=90.0),
        _start(FREEHOLD, 2, RayService=4.0, head_pod=5.0, first_token=100.0),
        _start(VLLM, 1, worker_pod=1.0, first_token=60.0, asked=300),
        _start(VLLM, 2, worker_pod=1.0, first_token=50.0, asked=200),
    ]
    conditions, table = report(results).split("\n\n")
    assert conditions == "2026-01-01: 2 cores, Ray 2.60.0"
    head, ours, plain = table.splitlines()[2:]
    assert head.split()[:4] == ["way", "rounds", "RayService", "head"]
    words = ["Freehold", "2", "3.0", "1.0", "-", "91.0", "95.0", "90.0", "100.0", "-", "1.75", "1"]
    assert ours.split() == words
    assert plain.split()[-3:] == ["-", "1.00", "250"]


def test_the_steady_state_is_a_ratio_with_its_least_and_most() -> None:
    results = Results({})
    for number, ours, theirs in ((1, 90.0, 100.0), (2, 120.0, 100.0), (3, 100.0, 100.0)):
        results.steady += [
            Turn(FREEHOLD, number, 16, ours, 0.3, 0.4, 0.08),
            Turn(VLLM, number, 16, theirs, 0.2, 0.3, 0.09),
        ]
    _, head, ours, *_ = report(results).splitlines()
    assert head.split()[-5:] == ["of", "vllm", "serve", "least", "most"]
    assert ours.split()[-3:] == ["1.00", "0.90", "1.20"]


def test_the_cpu_of_a_token_is_told_by_who_used_it() -> None:
    results = Results({})
    for number, workers in ((1, 0.05), (2, 0.06), (3, 0.09)):
        used = {"workers": workers, "proxy": 0.0005, REST: 0.002}
        results.steady.append(Turn(FREEHOLD, number, 16, 90.0, 0.3, 0.4, 0.08, used))
    title, head, row = report(results).split("\n\n")[-1].splitlines()
    assert title == "CPU for a token, in milliseconds"
    assert head.split()[-5:] == ["rest", "of", "the", "machine", "sum"]
    assert " ".join(row.split()[2:]) == "0.00 0.50 0.00 0.00 0.00 0.00 60.00 0.00 2.00 62.50"


def test_all_figures_are_written(tmp_path: Path) -> None:
    results = Results({"Ray": "2.60.0"}, [_start(FREEHOLD, 1, first_token=9.0)])
    results.steady = [Turn(VLLM, 1, 1, 30.0, 0.1, 0.2, 0.03)]
    results.write(tmp_path / "found.json")
    data = json.loads((tmp_path / "found.json").read_text())
    assert data["cold"][0]["total"] == 9.0 and data["cold"][0]["parts"] == {"first token": 9.0}
    assert data["steady"][0]["throughput"] == 30.0 and data["conditions"] == {"Ray": "2.60.0"}
