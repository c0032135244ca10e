"""The tables and plots of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import geometric_mean, median

from benchmarks.autoscaling import validation
from benchmarks.autoscaling.cells import CLAIRVOYANT, LIMIT, OURS, Cell, Result
from benchmarks.autoscaling.rivals import RIVALS
from benchmarks.autoscaling.scenarios import SCENARIOS, Scenario
from benchmarks.drawing import drawing

Results = Mapping[Cell, Result]
_WIDTH = 15
_NAME = 26
# of a picture
_COLUMNS = 2


def name_of(cell: Cell) -> str:
    """Return a policy with its target, where that is not its default."""
    target = "" if cell.target is None else f" {cell.target:g}"
    return f"{cell.policy}{target}" + (f", {cell.fault}" if cell.fault else "")


def table(results: Results) -> str:
    """Return a row for each policy: attainment and GPU-hours beside the clairvoyant's."""
    names = list(dict.fromkeys(name_of(it) for it in results if it.policy != LIMIT))
    names.sort(key=lambda it: (it != CLAIRVOYANT, it != OURS, it))
    scenarios = _scenarios(results)
    head = f"{'':<{_NAME}}" + "".join(f"{it.name:>{_WIDTH}}" for it in scenarios)
    rows = [head + f"{'least':>8}{'most':>8}{'mean':>8}"]
    rows += [_row(name, scenarios, results) for name in names]
    return "\n".join(rows)


def _row(name: str, scenarios: Iterable[Scenario], results: Results) -> str:
    cells, attained, ratios = [], [], []
    for scenario in scenarios:
        mine = _of(results, name, scenario.name)
        if not mine:
            cells.append(f"{'-':>{_WIDTH}}")
            continue
        attainment = median(it.attainment for it in mine)
        hours = median(it.gpu_hours for it in mine)
        reference = _of(results, CLAIRVOYANT, scenario.name)
        if name == CLAIRVOYANT:
            cells.append(f"{100 * attainment:.1f} {hours:.0f} h".rjust(_WIDTH))
            continue
        ratio = hours / median(it.gpu_hours for it in reference)
        cells.append(f"{100 * attainment:.1f} {ratio:.2f}x".rjust(_WIDTH))
        if not scenario.steps:
            attained.append(attainment)
            ratios.append(ratio)
    end = ""
    if ratios:
        end = f"{100 * min(attained):>8.1f}{max(ratios):>7.2f}x{geometric_mean(ratios):>7.2f}x"
    return f"{name:<{_NAME}}{''.join(cells)}{end}"


def _of(results: Results, name: str, scenario: str) -> list[Result]:
    return [
        found
        for cell, found in results.items()
        if name_of(cell) == name and cell.scenario == scenario
    ]


def about(results: Results) -> str:
    """Return what the scenarios are, with what the clairvoyant found, and the peers' versions."""
    rows = []
    for scenario in _scenarios(results):
        notes = {it.note for it in _of(results, CLAIRVOYANT, scenario.name) if it.note}
        rows.append(f"{scenario.name:<16}{scenario.about}; clairvoyant: {', '.join(sorted(notes))}")
    shown = {cell.policy for cell in results}
    rows += [
        f"{it.name:<16}{it.version}; by default {it.default:g} ({it.unit})"
        for it in RIVALS
        if it.name in shown
    ]
    return "\n".join(rows)


def limits(results: Results) -> str:
    """Return, for steps that nobody announced, what can be attained and what ours did."""
    rows = []
    for cell, found in results.items():
        if cell.policy == LIMIT:
            ours = median(it.attainment for it in _of(results, OURS, cell.scenario))
            rows.append(
                f"{cell.scenario}: who reacts at once attains {100 * found.attainment:.1f} % at "
                f"the most; Freehold {100 * ours:.1f} %"
            )
    return "\n".join(rows)


def validated() -> str:
    """Return the simulator's errors beside NVIDIA's published table."""
    rows, (first, between, throughput) = validation.errors()
    lines = ["concurrency   first token ms   between tokens ms        tokens/s"]
    for theirs, ours in rows:
        lines.append(
            f"{theirs.concurrency:>11}{theirs.first:>9.0f} {ours.first:>7.0f}"
            f"{theirs.between:>12.1f} {ours.between:>7.1f}"
            f"{theirs.throughput:>9.0f} {ours.throughput:>6.0f}"
        )
    lines.append(
        f"mean error: first token {first:.1%}, between tokens {between:.1%}, "
        f"throughput {throughput:.1%}"
    )
    return "\n".join(lines)


def plots(results: Results, folder: Path) -> None:
    """Draw attainment against GPU-hours, a point for each policy, and replicas over each day."""
    pyplot = drawing()
    scenarios = _scenarios(results)
    rows = -(-len(scenarios) // _COLUMNS)
    for name, height, draw in (("cost", 3.2, _points), ("days", 2.6, _days)):
        size = (12, height * rows)
        figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=size, squeeze=False)
        for scenario, one in zip(scenarios, axes.flat, strict=False):
            draw(one, scenario, results)
        figure.tight_layout()
        figure.savefig(folder / f"autoscaling-{name}.svg", metadata={"Date": None})


def _scenarios(results: Results) -> list[Scenario]:
    return [it for it in SCENARIOS if any(cell.scenario == it.name for cell in results)]


def _points(axes: object, scenario: Scenario, results: Results) -> None:
    names = dict.fromkeys(name_of(it) for it in results if it.policy != LIMIT)
    reference = median(it.gpu_hours for it in _of(results, CLAIRVOYANT, scenario.name))
    for name in names:
        mine = _of(results, name, scenario.name)
        if not mine:
            continue
        x = median(it.gpu_hours for it in mine) / reference
        y = 100 * median(it.attainment for it in mine)
        axes.plot(x, y, "*" if name == OURS else "o", label=name)  # type: ignore[attr-defined]
        axes.annotate(name, (x, y), fontsize=6, xytext=(3, 3), textcoords="offset points")  # type: ignore[attr-defined]
    axes.axhline(98, linestyle=":", color="grey")  # type: ignore[attr-defined]
    axes.set(title=scenario.name, xlabel="GPU-hours, clairvoyant = 1", ylabel="in time, %")  # type: ignore[attr-defined]


def _days(axes: object, scenario: Scenario, results: Results) -> None:
    for name in (CLAIRVOYANT, OURS):
        mine = _of(results, name, scenario.name)
        if mine:
            there = mine[0].minutes[1]
            hours = [index / 60 for index in range(len(there))]
            axes.step(hours, there, where="post", label=name, linewidth=0.8)  # type: ignore[attr-defined]
    axes.set(title=scenario.name, xlabel="hour", ylabel="replicas", ylim=0)  # type: ignore[attr-defined]
    axes.legend(fontsize=7)  # type: ignore[attr-defined]
