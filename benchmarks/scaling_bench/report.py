"""The table and the plot of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.drawing import drawing
from benchmarks.scaling_bench.stages import Stages
from benchmarks.stage_table import stage_rows

Lines = Sequence[dict[str, Any]]


def table(found: Stages, lines: Lines, again: Sequence[int]) -> str:
    """Return a line for each stage, and what became of requests and decisions of all.

    Args:
        found: The stages, and what was answered.
        lines: The log of decisions.
        again: What was decided when each was made again.
    """
    zero = found.begun[0][0]
    stages = [(begin - zero, name) for begin, name in found.begun]
    answers = [(it.at - zero, it.seconds) for it in found.answers]

    def desired(begin: float, end: float) -> str:
        return _course([it for it in lines if begin <= it["time"] - zero < end])

    rows = stage_rows(stages, lines[-1]["time"] - zero, answers, {"desired": desired})
    lost = sum(it.status != 200 for it in found.answers)
    same = sum(one == it["desired"] for one, it in zip(again, lines, strict=True))
    return "\n".join(
        [
            *rows,
            f"{len(answers)} requests, {lost} not answered",
            f"desired: {_course(lines)}",
            f"{len(lines)} decisions, {same} of them the same when the policy that the simulator "
            f"runs is given what was seen",
        ]
    )


def _course(lines: Lines) -> str:
    """Return the numbers that were decided on, each once for as long as it stood."""
    return " ".join(str(it) for it, _ in groupby(it["desired"] for it in lines))


def plot(found: Stages, lines: Lines, again: Sequence[int], path: Path) -> None:
    """Draw queue, work and replicas over time."""
    pyplot = drawing()
    figure, (queue, work, replicas) = pyplot.subplots(3, 1, figsize=(10, 8), sharex=True)
    zero = found.begun[0][0]
    seconds = [it["time"] - zero for it in lines]
    for name, label in (("running", "run"), ("queued", "wait")):
        queue.plot(seconds, [it[name] for it in lines], label=label)
    queue.set(ylabel="requests", ylim=0)
    work.plot(seconds, [it["load"] for it in lines], color="C2")
    work.set(ylabel="work, in replicas\nthat it keeps busy", ylim=0)
    for name, style in (("desired", "--"), ("ready", "-")):
        values = [it[name] for it in lines]
        replicas.step(seconds, values, style, where="post", label=name)
    replicas.plot(seconds, again, ".", markersize=2, color="black", label="desired, made again")
    replicas.set(ylabel="replicas", yticks=[0, 1, 2], ylim=(-0.1, 3), xlabel="seconds")
    for axes in (queue, replicas):
        axes.legend(loc="upper right")
    for begin, name in found.begun:
        for axes in (queue, work, replicas):
            axes.axvline(begin - zero, linestyle=":", color="grey", linewidth=0.8)
        queue.text(begin - zero, 0, f" {name}", fontsize=7, rotation=90, va="bottom")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
