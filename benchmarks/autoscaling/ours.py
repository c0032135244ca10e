"""Freehold's own policy, the very code that runs inside Ray Serve."""

from __future__ import annotations

from benchmarks.autoscaling.fleet import Seen, Setting
from benchmarks.autoscaling.kernel import BUSY, CONTEXT, FINISHED, GENERATED, LATE, PROMPT, STEPS

from freehold.serving.autoscaling.load import Replica
from freehold.serving.autoscaling.policy import Observation, Settings, State, decide
from freehold.serving.autoscaling.rates import Work


class Freehold:
    """The policy with its one default, told the bound on the time to the first token."""

    interval = 2.0
    age = 2.0

    def __init__(self, setting: Setting) -> None:
        """Begin with nothing learned."""
        self._kv_tokens = setting.hardware.kv_tokens
        self._settings = Settings(
            least=setting.least,
            most=setting.most,
            seats=setting.hardware.max_num_seqs,
            time_to_first_token=setting.bound,
        )
        self.state: State | None = None

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Hand on what was seen."""
        ready = seen.ready.tolist()
        observation = Observation(
            time=now,
            queued=float(seen.queued),
            replicas=tuple(self._replica(seen, row) for row in ready),
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
