"""The table and the plot of one run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.drawing import drawing
from benchmarks.replica_bench.watched import Watched
from benchmarks.stage_table import stage_rows

_STEPS = ("ready", "desired", "pods")
_LABELS = {"ready": "replicas that answer", "desired": "replicas wanted", "pods": "worker pods"}


def table(found: Watched) -> str:
    """Return a line for each stage, and what became of the requests of all."""
    answers = [(it.second, it.latency) for it in found.answers]
    rows = stage_rows(found.stages, found.samples[-1].second, answers)
    sent = sum(load.sent for load in found.loads)
    lost = sum(len(load.lost) for load in found.loads)
    ids = [it.words for load in found.loads for it in load.ended if it.status == 200]
    rows.append(f"{sent} requests, {lost} lost, {len(ids) - len(set(ids))} answers came twice")
    return "\n".join(rows)


def plot(found: Watched, path: Path) -> None:
    """Draw the queue, the replicas with their pods, and the latency of each answer."""
    pyplot = drawing()
    figure, (queue, replicas, latency) = pyplot.subplots(3, 1, figsize=(10, 8), sharex=True)
    seconds = [it.second for it in found.samples]
    queue.plot(seconds, [it.asked for it in found.samples], color="C0")
    queue.set(ylabel="requests under way", ylim=0)
    for index, name in enumerate(_STEPS):
        values = [getattr(it, name) for it in found.samples]
        replicas.step(seconds, values, where="post", label=_LABELS[name], color=f"C{index + 1}")
    replicas.set(ylabel="replicas, pods", yticks=[0, 1, 2])
    replicas.legend(loc="upper right")
    answers = found.answers
    latency.plot([it.second for it in answers], [it.latency for it in answers], ".", markersize=2)
    latency.set(ylabel="latency of an answer, s", xlabel="seconds", yscale="log")
    for second, name in found.stages:
        for axes in (queue, replicas, latency):
            axes.axvline(second, linestyle=":", color="grey")
        queue.text(second, queue.get_ylim()[1], f" {name}", fontsize=7, va="top", rotation=90)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
