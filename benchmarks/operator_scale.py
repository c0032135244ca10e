"""How long the operator takes for many ModelDeployments at once, and what it takes to do it.

A real API server on this machine, no KubeRay: what is measured is the operator. In the same run a
bare client writes the same RayServices as fast as the API server takes them. Run it with
``python benchmarks/operator_scale.py`` or ``make bench-operator``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from benchmarks.operator_bench.measure import Measured, measure  # noqa: E402
from benchmarks.operator_bench.report import plot, table  # noqa: E402


def main() -> None:
    """Measure each size, print the table, and write the figures and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 3000])
    parser.add_argument("--rest-seconds", type=float, default=60.0)
    parser.add_argument("--results", type=Path, help="folder for figures and plot")
    options = parser.parse_args()
    found: list[Measured] = []
    for size in options.sizes:
        print(f"{size} models ...", file=sys.stderr, flush=True)
        found.append(asyncio.run(measure(size, options.rest_seconds)))
        print(table(found), flush=True)
    if options.results is not None:
        options.results.mkdir(parents=True, exist_ok=True)
        figures = json.dumps([asdict(item) for item in found], indent=1)
        (options.results / "operator-scale.json").write_text(f"{figures}\n")
        (options.results / "operator-scale.txt").write_text(f"{table(found)}\n")
        plot(found, options.results / "operator-scale.svg")


if __name__ == "__main__":
    main()
