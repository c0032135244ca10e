"""The decisions of an hour as a table to argue with, and queue, work and replicas over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from freehold.api.faults import counted
from freehold.cli.page import can_shade
from freehold.status.decisions import Decided, telling

_BLOCKS, _PLAIN = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
_COLUMNS = 60
# A row at least every so many seconds, however little changes.
_EVERY_S = 600.0
_STRIPS: tuple[tuple[str, Callable[[Decided], float]], ...] = (
    ("queued", lambda it: it.queued),
    ("running", lambda it: it.running),
    ("work", lambda it: it.load),
    ("ready", lambda it: it.ready),
    ("desired", lambda it: it.desired),
)


def show(console: Console, decisions: tuple[Decided, ...]) -> None:
    """Write the table and, below it, the course of each number."""
    rows = telling(decisions, _EVERY_S)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("UTC", "QUEUED", "RUNNING", "WORK", "READY", "STARTING", "DESIRED"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("WHY")
    for it in rows:
        numbers = (it.queued, it.running, f"{it.load:.1f}", it.ready, it.starting, it.desired)
        table.add_row(_clock(it.time), *map(str, numbers), f"{it.reason}: {it.message}")
    console.print(table)
    console.print()
    _show_course(console, decisions)
    last = decisions[-1]
    console.print(
        f"\n{counted(len(decisions), 'decision')}, {counted(len(rows), 'row')} above: those that "
        f"differ, and one in ten minutes. Work is in replicas that it keeps busy. "
        f"The last one was at {_clock(last.time)} UTC."
    )


def _show_course(console: Console, decisions: Sequence[Decided]) -> None:
    begin, end = decisions[0].time, decisions[-1].time
    for name, value in _STRIPS:
        cells = _cells(decisions, value)
        most = max(cells)
        marks = _BLOCKS if can_shade(console) else _PLAIN
        strip = "".join(marks[_height(it, most, len(marks) - 1)] for it in cells)
        console.print(f"{name:>8} |{strip}| at the most {most:.3g}", soft_wrap=True)
    console.print(f"{'':>9}{_clock(begin)}{_clock(end):>{_COLUMNS - 6}}", soft_wrap=True)


def _cells(decisions: Sequence[Decided], value: Callable[[Decided], float]) -> list[float]:
    """Return the greatest number of each column; where nothing was decided, the one before."""
    begin, end = decisions[0].time, decisions[-1].time
    width = max(end - begin, 1.0) / _COLUMNS
    found: list[float | None] = [None] * _COLUMNS
    for it in decisions:
        at = min(_COLUMNS - 1, int((it.time - begin) / width))
        found[at] = max(found[at] or 0.0, value(it))
    known, cells = 0.0, []
    for cell in found:
        known = known if cell is None else cell
        cells.append(known)
    return cells


def _height(value: float, most: float, heights: int) -> int:
    """Return how high a mark is; what is more than nothing is to be seen."""
    return min(heights, -int(-value * heights // most)) if most > 0 else 0


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")
