"""Load on the endpoint makes replicas and the lack of it removes them, down to zero and back."""

from __future__ import annotations

import concurrent.futures
import re
import time
from pathlib import Path

import pytest
from tests.live.harness import PACED, Run, complete, eventually, load_on, manifest
from tests.ports import free_port

SCALING_SECONDS = 240.0


def engines(run: Run) -> int:
    """Return the engine processes of this run: one for each replica."""
    return sum("EngineCore" in member.name for member in run.family())


@pytest.mark.thorough
def test_from_one_to_two_and_back_then_to_zero_and_back_without_a_lost_request(
    tiny: Path, tmp_path: Path
) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 2, "target": {"queueDepth": 2}}
    file = manifest(tmp_path, "tiny", tiny, autoscaling=scaling)
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with Run([str(port), str(file)], program=PACED) as run:
        run.says("tiny answers at")

        # as many as one replica runs: never a reason for another
        with load_on(url, "tiny", clients=4) as fitting:
            for _ in range(20):
                assert engines(run) == 1
                time.sleep(0.5)
        assert set(fitting) == {200}

        # far more than one replica's target of 6, since some are always on their way
        with load_on(url, "tiny", clients=24) as codes:
            eventually("two replicas under load", lambda: engines(run) == 2, SCALING_SECONDS)
        assert set(codes) == {200}
        eventually("one replica without load", lambda: engines(run) == 1, SCALING_SECONDS)

        manifest(
            tmp_path,
            "tiny",
            tiny,
            autoscaling=scaling | {"minReplicas": 0, "scaleToZeroAfter": "5s"},
        )
        run.says("changed in place, no replica restarts", 30)
        eventually("no replica when idle", lambda: engines(run) == 0, SCALING_SECONDS)
        run.says("ready, at zero replicas", 30)
        # nothing of ours or of Ray's may wake it: health checks and metrics come every second
        for _ in range(40):
            assert engines(run) == 0
            time.sleep(0.5)

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(complete, url, "tiny") for _ in range(12)]
            assert [answer.result().status_code for answer in asked] == [200] * 12
        assert engines(run) >= 1
        assert len(re.findall("waiting for its first token", run.text)) <= 2
        assert run.stop() == 0
    eventually("everything that was started is gone", lambda: not run.left_behind(), 10)
