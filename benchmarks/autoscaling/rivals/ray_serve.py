"""Ray Serve's own autoscaling code, as installed, fed with simulated figures and time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.rivals.window import Window
from ray.serve import autoscaling_policy
from ray.serve.config import AutoscalingConfig

_clock = SimpleNamespace(time=lambda: 0.0)
_decide: Any = autoscaling_policy._apply_autoscaling_config(
    autoscaling_policy.replica_queue_length_autoscaling_policy
)


class RayServe:
    """Serve's request target with all of Serve's defaults."""

    interval = 10.0
    age = 0.0

    def __init__(self, target: float) -> None:
        """Take the target of ongoing requests of each replica."""
        self._config = AutoscalingConfig(
            min_replicas=1, max_replicas=100, target_ongoing_requests=target
        )
        self._ongoing = Window(self._config.look_back_period_s)
        self._state: dict[str, Any] = {}

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Ask Serve's code."""
        self._ongoing.add(now, seen.in_flight)
        context = SimpleNamespace(
            current_num_replicas=len(seen.ready),
            target_num_replicas=wanted,
            total_num_requests=self._ongoing.mean,
            policy_state=self._state,
            config=self._config,
        )
        # the only clock of that module
        _clock.time = lambda: now
        before, autoscaling_policy.time = autoscaling_policy.time, _clock
        try:
            number, self._state = _decide(context)
        finally:
            autoscaling_policy.time = before
        return int(number)
