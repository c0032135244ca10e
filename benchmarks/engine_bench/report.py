"""The table and the plot of engine and simulation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.drawing import drawing
from benchmarks.engine_bench.calibration import Calibrated
from benchmarks.engine_bench.comparison import BOUND_S, Compared

_TOLD = (
    ("first token, mean s", "first"),
    ("first token, median s", "median"),
    ("first token, 95 % s", "p95"),
    ("between tokens, ms", "between"),
    ("whole answer, mean s", "whole"),
    ("tokens a second", "throughput"),
    ("time in steps, %", "busy"),
)
_FACTORS = {"between": 1e3, "busy": 100.0}


def table(found: Calibrated, compared: Sequence[Compared]) -> str:
    """Return the step times, and a line for each figure of each load."""
    step = found.hardware.step
    rows = [
        f"step, ms: {step.d0:.1f} + {step.p1:.3f} a prompt token + {step.d1:.2f} a sequence + "
        f"{step.d2:.2f} a thousand tokens of context",
        f"learned from {found.looks} looks at the engine's own counters, which it fits within "
        f"{100 * found.error:.1f} %",
        "",
        f"{'load':<8}{'':<24}{'engine':>10}{'simulated':>11}{'error':>9}",
    ]
    for it in compared:
        rows += _lines(it)
    errors = [abs(error) for it in compared for error in _errors(it)]
    rows.append(f"mean error of all: {100 * np.mean(errors):.1f} %")
    return "\n".join(rows)


def _errors(it: Compared) -> list[float]:
    measured, simulated = it.figures
    return [getattr(simulated, name) / getattr(measured, name) - 1 for _, name in _TOLD]


def _lines(it: Compared) -> list[str]:
    measured, simulated = it.figures
    head, rows = f"{it.load}", []
    for (title, name), error in zip(_TOLD, _errors(it), strict=True):
        factor = _FACTORS.get(name, 1.0)
        one, other = factor * getattr(measured, name), factor * getattr(simulated, name)
        rows.append(f"{head:<8}{title:<24}{one:>10.3g}{other:>11.3g}{100 * error:>+8.1f}%")
        head = f"{len(it.requests)}" if not rows[1:] else ""
    late = f"{100 * measured.late:>10.1f}{100 * simulated.late:>11.1f}"
    points = 100 * (simulated.late - measured.late)
    return [*rows, f"{'':<8}{f'over {BOUND_S:g} s, %':<24}{late}{points:>+8.1f}pt"]


def plot(compared: Sequence[Compared], path: Path) -> None:
    """Draw the time to the first token over each load, of both."""
    pyplot = drawing()
    size = (10, 2.2 * len(compared))
    figure, grid = pyplot.subplots(len(compared), 1, figsize=size, squeeze=False)
    axes = grid[:, 0]
    for axis, it in zip(axes, compared, strict=True):
        for answered, label, marker in (
            (it.measured, "engine", "o"),
            (it.simulated, "simulated", "x"),
        ):
            wait: Any = answered.first - answered.arrival
            axis.plot(answered.arrival, wait, marker, markersize=3, label=label)
        axis.axhline(BOUND_S, linestyle=":", color="grey")
        axis.set(ylabel=f"{it.load}: first token, s", yscale="log")
    axes[0].legend(loc="upper right")
    axes[-1].set(xlabel="seconds")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
