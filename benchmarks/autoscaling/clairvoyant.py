"""The schedule of somebody who knows every request beforehand.

The work of all requests that come in a window, over the length of the window and a utilisation,
is the number of replicas that are needed in it. Each replica beyond has a cost to start: the k-th
is kept through a gap in which it is not needed where the gap is no longer than a cold start, which
is the cheapest there is for each k on its own. Replayed in the same simulator, at the highest
utilisation with which enough requests are answered in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from benchmarks.autoscaling.fleet import JITTER, Outcome, Seen, Setting, run
from benchmarks.autoscaling.replica import Hardware
from benchmarks.autoscaling.traffic import Requests

Array = Any
GOAL = 0.98
# seconds
WINDOWS = (30.0, 60.0)
_INTERVAL = 2.0
_UTILISATIONS = np.arange(0.5, 1.3001, 0.05)
# of the KV cache at which a replica is taken to be full
_FULL = 0.9


def work(requests: Requests, hardware: Hardware) -> Array:
    """Return the replica-seconds that each request takes of a replica that is full."""
    step, context = hardware.step, requests.prompt + requests.output / 2
    # tokens of context that a request holds, weighted by how long it holds them
    held = (requests.output * context).sum() / requests.output.sum()
    batch = min(hardware.max_num_seqs, _FULL * hardware.kv_tokens / held)
    prefill = step.p1 * requests.prompt + step.p2 * requests.prompt**2
    decode = requests.output * (step.d0 / batch + step.d1 + step.d2 / 1e3 * context)
    return (prefill + decode) / 1e3


def needed(requests: Requests, each: Array, window: float, utilisation: float) -> Array:
    """Return the replicas that are needed in each window."""
    count = int(requests.arrival[-1] // window) + 1
    there = np.bincount((requests.arrival // window).astype(int), each, count)
    return np.maximum(np.ceil(there / (window * utilisation)), 1).astype(int)


def kept(need: Array, gap: int) -> Array:
    """Return the replicas of the cheapest schedule: gaps of up to ``gap`` windows are filled."""
    found = np.zeros_like(need)
    for level in range(1, int(need.max()) + 1):
        at = np.flatnonzero(need >= level)
        on = np.zeros(len(need), bool)
        on[at] = True
        for one, other in pairwise(at.tolist()):
            if other - one - 1 <= gap:
                on[one:other] = True
        found += on
    return found


@dataclass(slots=True)
class Schedule:
    """A policy that says what was written down, a cold start ahead."""

    replicas: Array
    window: float
    lead: float
    interval: float = _INTERVAL
    age: float = 0.0

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the most that is scheduled from now on until what starts now is ready."""
        begin, end = int(now // self.window), int((now + self.lead) // self.window)
        span = self.replicas[begin : end + 1]
        if not len(span):
            return int(self.replicas[-1])
        # what starts now is there at the end of the span; what runs is kept until it is needed
        return int(max(span[0], min(wanted, span.max()), span[-1]))


def schedule(requests: Requests, setting: Setting, window: float, utilisation: float) -> Schedule:
    """Return the cheapest schedule for a window and a utilisation."""
    need = needed(requests, work(requests, setting.hardware), window, utilisation)
    lead = setting.cold_start * (1 + JITTER) + _INTERVAL
    return Schedule(kept(need, int(lead // window)), window, lead)


@dataclass(frozen=True, slots=True)
class Best:
    """The cheapest schedule that answers enough."""

    window: float
    utilisation: float
    outcome: Outcome


def best(requests: Requests, setting: Setting, seed: int, goal: float = GOAL) -> Best:
    """Return the cheapest schedule that attains the goal, over windows and utilisations.

    Raises:
        ValueError: If none attains it.
    """
    found = [it for window in WINDOWS if (it := _highest(requests, setting, seed, window, goal))]
    if not found:
        raise ValueError(f"no schedule answers {goal:.0%} of the requests in time")
    return min(found, key=lambda it: it.outcome.gpu_hours)


def _highest(
    requests: Requests, setting: Setting, seed: int, window: float, goal: float
) -> Best | None:
    """Return the highest utilisation that attains the goal, by bisection."""
    low, high, found = 0, len(_UTILISATIONS), None
    while low < high:
        middle = (low + high) // 2
        utilisation = float(_UTILISATIONS[middle])
        outcome = run(requests, setting, schedule(requests, setting, window, utilisation), seed)
        if outcome.attainment >= goal:
            found, low = Best(window, utilisation, outcome), middle + 1
        else:
            high = middle
    return found
