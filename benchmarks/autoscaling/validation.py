"""The simulator beside a published table: NVIDIA NIM 1.8.0, Llama 3.3 70B fp8 on two H100.

5,000 tokens in, 500 out, with so many requests at all times, each followed by another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np
from benchmarks.autoscaling import kernel
from benchmarks.autoscaling.fleet import Setting, physics
from benchmarks.autoscaling.replica import Hardware, StepTime

PROMPT, OUTPUT = 5000, 500
# with an fp8 KV cache, as NIM runs it: twice the tokens, and fewer bytes to read for each
HARDWARE = Hardware(
    "70B fp8, 2 x H100", 2, StepTime(10.8, 0.0698, 9.7e-7, 16.92, 0.0343, 0.030), 470_000
)


@dataclass(frozen=True, slots=True)
class Row:
    """One concurrency: time to the first token and between tokens in ms, and tokens a second."""

    concurrency: int
    first: float
    between: float
    throughput: float


PUBLISHED = (
    Row(1, 407, 18.6, 51.7),
    Row(5, 547, 21.8, 218),
    Row(25, 689, 38.8, 623),
    Row(50, 835, 59.7, 814),
    Row(100, 7996, 92.9, 917),
    Row(150, 34_800, 92.9, 921),
    Row(250, 88_600, 93.2, 920),
)


def simulated(concurrency: int, spread: float, seed: int) -> Row:
    """Return the same row of the simulator."""
    count = 12 * max(concurrency, 10)
    arrival = np.full(count, np.inf)
    # somewhere in their answers: all at once, they would come back at once for ever
    arrival[:concurrency] = np.sort(np.random.default_rng(seed).uniform(0, spread, concurrency))
    setting = Setting(HARDWARE, 0.0, 2.0, 1, max_ongoing=HARDWARE.max_num_seqs)
    same = np.full(count, PROMPT), np.full(count, OUTPUT)
    world = kernel.world(arrival, *same, physics(setting), 1, 1, closed=concurrency)
    kernel.start(world, 0.0, 0.0)
    kernel.advance(world, 1e9)
    # what began at once at the beginning, and what ended among fewer, is no steady state
    steady = (
        slice(2 * concurrency, count - concurrency) if concurrency < count // 3 else slice(None)
    )
    first = world.first[steady] - world.arrival[steady]
    between = (world.done[steady] - world.first[steady]) / (OUTPUT - 1)
    took = world.done[steady].max() - world.done[steady].min()
    throughput = (len(first) - 1) * OUTPUT / took
    return Row(concurrency, 1e3 * first.mean(), 1e3 * between.mean(), throughput)


def errors(seed: int = 1) -> tuple[list[tuple[Row, Row]], tuple[float, float, float]]:
    """Return the rows, published and simulated, and the mean relative errors of the three."""
    rows = [(it, simulated(it.concurrency, OUTPUT * it.between / 1e3, seed)) for it in PUBLISHED]
    return rows, (
        fmean(abs(ours.first / it.first - 1) for it, ours in rows),
        fmean(abs(ours.between / it.between - 1) for it, ours in rows),
        fmean(abs(ours.throughput / it.throughput - 1) for it, ours in rows),
    )
