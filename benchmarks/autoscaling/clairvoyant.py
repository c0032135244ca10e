"""The schedule of somebody who knows every request beforehand.

The work of all requests that is to be done in a window, over the length of the window and a
utilisation, is the number of replicas that are needed in it: prompts when they come, answers for as
long as they are generated. Each replica beyond has a cost to start: the k-th
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
WINDOWS = (30.0, 120.0)
_INTERVAL = 2.0
# utilisations are tried in ever smaller steps, beginning with the first
_FIRST, _STEPS = 0.9, (0.2, 0.1, 0.05, 0.025)
_MOST = 2.0
# of the KV cache at which a replica is taken to be full
_FULL = 0.9
# An answer's work is spread over its time in so many pieces.
_PIECES = 16


@dataclass(frozen=True, slots=True)
class Work:
    """What each request takes of a replica that is full; arrays in seconds.

    Attributes:
        prefill: Of its time, at once.
        decode: Of its time, evenly while the answer is generated.
        runs: How long that takes.
    """

    prefill: Array
    decode: Array
    runs: Array

    @property
    def total(self) -> Array:
        """Return all replica-seconds of each request."""
        return self.prefill + self.decode


def work(requests: Requests, hardware: Hardware) -> Work:
    """Return what requests take: a step's time is shared by those that it is for.

    Of what each step takes anyway, a request bears a share as large as that of the seats or of the
    KV cache that it holds, whichever is greater.
    """
    step, context = hardware.step, requests.prompt + requests.output / 2
    room = _FULL * hardware.kv_tokens
    share = np.maximum(1 / hardware.max_num_seqs, context / room)
    prefill = step.p1 * requests.prompt + step.p2 * requests.prompt**2
    decode = requests.output * (step.d0 * share + step.d1 + step.d2 / 1e3 * context)
    # tokens of context that a request holds, weighted by how long it holds them
    held = (requests.output * context).sum() / requests.output.sum()
    batch = min(hardware.max_num_seqs, room / held)
    full_step = step.d0 + step.d1 * batch + step.d2 / 1e3 * batch * held
    return Work(prefill / 1e3, decode / 1e3, requests.output * full_step / 1e3)


def needed(arrival: Array, each: Work, window: float, utilisation: float) -> Array:
    """Return the replicas that are needed in each window."""
    last = int(arrival[-1] // window)
    there = np.bincount((arrival // window).astype(int), each.prefill, last + 1)
    for piece in range(_PIECES):
        at = arrival + each.runs * (piece + 0.5) / _PIECES
        index = np.minimum((at // window).astype(int), last)
        there += np.bincount(index, each.decode / _PIECES, last + 1)
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
    need = needed(requests.arrival, work(requests, setting.hardware), window, utilisation)
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
    found: list[Best] = []
    for window in WINDOWS:
        guess, steps = (found[0].utilisation, _STEPS[2:]) if found else (_FIRST, _STEPS)
        if it := _highest(Try(requests, setting, seed, window, goal), guess, steps):
            found.append(it)
    if not found:
        raise ValueError(f"no schedule answers {goal:.0%} of the requests in time")
    return min(found, key=lambda it: it.outcome.gpu_hours)


@dataclass(frozen=True, slots=True)
class Try:
    """What schedules of a window are tried on."""

    requests: Requests
    setting: Setting
    seed: int
    window: float
    goal: float

    def at(self, utilisation: float) -> Best | None:
        """Return what a utilisation gives, or None where it answers too few."""
        planned = schedule(self.requests, self.setting, self.window, utilisation)
        outcome = run(self.requests, self.setting, planned, self.seed)
        return Best(self.window, utilisation, outcome) if outcome.attainment >= self.goal else None


def _highest(tried: Try, guess: float, steps: tuple[float, ...]) -> Best | None:
    """Return the highest utilisation that answers enough, to the smallest of the steps.

    From the guess on it goes by the first step until the answer changes, then back and forth by
    ever smaller ones.
    """
    found, at, step = tried.at(guess), guess, steps[0]
    up = found is not None
    while step / 2 < (at := at + (step if up else -step)) < _MOST:
        one = tried.at(at)
        found = one or found
        if (one is not None) != up:
            break
    for step in steps[1:]:
        at += step if found is not None and found.utilisation == at else -step
        found = tried.at(at) or found
    return found
