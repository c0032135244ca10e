"""Real replicas on real vLLM follow idling, a ramp and a step: 0 to 1 to 2 to 1 to 0, twice.

The tiny model of the tests on this machine's cores, behind ``freehold run``. Every decision is in
the log that is kept with the results, and is made again by the policy that the simulator runs. Run
it with ``python benchmarks/scaling_live.py`` or ``make bench-scaling``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from benchmarks.scaling_bench.report import plot, table  # noqa: E402
from benchmarks.scaling_bench.stages import NAME, Stages  # noqa: E402
from tests.live.harness import Run, manifest, scaling_log  # noqa: E402
from tests.live.tiny_llama import make_tiny_llama  # noqa: E402
from tests.ports import free_port  # noqa: E402
from tests.scaling_log import made_again  # noqa: E402

SCALING = {"minReplicas": 0, "maxReplicas": 2, "scaleToZeroAfter": "10s"}
UP, DOWN, STEP = (1, 2, 4, 8, 16, 24), (16, 8, 4, 2, 1), 24
# Decisions that each level of a ramp lasts, one in two seconds.
_EACH = 6


def main() -> None:
    """Run the stages, print the table, and write it, the log and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="folder for table, log and plot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        file = manifest(folder, NAME, make_tiny_llama(folder / "tiny"), autoscaling=SCALING)
        with Run(["--offline", "--port", str(port), str(file)]) as run:
            run.says("ready, at zero replicas")
            found = Stages(scaling_log(run, NAME), f"http://127.0.0.1:{port}/v1", _tell)
            _stages(found)
            log = found.log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    again = [it.replicas for it in made_again(lines)]
    text = table(found, lines, again)
    print(text)
    if options.results is not None:
        (options.results / "scaling-live.txt").write_text(f"{text}\n")
        (options.results / "scaling-live.log").write_text(log)
        plot(found, lines, again, options.results / "scaling-live.svg")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _stages(found: Stages) -> None:
    found.begin("nobody asks")
    found.decided(_EACH)
    found.begin("a ramp up wakes one, then two")
    for many in UP:
        with found.clients(many):
            found.until("one answers", lambda it: it["ready"] >= 1)
            found.decided(_EACH)
    with found.clients(UP[-1]):
        found.until("two answer", lambda it: it["ready"] == 2)
        found.decided(_EACH)
    found.begin("a ramp down to one")
    for many in DOWN:
        with found.clients(many):
            found.decided(_EACH)
    with found.clients(DOWN[-1]):
        found.until("one answers", lambda it: it["ready"] == 1)
    found.begin("nobody asks, none is left")
    found.until("none is left", lambda it: it["desired"] == it["ready"] == 0)
    found.begin(f"a step to {STEP} clients")
    with found.clients(STEP):
        found.until("two answer", lambda it: it["ready"] == 2)
        found.decided(_EACH)
    found.begin("a step to one client")
    with found.clients(1):
        found.until("one answers", lambda it: it["ready"] == 1)
    found.begin("nobody asks, none is left")
    found.until("none is left", lambda it: it["desired"] == it["ready"] == 0)


if __name__ == "__main__":
    main()
