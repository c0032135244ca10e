"""Figures to text."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from path_bench.columns import columns
from path_bench.results import Cell, ModelResult, WayCosts
from path_bench.roles import ROLES
from path_bench.rounds import Figures

PLAIN = "vllm"
STOCK = ("ray-direct", "ray-stock")
TITLES = {
    PLAIN: "plain vLLM",
    "freehold": "Freehold",
    "ray-direct": "Ray, direct streaming",
    "ray-stock": "Ray, stock ingress",
}
_HEAD = (
    *("path", "streams", "first token", "tok/s min", "median", "max"),
    *("TTFT p50", "p95", "between p50", "of vLLM", "least", "most", "of Ray's better"),
)


def main_table(result: ModelResult) -> str:
    """Return the table of one model: every path at every number of streams."""
    cells = [(path, streams) for streams in result.streams() for path in result.paths()]
    return columns([list(_HEAD), *(_row(result, *cell) for cell in cells)])


def _row(result: ModelResult, path: str, streams: int) -> list[str]:
    cell = result.cell(path, streams)
    rates = [figures.throughput for figures in cell.figures]
    return [
        TITLES[path],
        str(streams),
        f"{result.first_token[path]:.0f} s",
        *(f"{value:.1f}" for value in (min(rates), statistics.median(rates), max(rates))),
        f"{median(cell, lambda f: f.first_p50) * 1e3:.0f} ms",
        f"{median(cell, lambda f: f.first_p95) * 1e3:.0f} ms",
        f"{median(cell, lambda f: f.between_p50) * 1e3:.1f} ms",
        *(_two(value) for value in of_plain_in_all(cell)),
        _two(of_stock(cell, better_stock(result, streams))),
    ]


def better_stock(result: ModelResult, streams: int) -> Cell | None:
    """Return the faster of Ray's own two paths, by what ``of_stock`` compares."""
    cells = [cell for path in STOCK if (cell := result.find(path, streams))]
    return max(cells, key=lambda cell: of_stock(cell, cells[0]) or 0.0, default=None)


def median(cell: Cell, of: Callable[[Figures], float]) -> float:
    """Return the median over the rounds of a cell."""
    return statistics.median(of(figures) for figures in cell.figures)


def of_plain(cell: Cell) -> float | None:
    """Return the median ratio to plain vLLM's throughput in the same round."""
    return of_plain_in_all(cell)[0]


def of_plain_in_all(cell: Cell) -> tuple[float | None, float | None, float | None]:
    """Return the median, least and greatest ratio to plain vLLM's throughput in a round."""
    if cell.path == PLAIN:
        return 1.0, None, None
    if not cell.beside:
        return None, None, None
    pairs = zip(cell.figures, cell.beside, strict=False)
    ratios = [figures.throughput / plain for figures, plain in pairs]
    return statistics.median(ratios), min(ratios), max(ratios)


def of_stock(cell: Cell, stock: Cell | None) -> float | None:
    """Return the throughput over stock Ray's, both by their ratio to plain vLLM if there is one."""
    if stock is None:
        return None
    ours, theirs = of_plain(cell), of_plain(stock)
    if ours is None or theirs is None:
        ours, theirs = (median(c, lambda f: f.throughput) for c in (cell, stock))
    return ours / theirs


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def cpu_table(result: ModelResult) -> str:
    """Return the CPU time for each token, by the part that used it."""
    rows = [["CPU for a token, in microseconds", "streams", *ROLES, "sum"]]
    for streams in result.streams():
        for path in result.paths():
            cell = result.cell(path, streams)
            used = [median(cell, lambda f, r=role: f.cpu.get(r, 0.0)) * 1e6 for role in ROLES]  # type: ignore[misc]
            rows.append(
                [TITLES[path], str(streams), *(f"{value:.0f}" for value in (*used, sum(used)))]
            )
    return columns(rows)


def parts_table(result: ModelResult) -> str:
    """Return where Freehold and plain vLLM differ, in CPU microseconds for each token."""
    if result.find("freehold", 1) is None or result.find(PLAIN, 1) is None:
        return ""
    labels = {
        "proxy": "HAProxy and Ray's proxy actor",
        "router": "Ray's LLMRouter, asked once a request",
        "server": "replica against vLLM's API server (Serve's ingress, guard, statistics)",
        "engine core": "engine core",
        "workers": "workers (they spin while they wait for each other)",
        "Ray's own": "GCS, raylet, dashboard, agents, controller, freehold run",
        "client": "the client of this benchmark",
    }
    rows = [["Freehold less plain vLLM, CPU microseconds a token", *map(str, result.streams())]]
    for role, label in labels.items():
        rows.append([label, *(f"{_more(result, role, n):+.0f}" for n in result.streams())])
    rows += [[label, *values] for label, values in _bypass_rows(result)]
    return columns(rows)


def _more(result: ModelResult, role: str, streams: int) -> float:
    ours, plain = result.cell("freehold", streams), result.cell(PLAIN, streams)
    of = [median(cell, lambda f: f.cpu.get(role, 0.0)) for cell in (ours, plain)]
    return (of[0] - of[1]) * 1e6


def _bypass_rows(result: ModelResult) -> Iterable[tuple[str, list[str]]]:
    cells = [result.find("bypass", n) for n in result.streams()]
    if all(cells):
        yield (
            "throughput at the replica's own port, of that through HAProxy",
            [f"{_two(of_plain(cell))}" for cell in cells if cell],
        )


def way_table(costs: WayCosts) -> str:
    """Return the costs of the way itself."""
    rows = [["A server that streams and computes nothing", "CPU microseconds"]]
    rows += [[f"{name}, a chunk", f"{value:.0f}"] for name, value in costs.chunk.items()]
    rows.append(["the guard, a request (none a chunk)", f"{costs.guard:.1f}"])
    return columns(rows)
