"""SkyServe of SkyPilot 0.14.1: ``RequestRateAutoscaler`` in ``sky/serve/autoscalers.py``."""

from __future__ import annotations

import math

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.rivals.window import Window

_WINDOW_S, _UP_S, _DOWN_S = 60.0, 300.0, 1200.0


class SkyServe:
    """Requests a second over a rate that a replica is said to take."""

    interval = 20.0
    age = 0.0

    def __init__(self, rate: float) -> None:
        """Take ``target_qps_per_replica``."""
        self._rate = rate
        self._came = Window(_WINDOW_S)
        self._before = 0
        self._up = self._down = 0

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the number once it was above or below for long enough."""
        self._came.add(now, seen.arrived - self._before)
        self._before = seen.arrived
        number = math.ceil(self._came.mean / self.interval / self._rate)
        self._up = self._up + 1 if number > wanted else 0
        self._down = self._down + 1 if number < wanted else 0
        if self._up * self.interval >= _UP_S or self._down * self.interval >= _DOWN_S:
            self._up = self._down = 0
            return number
        return wanted
