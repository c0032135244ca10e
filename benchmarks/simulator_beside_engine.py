"""The simulator of the scaling benchmark beside a real engine: vLLM on one core of this machine.

Its step times are those that the scaling policy learns from what the engine counts of itself; then
both get the same requests. Run it with ``python benchmarks/simulator_beside_engine.py`` or
``make bench-simulator``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from benchmarks.engine_bench.comparison import LOADS, calibrate, compare  # noqa: E402
from benchmarks.engine_bench.engine import engine  # noqa: E402
from benchmarks.engine_bench.report import plot, table  # noqa: E402


def main() -> None:
    """Calibrate, compare, print the table, and write it and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("/var/tmp/freehold/gemma-3-270m"))
    parser.add_argument("--loads", default=",".join(LOADS), help="separated by commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, help="folder for table and plot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, engine(options.model, Path(folder)) as it:
        _tell("calibrating")
        found = calibrate(it)
        compared = []
        for load in options.loads.split(","):
            _tell(f"load: {load}")
            compared.append(compare(it, found.hardware, load, options.seed))
    text = f"{table(found, compared)}\nseed {options.seed}"
    print(text)
    if options.results is not None:
        (options.results / "simulator-beside-engine.txt").write_text(f"{text}\n")
        plot(compared, options.results / "simulator-beside-engine.svg")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
