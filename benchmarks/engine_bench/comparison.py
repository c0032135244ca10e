"""The same requests to the engine and to its simulation, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from benchmarks.autoscaling import kernel
from benchmarks.autoscaling.clairvoyant import work
from benchmarks.autoscaling.fleet import Setting, physics
from benchmarks.autoscaling.replica import Hardware
from benchmarks.autoscaling.traffic import Requests, at_rates, azure
from benchmarks.engine_bench.calibration import Calibrated, calibrated
from benchmarks.engine_bench.engine import CONTEXT, SEATS, TOKEN_BUDGET, Answered, Engine

# Azure's conversations, made a quarter as long: what one core answers at a rate worth the name.
_SHORTER, _LONGEST_PROMPT, _LONGEST_OUTPUT = 4, CONTEXT * 3 // 4, CONTEXT // 8
BOUND_S = 2.0
# Seconds, and requests a second, from which the engine's costs are learned.
_CALIBRATION, _CALIBRATION_SEED = ((60.0, 0.3), (60.0, 0.8), (60.0, 1.3)), 1000
# Seconds, and the share of the replica that is asked for meanwhile.
Course = tuple[tuple[float, float], ...]
LOADS: dict[str, Course] = {
    "half": ((180, 0.5),),
    "busy": ((180, 0.8),),
    "step": ((60, 0.4), (60, 1.6), (120, 0.4)),
    "ramp": tuple((20, share / 10) for share in (2, 4, 6, 8, 10, 12, 10, 8, 6, 4, 2)),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a load.

    Attributes:
        first: Seconds to the first token: mean, median and 95th percentile.
        between: Seconds between two tokens of an answer, mean.
        whole: Seconds of an answer, mean.
        throughput: Tokens generated a second, from the first request to the last token.
        busy: Share of that time in steps.
        late: Share of first tokens after more than two seconds.
    """

    first: float
    median: float
    p95: float
    between: float
    whole: float
    throughput: float
    busy: float
    late: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A load, its requests, and what each of the two made of it."""

    load: str
    requests: Requests
    measured: Answered
    simulated: Answered
    busy: tuple[float, float]

    @property
    def figures(self) -> tuple[Figures, Figures]:
        """Return those of the engine and of the simulation."""
        measured, simulated = self.busy
        return (
            _figures(self.requests, self.measured, measured),
            _figures(self.requests, self.simulated, simulated),
        )


def calibrate(engine: Engine) -> Calibrated:
    """Ask an engine what tells its costs apart, and return those."""
    asked = at_rates(_CALIBRATION, _lengths(), _CALIBRATION_SEED)
    before = engine.looks()
    engine.ask(asked)
    looks = engine.counted(before[-1].generated + asked.output.sum())[len(before) - 1 :]
    return calibrated(looks, asked, SEATS, TOKEN_BUDGET)


def requests_of(course: Course, hardware: Hardware, seed: int) -> Requests:
    """Return requests that ask for a replica's time as the course says."""
    lengths = _lengths()
    each = float(work(lengths, hardware).total.mean())
    return at_rates(((seconds, share / each) for seconds, share in course), lengths, seed)


def _lengths() -> Requests:
    whole = azure("conv")
    return Requests(
        whole.arrival,
        np.clip(whole.prompt // _SHORTER, 1, _LONGEST_PROMPT),
        np.clip(whole.output // _SHORTER, 2, _LONGEST_OUTPUT),
    )


def compare(engine: Engine, hardware: Hardware, load: str, seed: int) -> Compared:
    """Send a load to the engine, and to its simulation when it was sent in truth."""
    requests = requests_of(LOADS[load], hardware, seed)
    before = engine.looks()[-1]
    measured = engine.ask(requests)
    after = engine.counted(before.generated + requests.output.sum())[-1]
    sent = Requests(measured.arrival, requests.prompt, requests.output)
    simulated, busy = simulate(sent, hardware)
    return Compared(load, sent, measured, simulated, (after.busy - before.busy, busy))


def simulate(requests: Requests, hardware: Hardware) -> tuple[Answered, float]:
    """Return what one simulated replica makes of requests, and its seconds in steps."""
    order = np.argsort(requests.arrival, kind="stable")
    setting = Setting(hardware, 0.0, BOUND_S, 1)
    sent = (it[order] for it in (requests.arrival, requests.prompt, requests.output))
    world = kernel.world(*sent, physics(setting), 1, 1)
    kernel.start(world, -1.0, -1.0)
    kernel.advance(world, np.inf)
    first, done = np.empty(len(order)), np.empty(len(order))
    first[order], done[order] = world.first, world.done
    return Answered(requests.arrival, first, done), float(world.counters[0, kernel.BUSY])


def _figures(requests: Requests, answered: Answered, busy: float) -> Figures:
    wait = answered.first - answered.arrival
    took = float(answered.done.max() - answered.arrival.min())
    between = (answered.done - answered.first) / (requests.output - 1)
    return Figures(
        float(wait.mean()),
        float(np.median(wait)),
        float(np.percentile(wait, 95)),
        float(between.mean()),
        float((answered.done - answered.arrival).mean()),
        float(requests.output.sum()) / took,
        busy / took,
        float((wait > BOUND_S).mean()),
    )
