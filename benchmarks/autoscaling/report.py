"""The tables and plots of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from benchmarks.autoscaling import validation
from benchmarks.autoscaling.cells import CLAIRVOYANT, LIMIT, OURS, Cell, Result
from benchmarks.autoscaling.clairvoyant import GOAL
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
    return _named(cell.policy, cell.target) + (f", {cell.fault}" if cell.fault else "")


def _named(policy: str, target: float | None) -> str:
    return policy if target is None else f"{policy} {target:g}"


# Of a policy in a scenario: attainment and GPU-hours, medians over seeds.
Figures = tuple[float, float]


def table(results: Results) -> str:
    """Return a row for each policy: attainment and GPU-hours beside the clairvoyant's.

    Where peers were tried at other targets, too, each has a row more, of the best one of each day.
    """
    names = list(dict.fromkeys(name_of(it) for it in results if it.policy != LIMIT))
    names.sort(key=lambda it: (it != CLAIRVOYANT, it != OURS, it))
    scenarios = _scenarios(results)
    head = f"{'':<{_NAME}}" + "".join(f"{it.name:>{_WIDTH}}" for it in scenarios)
    rows = [head + f"{'least':>8}{'most':>8}{'mean':>8}"]
    rows += [
        _row(name, [_figures(results, name, it) for it in scenarios], results) for name in names
    ]
    for policy in dict.fromkeys(it.policy for it in results if it.target is not None):
        best = [_best(results, policy, it) for it in scenarios]
        rows.append(_row(f"{policy}, best of each day", best, results))
    return "\n".join(rows)


def _row(name: str, found: list[Figures | None], results: Results) -> str:
    cells, attained, ratios = [], [], []
    for scenario, figures in zip(_scenarios(results), found, strict=True):
        reference = _figures(results, CLAIRVOYANT, scenario)
        if figures is None or reference is None:
            cells.append(f"{'-':>{_WIDTH}}")
            continue
        attainment, hours = figures
        ratio = hours / reference[1]
        told = f"{hours:.0f} h" if name == CLAIRVOYANT else f"{ratio:.2f}x"
        cells.append(f"{100 * attainment:.1f} {told}".rjust(_WIDTH))
        if not scenario.steps and name != CLAIRVOYANT:
            attained.append(attainment)
            ratios.append(ratio)
    end = ""
    if ratios:
        end = f"{100 * min(attained):>8.1f}{max(ratios):>7.2f}x{geometric_mean(ratios):>7.2f}x"
    return f"{name:<{_NAME}}{''.join(cells)}{end}"


def _figures(results: Results, name: str, scenario: Scenario) -> Figures | None:
    mine = _of(results, name, scenario.name)
    if not mine:
        return None
    return median(it.attainment for it in mine), median(it.gpu_hours for it in mine)


def _best(results: Results, policy: str, scenario: Scenario) -> Figures | None:
    """Return the cheapest of a peer's targets that answers enough, or the one that answers most."""
    names = dict.fromkeys(name_of(it) for it in results if it.policy == policy)
    tried = [it for name in names if (it := _figures(results, name, scenario)) is not None]
    enough = [it for it in tried if it[0] >= GOAL]
    return min(enough, key=lambda it: it[1]) if enough else max(tried, default=None)


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
    """Return what can be attained by who knows the present load, and nothing of the next."""
    rows = []
    for scenario in _scenarios(results):
        limit = _of(results, LIMIT, scenario.name)
        ours = _figures(results, OURS, scenario)
        if limit and ours is not None:
            most = median(it.attainment for it in limit)
            rows.append(
                f"{scenario.name}: who reacts at once attains {100 * most:.1f} % at the most; "
                f"Freehold {100 * ours[0]:.1f} %"
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


def _points(axes: Any, scenario: Scenario, results: Results) -> None:
    reference = _figures(results, CLAIRVOYANT, scenario)
    shown = [it for it in results if it.policy != LIMIT and not it.fault]
    for index, policy in enumerate(dict.fromkeys(it.policy for it in shown)):
        for target in dict.fromkeys(it.target for it in shown if it.policy == policy):
            figures = _figures(results, _named(policy, target), scenario)
            if figures is None or reference is None:
                continue
            x, y = figures[1] / reference[1], 100 * figures[0]
            # other targets than the published one are small and have no name
            marker = "." if target is not None else "*" if policy == OURS else "o"
            axes.plot(x, y, marker, color=f"C{index % 10}")
            if target is None:
                axes.annotate(policy, (x, y), fontsize=6, xytext=(3, 3), textcoords="offset points")
    axes.axhline(98, linestyle=":", color="grey")
    axes.set(title=scenario.name, xlabel="GPU-hours, clairvoyant = 1", ylabel="in time, %")


def _days(axes: Any, scenario: Scenario, results: Results) -> None:
    for name in (CLAIRVOYANT, OURS):
        mine = _of(results, name, scenario.name)
        if mine:
            there = mine[0].minutes[1]
            hours = [index / 60 for index in range(len(there))]
            axes.step(hours, there, where="post", label=name, linewidth=0.8)
    axes.set(title=scenario.name, xlabel="hour", ylabel="replicas", ylim=0)
    axes.legend(fontsize=7)
