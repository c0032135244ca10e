"""An engine on this machine's cores behind ``freehold run``, and what it counts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.autoscaling.traffic import Requests
from benchmarks.engine_bench import asking
from tests.live.harness import Run, decisions, eventually, manifest, scaling_log
from tests.ports import free_port

from freehold.serving.autoscaling.decision_log import recorded
from freehold.serving.autoscaling.rates import Work

NAME = "gemma-3-270m"
SEATS, TOKEN_BUDGET, CONTEXT = 16, 2048, 2048
_ONE_REPLICA = {"minReplicas": 1, "maxReplicas": 1}
# What is told may be so old before everything that ended has been counted, in seconds.
_COUNTED_S = 30.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of requests; arrays in seconds.

    Attributes:
        arrival: When each was sent, from the first one's planned second 0.
        first: When its first token came.
        done: When its last came.
    """

    arrival: Any
    first: Any
    done: Any


@dataclass(frozen=True, slots=True)
class Engine:
    """One replica that answers at a URL, and the log of what it tells."""

    log: Path
    url: str

    def ask(self, requests: Requests) -> Answered:
        """Send requests at their times, and return when all are answered.

        Raises:
            RuntimeError: If one is not.
        """
        rows = zip(requests.arrival, requests.prompt, requests.output, strict=True)
        them = [(float(at), int(prompt), int(output)) for at, prompt, output in rows]
        asked = asking.Asked(f"{self.url}/completions", NAME, them)
        command = [sys.executable, asking.__file__]
        given = json.dumps(asdict(asked))
        ended = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"the client gave up: {ended.stderr.strip()}")
        times = np.array(json.loads(ended.stdout))
        times -= times[0, 0] - requests.arrival[0]
        return Answered(*times.T)

    def looks(self) -> list[Work]:
        """Return what the replica had done by each decision so far."""
        seen = [recorded(line)[0] for line in decisions(self.log)]
        return [replica.work for it in seen for replica in it.replicas]

    def counted(self, generated: float) -> list[Work]:
        """Return the same when it has told of so many tokens generated in all."""

        def told() -> bool:
            return self.looks()[-1].generated >= generated

        eventually(f"{generated:.0f} generated tokens are told of", told, _COUNTED_S)
        return self.looks()


@contextmanager
def engine(source: Path, folder: Path) -> Iterator[Engine]:
    """Serve a model on one core, one replica, until the context is left."""
    spec: dict[str, Any] = {
        "model": {"source": f"file://{source}", "contextLength": CONTEXT},
        "workload": {"concurrentRequests": SEATS, "promptTokens": 256, "outputTokens": 64},
        "hardware": {
            "candidates": [
                {"name": "core", "accelerator": "cpu", "parallelism": {"tensor": 1}},
            ]
        },
        "engine": {"args": {"max_num_batched_tokens": TOKEN_BUDGET}},
        "autoscaling": _ONE_REPLICA,
    }
    port = free_port()
    file = manifest(folder, NAME, source, **spec)
    with Run(["--offline", "--port", str(port), str(file)]) as run:
        run.says("answers at")
        it = Engine(scaling_log(run, NAME), f"http://127.0.0.1:{port}/v1")
        eventually("the replica tells what it did", it.looks, _COUNTED_S)
        yield it
