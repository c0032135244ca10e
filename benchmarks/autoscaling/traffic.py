"""Requests as they came in production: arrivals and lengths drawn from the traces in ``traces/``.

ServeGen's tables give, for each client of a service and each ten minutes, the rate and the law of
the time between two requests; for each six hours, the lengths. A client's requests are a renewal
process: gaps of mean one in operational time, which runs as fast as the client's rate.
"""

from __future__ import annotations

import csv
import functools
import gzip
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = Any
TRACES = Path(__file__).parent / "traces"
DAY_S = 86_400.0
_WINDOW_S = 600.0
_LENGTHS_S = 6 * 3600.0
# draws at a time beyond what is expected
_SPARE = 16


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in the order in which they come; arrays of the same length.

    Attributes:
        arrival: Seconds from the beginning.
        prompt: Tokens.
        output: Tokens.
    """

    arrival: Array
    prompt: Array
    output: Array

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.arrival)


@dataclass(frozen=True, slots=True)
class Window:
    """Ten minutes of one client: requests a second, and the law of the gaps between them."""

    begin: float
    rate: float
    family: str
    shape: float


@functools.cache
def clients(name: str) -> dict[int, list[Window]]:
    """Return the windows of each client of a ServeGen trace, in order."""
    found: dict[int, list[Window]] = {}
    with gzip.open(TRACES / f"servegen_{name}_rates.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            window = Window(
                float(row["window_start_s"]),
                float(row["rate_rps"]),
                row["family"],
                float(row["param1"]),
            )
            found.setdefault(int(row["client"]), []).append(window)
    return {client: sorted(them, key=lambda it: it.begin) for client, them in found.items()}


@functools.cache
def _lengths(name: str) -> tuple[Array, dict[int, dict[int, tuple[Array, Array]]]]:
    """Return the quantile levels, and prompts' and outputs' quantiles of clients and windows."""
    with gzip.open(TRACES / f"servegen_{name}_lengths.json.gz", "rt", encoding="utf-8") as file:
        raw = json.load(file)
    told = {
        int(client): {
            int(float(begin)): (np.array(it["in"], float), np.array(it["out"], float))
            for begin, it in windows.items()
        }
        for client, windows in raw["clients"].items()
    }
    return np.array(raw["quantile_levels"]), told


def served(
    name: str,
    day: int,
    rate: float,
    seed: int,
    chosen: Callable[[int], bool] = lambda client: True,
    prompts: float = 1.0,
    longest: int = 100_000,
) -> Requests:
    """Return a day of a ServeGen trace, every client asking more or less often alike.

    Args:
        name: ``m-large`` or ``deepseek-r1``.
        day: From 0.
        rate: Mean requests a second over the day.
        seed: Of all draws.
        chosen: Which clients ask.
        prompts: Factor on the length of prompts.
        longest: Tokens of a prompt at the most.
    """
    rng = np.random.default_rng([seed, day])
    begin, end = day * DAY_S, (day + 1) * DAY_S
    windows = {
        client: [it for it in them if begin <= it.begin < end]
        for client, them in clients(name).items()
        if chosen(client)
    }
    total = sum(it.rate for them in windows.values() for it in them) * _WINDOW_S / DAY_S
    parts = []
    for client, them in windows.items():
        times = arrivals(them, rate / total, rng) - begin
        parts.append((times, *_drawn_lengths(name, client, times + begin, rng)))
    arrival, prompt, output = (np.concatenate(it) for it in zip(*parts, strict=True))
    order = np.argsort(arrival, kind="stable")
    prompt = np.clip(np.round(prompt[order] * prompts), 1, longest)
    return Requests(arrival[order], prompt.astype(np.int64), output[order].astype(np.int64))


def arrivals(windows: Iterable[Window], factor: float, rng: np.random.Generator) -> Array:
    """Return when one client asks, at ``factor`` times its rates."""
    found = [np.empty(0)]
    residual = float(rng.random())
    for window in windows:
        expected = window.rate * factor * _WINDOW_S
        at = np.array([residual])
        while at[-1] < expected:
            gaps = _gaps(window, int(expected) + _SPARE, rng)
            at = np.concatenate([at, at[-1] + np.cumsum(gaps)])
        inside = at[at < expected]
        found.append(window.begin + inside / expected * _WINDOW_S)
        residual = float(at[len(inside)] - expected)
    return np.concatenate(found)


def _gaps(window: Window, count: int, rng: np.random.Generator) -> Array:
    """Return gaps of mean one."""
    if window.family == "G":
        return rng.gamma(window.shape, 1 / window.shape, count)
    return rng.weibull(window.shape, count) / math.gamma(1 + 1 / window.shape)


def _drawn_lengths(
    name: str, client: int, times: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    levels, told = _lengths(name)
    # some clients' lengths are not told: another one's stand for them
    known = told.get(client) or told[sorted(told)[client % len(told)]]
    begins = np.array(sorted(known))
    at = np.clip(np.searchsorted(begins, times // _LENGTHS_S * _LENGTHS_S, "right") - 1, 0, None)
    prompt, output = np.empty(len(times)), np.empty(len(times))
    for index in np.unique(at):
        mine = at == index
        quantiles = known[begins[index]]
        for drawn, values in zip((prompt, output), quantiles, strict=True):
            drawn[mine] = np.round(np.interp(rng.random(mine.sum()), levels, values))
    return np.maximum(prompt, 1), np.maximum(output, 1)


@functools.cache
def azure(name: str) -> Requests:
    """Return an hour of Azure's services: ``code`` or ``conv``, as it was."""
    with gzip.open(TRACES / f"azure2023_{name}.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = np.array([it["TIMESTAMP"].strip()[:26] for it in rows], "datetime64[us]")
    seconds = (times - times[0]) / np.timedelta64(1, "s")
    prompt = np.array([int(it["ContextTokens"]) for it in rows])
    output = np.maximum([int(it["GeneratedTokens"]) for it in rows], 1)
    return Requests(seconds, prompt, output)


def with_lengths_of(requests: Requests, lengths: Requests, seed: int) -> Requests:
    """Return the same arrivals where prompt and output are drawn, together, from others."""
    drawn = np.random.default_rng([seed, 7]).integers(0, len(lengths), len(requests))
    return Requests(requests.arrival, lengths.prompt[drawn], lengths.output[drawn])


def at_rates(steps: Iterable[tuple[float, float]], lengths: Requests, seed: int) -> Requests:
    """Return Poisson arrivals whose rate changes, with lengths drawn from others.

    Args:
        steps: Seconds, and requests a second during them.
        lengths: Where prompts and outputs are drawn from, together.
        seed: Of all draws.
    """
    rng = np.random.default_rng([seed, 11])
    begin, found = 0.0, []
    for seconds, rate in steps:
        found.append(begin + np.sort(rng.random(rng.poisson(seconds * rate))) * seconds)
        begin += seconds
    arrival = np.concatenate(found)
    return with_lengths_of(Requests(arrival, arrival, arrival), lengths, seed)
