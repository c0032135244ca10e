"""The table and the plot of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.drawing import drawing
from benchmarks.operator_bench.measure import Measured

_HEAD = (
    "models",
    "bare client, s",
    "every RayService, s",
    "ratio",
    "bare, all objects, s",
    "every status, s",
    "ratio",
    "p50/p99 to RayService, s",
    "p50/p99 to status, s",
    "CPU, s",
    "memory, MiB",
    "at rest, % of a core",
)


def table(found: Sequence[Measured]) -> str:
    """Return a line for each size."""
    rows = [_HEAD, *(_row(item) for item in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(lines)


def plot(found: Sequence[Measured], path: Path) -> None:
    """Draw time and memory over the number of models."""
    pyplot = drawing()
    sizes = [item.models for item in found]
    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(10, 4))
    series = {
        "every status settled": [item.settled for item in found],
        "every RayService exists": [item.ray_services for item in found],
        "bare client, all the same objects": [item.bare_whole for item in found],
        "bare client, the same RayServices": [item.bare for item in found],
    }
    for name, values in series.items():
        time.plot(sizes, values, marker="o", label=name)
    time.set(xlabel="ModelDeployments at once", ylabel="seconds")
    time.legend()
    memory.plot(sizes, [item.memory for item in found], marker="o", color="C3")
    memory.axhline(200, linestyle=":", color="grey")
    memory.set(xlabel="ModelDeployments", ylabel="resident memory of the operator, MiB", ylim=0)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _row(item: Measured) -> tuple[str, ...]:
    return (
        str(item.models),
        f"{item.bare:.1f}",
        f"{item.ray_services:.1f}",
        f"{item.ratio:.2f}",
        f"{item.bare_whole:.1f}",
        f"{item.settled:.1f}",
        f"{item.ratio_whole:.2f}",
        f"{item.first[0]:.2f} / {item.first[1]:.2f}",
        f"{item.last[0]:.2f} / {item.last[1]:.2f}",
        f"{item.cpu:.1f}",
        f"{item.memory:.0f}",
        f"{100 * item.rest_cpu:.2f}",
    )
