"""A table of a run in stages: when each began, what it took, and the answers that came in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

_HEAD = ("from s", "took s", "answers", "median s", "longest s")


def stage_rows(
    stages: Sequence[tuple[float, str]],
    end: float,
    answers: Sequence[tuple[float, float]],
    further: Mapping[str, Callable[[float, float], str]] | None = None,
) -> list[str]:
    """Return a head, and a row for each stage.

    Args:
        stages: The second at which each began, and its name.
        end: The second at which the last one ended.
        answers: The second at which each came, and the seconds that it took.
        further: Columns by their heads, of a stage's first second and its last.
    """
    columns = further or {}
    rows = [_row("stage", (*_HEAD, *columns))]
    ends = [second for second, _ in stages[1:]] + [end]
    for (begin, name), until in zip(stages, ends, strict=True):
        took = [seconds for second, seconds in answers if begin <= second < until]
        cells = (
            f"{begin:.0f}",
            f"{until - begin:.0f}",
            str(len(took)),
            f"{median(took):.2f}" if took else "-",
            f"{max(took):.2f}" if took else "-",
            *(column(begin, until) for column in columns.values()),
        )
        rows.append(_row(name, cells))
    return rows


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<34}" + "".join(f"{it:>11}" for it in cells)
