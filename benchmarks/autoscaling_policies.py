"""Freehold's scaling policy beside every peer's rule and beside somebody who knew the future.

Production traces are replayed in a simulator of replicas. By default: published defaults and the
clairvoyant schedule on the days and clients that no policy was developed on, one seed. Run it with
``python benchmarks/autoscaling_policies.py`` or ``make bench-autoscaling``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from benchmarks.autoscaling.cells import CLAIRVOYANT, LIMIT, OURS, Cell, results  # noqa: E402
from benchmarks.autoscaling.faults import NAMES  # noqa: E402
from benchmarks.autoscaling.report import about, limits, plots, table, validated  # noqa: E402
from benchmarks.autoscaling.rivals import RIVALS  # noqa: E402
from benchmarks.autoscaling.scenarios import SCENARIOS, Part  # noqa: E402


def main() -> None:
    """Run what is asked for, print the tables, and write them and the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("development", "test"), default="test")
    parser.add_argument(
        "--full", action="store_true", help="peers at other targets, five seeds, and faults"
    )
    parser.add_argument("--seeds", type=int, help="how many; 1 by default, 5 with --full")
    parser.add_argument("--scenarios", help="only these, separated by commas")
    parser.add_argument("--policies", help="only these and the references, separated by commas")
    parser.add_argument("--results", type=Path, help="folder for table and plots")
    parser.add_argument("--cache", type=Path, default=Path("/var/tmp/freehold/autoscaling"))
    options = parser.parse_args()
    errors = validated()
    print(f"{errors}\n", flush=True)
    cells = _cells(options)
    found, begin = {}, time.monotonic()
    for cell, result in results(cells, options.cache, os.cpu_count() or 1):
        found[cell] = result
        took = time.monotonic() - begin
        print(f"{len(found)} of {len(cells)}, {took:.0f} s: {cell}", file=sys.stderr, flush=True)
    ordered = {cell: found[cell] for cell in cells}
    told = f"{table(ordered)}\n{limits(ordered)}\n\n{about(ordered)}"
    text = f"{told}\n{options.part} part, seeds {list(_seeds(options))}"
    print(text)
    if options.results is not None:
        (options.results / "autoscaling.txt").write_text(f"{errors}\n\n{text}\n")
        plots(ordered, options.results)


def _cells(options: argparse.Namespace) -> list[Cell]:
    """Return what is to be run, the longest first."""
    part: Part = options.part
    scenarios = [
        it for it in SCENARIOS if not options.scenarios or it.name in options.scenarios.split(",")
    ]
    chosen = options.policies.split(",") if options.policies else None
    found = []
    for seed in _seeds(options):
        for scenario in scenarios:
            found.append(Cell(CLAIRVOYANT, None, scenario.name, part, seed))
            found.append(Cell(LIMIT, None, scenario.name, part, seed))
        for policy, target in [(OURS, None), *_rivals(tuned=options.full)]:
            if chosen is None or policy in chosen:
                found += [Cell(policy, target, it.name, part, seed) for it in scenarios]
    if options.full:
        found += [Cell(OURS, None, it.name, part, 1, name) for it in scenarios for name in NAMES]
    return found


def _seeds(options: argparse.Namespace) -> range:
    return range(1, 1 + (options.seeds or (5 if options.full else 1)))


def _rivals(*, tuned: bool) -> list[tuple[str, float | None]]:
    found: list[tuple[str, float | None]] = [(it.name, None) for it in RIVALS]
    if tuned:
        found += [(it.name, target) for it in RIVALS for target in it.targets]
    return found


if __name__ == "__main__":
    main()
