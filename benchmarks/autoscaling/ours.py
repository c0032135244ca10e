"""Freehold's own policy, the very code that runs inside Ray Serve."""

from __future__ import annotations

from benchmarks.autoscaling.fleet import Seen, Setting
from benchmarks.autoscaling.kernel import BUSY, CONTEXT, FINISHED, GENERATED, LATE, PROMPT, STEPS

from freehold.serving.autoscaling.load import Replica
from freehold.serving.autoscaling.policy import Observation, Settings, State, decide
from freehold.serving.autoscaling.rates import StepCost, Work


class Freehold:
    """The policy with its one default, told the bound on the time to the first token."""

    interval = 2.0
    age = 2.0

    def __init__(self, setting: Setting, prior: StepCost | None = None) -> None:
        """Begin with nothing learned.

        Args:
            setting: Where requests are served.
            prior: What a step is believed to cost meanwhile; None for the default.
        """
        self._kv_tokens = setting.hardware.kv_tokens
        self._settings = Settings(
            least=setting.least,
            most=setting.most,
            seats=setting.hardware.max_num_seqs,
            time_to_first_token=setting.bound,
            prior=prior or StepCost(),
        )
        self.state: State | None = None

    def decide(self, seen: Seen, now: float, wanted: int, *, silent: bool = False) -> int:
        """Hand on what was seen; nothing but the replicas where those are silent."""
        ready = seen.ready.tolist()
        observation = Observation(
            time=now,
            queued=0.0 if silent else float(seen.queued),
            replicas=() if silent else tuple(self._replica(seen, row) for row in ready),
            ready=len(ready),
            starting=len(seen.starting),
        )
        decision = decide(observation, self.state, self._settings)
        self.state = decision.state
        return decision.replicas

    def _replica(self, seen: Seen, row: int) -> Replica:
        did = seen.counters[row].tolist()
        return Replica(
            name=f"{row} of {seen.born[row]}",
            running=float(seen.running[row]),
            waiting=float(seen.waiting[row]),
            kv=float(seen.kv[row]),
            finished=did[FINISHED],
            late=did[LATE],
            work=Work(
                did[BUSY], did[STEPS], did[PROMPT], did[GENERATED], did[CONTEXT] / self._kv_tokens
            ),
        )
