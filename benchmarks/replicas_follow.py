"""Replicas and worker pods that follow the queue on a real node: 1 to 2 to 1 to 0 to 1.

A node of this machine with KubeRay, Freehold from its packaged charts, and the quick start's model.
Clients ask one request after the other; each stage ends when what it waits for is seen. Run it with
``python benchmarks/replicas_follow.py`` or ``make bench-replicas``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from benchmarks.replica_bench.report import plot, table  # noqa: E402
from benchmarks.replica_bench.watched import Watched, watching  # noqa: E402
from tests.cluster.load import MANY, Load, load  # noqa: E402
from tests.cluster.model import Model  # noqa: E402
from tests.node.installation import (  # noqa: E402
    QUICK_START,
    install_packaged,
    node_with_kuberay,
)

# Less than one replica runs at once.
FEW = 4
IDLE = "60s"
# Serve averages the load and waits before it takes a replica away: five minutes of it.
PATIENCE_S = 900.0
# How long two replicas are let answer, so that the plot shows what the second one brings.
BOTH_S = 60.0


def main() -> None:
    """Run the stages, print the table, and write it and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="folder for table and plot")
    options = parser.parse_args()
    with node_with_kuberay(_tell) as installation, tempfile.TemporaryDirectory() as folder:
        install_packaged(installation.cluster, Path(folder))
        with Model.deployed(installation.cluster, QUICK_START) as model:
            model.edit(autoscaling={"scaleToZeroAfter": IDLE})
            model.wait("Ready", "True", "ScaledToZero", PATIENCE_S)
            model.complete("Once upon a time", 1)
            with watching(model) as found:
                _stages(found)
    print(table(found))
    if options.results is not None:
        (options.results / "replicas-follow.txt").write_text(f"{table(found)}\n")
        plot(found, options.results / "replicas-follow.svg")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _stages(found: Watched) -> None:
    with _stage(found, f"{FEW} clients, one replica", FEW) as stage:
        _until(found, "answers come", lambda: len(stage.ended) > 10 * FEW)
    with _stage(found, f"{MANY} clients, a second one comes", MANY):
        _until(found, "two replicas answer", lambda: _replicas(found) == (2, 2))
        both = found.second
        _until(found, "both have answered a while", lambda: found.second > both + BOTH_S)
    with _stage(found, f"{FEW} clients, it goes again", FEW):
        _until(found, "one replica is left", lambda: _replicas(found) == (1, 1))
    found.begin("nobody asks")
    _until(found, "no replica is left", lambda: _replicas(found) == (0, 0))
    with _stage(found, f"{FEW} clients wake it", FEW):
        _until(found, "one replica answers", lambda: _replicas(found) == (1, 1))


def _replicas(found: Watched) -> tuple[int, int]:
    """Return the replicas that answer, and the worker pods."""
    return found.samples[-1].ready, found.samples[-1].pods


def _until(found: Watched, what: str, holds: Callable[[], bool]) -> None:
    found.model.until(what, holds, PATIENCE_S)


@contextmanager
def _stage(found: Watched, name: str, clients: int) -> Iterator[Load]:
    found.begin(name)
    with load(found.model, clients) as asked:
        found.loads.append(asked)
        yield asked


if __name__ == "__main__":
    main()
