"""The time of an engine's step, as the scaling policy learns it from what the engine counts.

Requests of all lengths come at several rates. From look to look the engine tells the seconds that
its steps took, the steps, and what they did; of these the policy's own least squares
(``freehold.serving.autoscaling.rates``) learn the cost of a step, a prompt token, a sequence and
the KV cache, and the simulator takes them over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.autoscaling.replica import Hardware, StepTime
from benchmarks.autoscaling.traffic import Requests

from freehold.serving.autoscaling.rates import Rates, StepCost, Work


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What an engine was found to be.

    Attributes:
        hardware: For the simulator.
        error: Mean relative error of the seconds from look to look.
        looks: How many of these there were.
    """

    hardware: Hardware
    error: float
    looks: int


def calibrated(looks: Sequence[Work], asked: Requests, seats: int, budget: int) -> Calibrated:
    """Return the step times that fit best, none of their parts negative.

    Args:
        looks: What the engine had done by each look, from before the first request until after
            the last one.
        asked: Those requests.
        seats: Sequences that run at once.
        budget: Tokens of a step at the most.
    """
    done = [_between(before, after) for before, after in pairwise(looks)]
    done = [it for it in done if it.steps > 0]
    rates = Rates()
    for it in done:
        rates = rates.after(it)
    cost = rates.cost(StepCost())
    held = _held(asked) / sum(it.kv for it in done)
    each = 1e3 * cost.step, 1e3 * cost.prompt, 1e3 * cost.sequence, 1e6 * cost.kv / held
    step, prompt, sequence, context = each
    times = StepTime(p0=step, p1=prompt, p2=0.0, d0=step, d1=sequence, d2=context)
    hardware = Hardware("engine", 1, times, int(held), seats, budget, ahead=False)
    errors = [abs(_seconds(cost, it) / it.busy - 1) for it in done]
    return Calibrated(hardware, sum(errors) / len(errors), len(done))


def _between(before: Work, after: Work) -> Work:
    return Work(*(now - was for now, was in zip(after, before, strict=True)))


def _held(asked: Requests) -> float:
    """Return the tokens that requests hold in the KV cache, summed over their steps."""
    return float((asked.output * (asked.prompt + asked.output / 2)).sum())


def _seconds(cost: StepCost, done: Work) -> float:
    return sum(each * it for each, it in zip(cost.terms, done[1:], strict=True))
