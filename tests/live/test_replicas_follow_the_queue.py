"""Load on the endpoint makes replicas and the lack of it removes them, down to zero and back.

Every decision of such a run stands in a log with what was seen, and the policy that the simulator
runs makes the same of it.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.live.harness import (
    Run,
    complete,
    decisions,
    eventually,
    load_on,
    manifest,
    scaling_log,
)
from tests.ports import free_port
from tests.scaling_log import made_again

SCALING_SECONDS = 300.0
SCALING = {"minReplicas": 0, "maxReplicas": 2, "scaleToZeroAfter": "10s"}


def pids(run: Run) -> set[int]:
    """Return the engine processes of this run: one for each replica."""
    return {it.process.pid for it in run.family() if "EngineCore" in it.name}


def engines(run: Run) -> int:
    return len(pids(run))


@pytest.mark.thorough
def test_from_zero_to_one_to_two_and_back_to_zero_without_a_lost_request(
    tiny: Path, tmp_path: Path
) -> None:
    file = manifest(tmp_path, "tiny", tiny, autoscaling=SCALING)
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    arguments = ["--offline", "--port", str(port), str(file)]
    with Run(arguments) as run:
        run.says("ready, at zero replicas")
        log = scaling_log(run, "tiny")
        eventually("ten decisions at zero", lambda: len(decisions(log)) >= 10, 60)
        assert {it["desired"] for it in decisions(log)} == {0}
        assert engines(run) == 0

        # many at once wake one, and each has its answer
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: complete(url, "tiny").status_code, range(12)))
        assert answers == [200] * 12
        assert engines(run) == 1

        # far more at once than one replica runs
        with load_on(url, "tiny", clients=24) as codes:
            eventually("two replicas under load", lambda: engines(run) == 2, SCALING_SECONDS)
            eventually("both are told of", lambda: _last(log)["ready"] == 2, SCALING_SECONDS)

            # a target is taken in place, and what was learned stays
            learned, before = _last(log)["learned"], pids(run)
            assert int(learned["coldStart"].removesuffix("s")) > 1
            longer = SCALING | {"target": {"timeToFirstToken": "5s"}}
            manifest(tmp_path, "tiny", tiny, autoscaling=longer)
            run.says("changed in place, no replica restarts", 30)
            eventually("it is heeded", lambda: _last(log)["settings"][3] == 5.0, 30)
            assert _last(log)["learned"]["coldStart"] == learned["coldStart"]
            more = len(codes) + 100
            eventually("a hundred further answers", lambda: len(codes) > more, SCALING_SECONDS)
            assert pids(run) == before
        # far less than one replica runs
        with load_on(url, "tiny", clients=1) as fewer:
            eventually("one replica again", lambda: engines(run) == 1, SCALING_SECONDS)
        assert set(codes) | set(fewer) == {200}
        eventually("no replica when idle", lambda: engines(run) == 0, SCALING_SECONDS)

        lines = decisions(log)
        assert len(re.findall("waiting for its first token", run.text)) <= 1
        assert run.stop() == 0
    course = [it["desired"] for it in lines]
    changes = [it for it, before in zip(course[1:], course, strict=False) if it != before]
    assert changes == [1, 2, 1, 0]
    edited = next(it for it, line in enumerate(lines) if line["settings"][3] == 5.0)
    assert [it.replicas for it in made_again(lines[:edited])] == course[:edited]
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)


def _last(log: Path) -> dict[str, Any]:
    return decisions(log)[-1]
