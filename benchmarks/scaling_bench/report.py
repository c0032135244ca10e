"""The table and the plot of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.drawing import drawing
from benchmarks.scaling_bench.stages import Stages
from tests.scaling_log import made_again

Lines = Sequence[dict[str, Any]]


def table(found: Stages, lines: Lines) -> str:
    """Return a line for each stage, and what became of requests and decisions of all."""
    head = ("from s", "took s", "answers", "median s", "longest s", "desired")
    rows = [f"{'stage':<36}" + "".join(f"{it:>11}" for it in head)]
    zero = found.begun[0][0]
    ends = [begin for begin, _ in found.begun[1:]] + [lines[-1]["time"]]
    for (begin, name), end in zip(found.begun, ends, strict=True):
        took = [it.seconds for it in found.answers if begin <= it.at < end]
        course = [it["desired"] for it in lines if begin <= it["time"] < end]
        cells = (
            f"{begin - zero:.0f}",
            f"{end - begin:.0f}",
            str(len(took)),
            f"{median(took):.2f}" if took else "-",
            f"{max(took):.2f}" if took else "-",
            " ".join(str(it) for it, _ in groupby(course)),
        )
        rows.append(f"{name:<36}" + "".join(f"{it:>11}" for it in cells))
    return "\n".join([*rows, *_verdicts(found, lines)])


def _verdicts(found: Stages, lines: Lines) -> list[str]:
    lost = [it for it in found.answers if it.status != 200]
    again = [it.replicas for it in made_again(lines)]
    same = sum(one == it["desired"] for one, it in zip(again, lines, strict=True))
    course = " ".join(str(it) for it, _ in groupby(it["desired"] for it in lines))
    return [
        f"{len(found.answers)} requests, {len(lost)} not answered",
        f"desired: {course}",
        f"{len(lines)} decisions, {same} of them the same when the policy that the simulator runs "
        f"is given what was seen",
    ]


def plot(found: Stages, lines: Lines, path: Path) -> None:
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
    again = [it.replicas for it in made_again(lines)]
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
