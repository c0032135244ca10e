"""Figures to text: a table of each kind of start, and one of the steady state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

from benchmarks.cold_bench.results import (
    FREEHOLD,
    PLAIN,
    REST,
    VLLM,
    WAYS,
    ColdStart,
    Results,
    Turn,
    What,
)
from benchmarks.cold_bench.watched import PARTS
from benchmarks.path_bench.columns import columns
from benchmarks.path_bench.roles import ROLES

TITLES = {FREEHOLD: "Freehold", PLAIN: "plain RayService", VLLM: "vllm serve"}
_HEADS: dict[What, str] = {
    "apply": "From kubectl apply to the first token",
    "wake": "From a request at zero replicas to its first token; vllm serve is scaled by hand",
}
_NOTE = "seconds, medians over the rounds; each part counts from the end of the part before it"
_NONE = "-"
_STEADY = (
    *("way", "streams", "rounds", "tok/s", "TTFT p50", "p95", "between p50"),
    *("of vllm serve", "least", "most"),
)


def report(results: Results) -> str:
    """Return all tables of what was measured so far, below what it was measured on."""
    conditions = ", ".join(f"{name} {it}".strip() for name, it in results.conditions.items())
    kinds = (_cold(results, what) for what in _HEADS)
    steady = (_steady(results), _cpu(results))
    return "\n\n".join(it for it in (conditions, *kinds, *steady) if it)


def _cold(results: Results, what: What) -> str:
    """Return the table of one kind of start; "" where there was none."""
    ways = [way for way in WAYS if results.starts(what, way)]
    if not ways:
        return ""
    parts = [it for it in PARTS if any(it in s.moments for s in results.cold if s.what == what)]
    head = ["way", "rounds", *parts, "total", "least", "most"]
    head += [f"of {TITLES[PLAIN]}", f"of {TITLES[VLLM]}", "requests"]
    rows = [head, *(_cold_row(results, what, way, parts) for way in ways)]
    return f"{_HEADS[what]}\n({_NOTE})\n{columns(rows)}"


def _cold_row(results: Results, what: What, way: str, parts: Sequence[str]) -> list[str]:
    starts = results.starts(what, way)
    totals = [it.total for it in starts]
    ratios = (
        _median(ratios_of(starts, results.starts(what, other)).values(), "{:.2f}")
        for other in (PLAIN, VLLM)
    )
    return [
        TITLES[way],
        str(len(starts)),
        *(_median(it.parts[part] for it in starts if part in it.parts) for part in parts),
        *(f"{it:.1f}" for it in (median(totals), min(totals), max(totals))),
        *ratios,
        _median((it.asked for it in starts), "{:.0f}"),
    ]


def ratios_of(starts: Iterable[ColdStart], others: Iterable[ColdStart]) -> dict[int, float]:
    """Return by round how much longer one way took than another in the same round."""
    theirs = {it.round: it.total for it in others}
    return {it.round: it.total / theirs[it.round] for it in starts if it.round in theirs}


def _steady(results: Results) -> str:
    """Return the table of the steady state; "" where it was not measured."""
    rows = list(_steady_rows(results))
    if not rows:
        return ""
    return f"Steady state, both in pods, one at a time\n{columns([list(_STEADY), *rows])}"


def _steady_rows(results: Results) -> Iterator[list[str]]:
    for streams, way, turns in _cells(results):
        plain = {it.round: it.throughput for it in results.turns(streams, VLLM)}
        ratios = [it.throughput / plain[it.round] for it in turns if it.round in plain]
        yield [
            TITLES[way],
            str(streams),
            str(len(turns)),
            _median(it.throughput for it in turns),
            _milliseconds(it.first_p50 for it in turns),
            _milliseconds(it.first_p95 for it in turns),
            _milliseconds(it.between_p50 for it in turns),
            *(_of(choose, ratios) for choose in (median, min, max)),
        ]


def _cpu(results: Results) -> str:
    """Return the CPU time of a token by who used it; "" where the steady state was not measured."""
    rows = list(_cpu_rows(results))
    if not rows:
        return ""
    head = ["way", "streams", *ROLES, "rest of the machine", "sum"]
    return f"CPU for a token, in milliseconds\n{columns([head, *rows])}"


def _cpu_rows(results: Results) -> Iterator[list[str]]:
    for streams, way, turns in _cells(results):
        used = [median(it.cpu.get(r, 0.0) for it in turns) * 1e3 for r in (*ROLES, REST)]
        yield [TITLES[way], str(streams), *(f"{it:.2f}" for it in (*used, sum(used)))]


def _cells(results: Results) -> Iterator[tuple[int, str, list[Turn]]]:
    """Yield what was measured, by the number of streams and the way, with its turns."""
    for streams in sorted({it.streams for it in results.steady}):
        for way in WAYS:
            if turns := results.turns(streams, way):
                yield streams, way, turns


def _milliseconds(values: Iterable[float]) -> str:
    return _median((it * 1e3 for it in values), "{:.1f} ms")


def _median(values: Iterable[float], form: str = "{:.1f}") -> str:
    return _of(median, list(values), form)


def _of(
    choose: Callable[[Sequence[float]], float], values: Sequence[float], form: str = "{:.2f}"
) -> str:
    return form.format(choose(values)) if values else _NONE
