"""What goes wrong in a run, at noon of its day or in the middle of what is shorter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from benchmarks.autoscaling import kernel
from benchmarks.autoscaling.fleet import Fault, Run, Seen
from benchmarks.autoscaling.ours import Freehold

from freehold.serving.autoscaling.rates import StepCost

LOST, KILLED, FAILING = "metrics lost", "a third killed", "starts fail"
# by what everything is off that a step costs, while nothing is learned
PRIORS = {"prior x0.5": 0.5, "prior x2": 2.0}
NAMES = (LOST, KILLED, FAILING, *PRIORS)
_LOST_S, _FAILING_S = 300.0, 1800.0
_SHARE_KILLED = 3


def prior(name: str) -> StepCost:
    """Return what is believed of a step's cost before anything is learned."""
    factor = PRIORS.get(name, 1.0)
    return StepCost(*(factor * it for it in StepCost().terms))


def fault(name: str, at: float) -> Fault | None:
    """Return what befalls a run; None for what is not about replicas.

    Args:
        name: One of ``NAMES``, or "".
        at: When, in seconds.
    """
    return {KILLED: _Killed(at), FAILING: _Failing(at)}.get(name)


@dataclass(slots=True)
class Deaf:
    """Freehold's policy where no replica tells anything for five minutes."""

    policy: Freehold
    at: float
    interval: float = Freehold.interval
    age: float = Freehold.age

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Hand on what is seen."""
        lost = self.at <= now < self.at + _LOST_S
        return self.policy.decide(seen, now, wanted, silent=lost)


@dataclass(slots=True)
class _Killed:
    at: float
    done: bool = False

    def __call__(self, run: Run, now: float) -> None:
        if self.done or now < self.at:
            return
        ready = np.flatnonzero(run.world.state == kernel.READY)
        for row in ready[: -(-len(ready) // _SHARE_KILLED)].tolist():
            kernel.kill(run.world, row)
        self.done = True


@dataclass(slots=True)
class _Failing:
    """Replicas that are asked for meanwhile begin to start when it is over."""

    at: float

    def __call__(self, run: Run, now: float) -> None:
        failed, run.starts_fail = run.starts_fail, self.at <= now < self.at + _FAILING_S
        if failed and not run.starts_fail:
            w = run.world
            stuck = (w.state == kernel.STARTING) & (w.ready_at == kernel.NEVER)
            w.ready_at[stuck] = now + run.setting.cold_start
