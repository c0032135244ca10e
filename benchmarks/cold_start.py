"""Time to a first token in pods, and throughput: Freehold, a plain RayService, ``vllm serve``.

On a real node of this machine, with the quick start's model and the same engine three ways, one
after another. README.md says how it measures. Run it with ``python benchmarks/cold_start.py`` or
``make bench-cold``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

import psutil  # noqa: E402
from benchmarks.cold_bench.report import report  # noqa: E402
from benchmarks.cold_bench.results import (  # noqa: E402
    FREEHOLD,
    VLLM,
    WAYS,
    ColdStart,
    Results,
    Turn,
    What,
)
from benchmarks.cold_bench.starts import start  # noqa: E402
from benchmarks.cold_bench.steady import Pair  # noqa: E402
from benchmarks.cold_bench.subjects import Deployed, Subject, subjects  # noqa: E402
from path_bench.imports import compile_imports  # noqa: E402
from tests.faults.story import versions  # noqa: E402
from tests.node.installation import (  # noqa: E402
    CORES,
    QUICK_START,
    Installation,
    install_packaged,
    node_with_kuberay,
)

STARTS: tuple[What, ...] = ("apply", "wake")
BEGAN = time.monotonic()


def main() -> None:
    """Measure what was asked for; what was found is printed and written as it comes."""
    options = _options()
    _tell("importing Ray and vLLM once")
    compile_imports()
    ways = subjects(QUICK_START, CORES)
    run = Run(Results(_conditions()), options.results)
    with node_with_kuberay(_tell) as installation, tempfile.TemporaryDirectory() as folder:
        install_packaged(installation.cluster, Path(folder))
        if options.cold:
            chosen = [it for it in ways if it.way in options.ways]
            run.cold(installation, chosen, options.rounds)
        if options.steady:
            run.steady(installation, {it.way: it for it in ways}, options.rounds)
    print(report(run.results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="that start")
    yes_no = argparse.BooleanOptionalAction
    parser.add_argument("--cold", action=yes_no, default=True, help="starts")
    parser.add_argument("--steady", action=yes_no, default=True, help="Freehold beside vllm serve")
    parser.add_argument("--results", type=Path, help="folder for the table and all figures")
    return parser.parse_args()


def _tell(words: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.0f} s  {words}", file=sys.stderr, flush=True)


def _conditions() -> dict[str, str]:
    """Return when and on what it was measured, by name."""
    memory = psutil.virtual_memory().total / 1024**3
    date = datetime.datetime.now(datetime.UTC).date()
    machine = f"{os.cpu_count()} cores with {memory:.0f} GiB"
    return {"": f"{date}: {machine}", **versions()}


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        results: What was found so far.
        folder: Where it is written; None to write nothing.
    """

    results: Results
    folder: Path | None

    def cold(self, installation: Installation, ways: Sequence[Subject], rounds: int) -> None:
        """Measure every start of every way, in an order that changes from round to round."""
        for number in range(1, rounds + 1):
            first = (number - 1) % len(ways)
            for subject in (*ways[first:], *ways[:first]):
                for what in STARTS:
                    _tell(f"round {number}, {subject.way}: {what}")
                    with Deployed.ready_for(installation.cluster, subject) as deployed:
                        self.keep(start(deployed, what, number))

    def steady(self, installation: Installation, ways: dict[str, Subject], rounds: int) -> None:
        """Measure turns under load, after a round that is discarded."""
        _tell("vllm serve comes up, and Freehold beside it")
        with Pair.up(installation, ways[VLLM], ways[FREEHOLD]) as pair:
            for number in range(rounds + 1):
                pair.turns(number, self.keep)

    def keep(self, found: ColdStart | Turn) -> None:
        """Tell what was found and write it, but for a discarded round."""
        if isinstance(found, ColdStart):
            parts = ", ".join(f"{name} {it:.1f}" for name, it in found.parts.items())
            _tell(f"  {found.total:.1f} s ({parts}), {found.asked} requests")
            self.results.cold.append(found)
        else:
            name = f"round {found.round or 'discarded'}, {found.streams} streams, {found.way}"
            _tell(f"{name}: {found.throughput:.1f} tok/s")
            self.results.steady += [found] if found.round else []
        self._write()

    def _write(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "cold-start.txt").write_text(f"{report(self.results)}\n")
            self.results.write(self.folder / "cold-start.json")


if __name__ == "__main__":
    main()
