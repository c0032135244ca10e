"""NVIDIA Dynamo planner 1.6.1: throughput mode, which predicts rate and lengths anew each time.

``components/src/dynamo/planner/core/throughput_scaling.py`` with the predictor ``constant`` and its
default bounds on the time to the first token and between tokens. What an engine takes is not
profiled but computed from the very step times that the simulator uses.
"""

from __future__ import annotations

import math

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.kernel import GENERATED, PROMPT
from benchmarks.autoscaling.replica import Hardware

_FIRST_S, _BETWEEN_S = 0.5, 0.05
_STEP = 8


class Dynamo:
    """Requests a second over what an engine takes within both bounds, every three minutes."""

    interval = 180.0
    age = 0.0

    def __init__(self, hardware: Hardware, share: float = 1.0) -> None:
        """Take the replica, and the share of its rate that is used."""
        self._hardware, self._share = hardware, share
        self._before = (0.0, 0.0, 0.0)

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the replicas for the load of the last interval."""
        totals = (float(seen.arrived), float(seen.totals[PROMPT]), float(seen.totals[GENERATED]))
        came, asked, made = (it - was for it, was in zip(totals, self._before, strict=True))
        self._before = totals
        if not (came and asked and made):
            return wanted
        rate = engine_rate(self._hardware, asked / came, made / came) * self._share
        number = math.ceil(came / self.interval / rate)
        return min(wanted + _STEP, max(wanted - _STEP, number))


def engine_rate(hardware: Hardware, prompt: float, output: float) -> float:
    """Return the requests a second that an engine takes within both bounds."""
    low, high = 1e-3, 1e3
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _fits(hardware, middle, prompt, output) else (low, middle)
    return low


def _fits(hardware: Hardware, rate: float, prompt: float, output: float) -> bool:
    """Return whether steps settle at a length within the bounds, by iteration."""
    step, context = hardware.step, prompt + output / 2
    room = min(hardware.max_num_seqs, hardware.kv_tokens / context)
    between = step.d0 / 1e3
    for _ in range(60):
        batch = rate * output * between
        if batch > room or between > _BETWEEN_S:
            return False
        between = step.seconds(rate * prompt * between, batch, batch * context)
    busy = rate * step.p1 * prompt / 1e3
    if busy >= 1:
        return False
    first = step.seconds(prompt, batch, batch * context) / (1 - busy)
    return bool(first <= max(_FIRST_S, 2 * step.seconds(prompt, 0, 0)) and between <= _BETWEEN_S)
