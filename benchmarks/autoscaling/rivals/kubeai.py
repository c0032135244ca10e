"""KubeAI 0.23: ``internal/modelautoscaler/autoscaler.go`` with its chart's defaults."""

from __future__ import annotations

import math

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.rivals.window import Window

_WINDOW_S, _SCALE_DOWN_DELAY_S = 600.0, 30.0


class KubeAI:
    """Requests at the proxy, averaged over ten minutes."""

    interval = 10.0
    age = 0.0

    def __init__(self, target: float) -> None:
        """Take the requests of a replica, ``targetRequests``."""
        self._target = target
        self._active = Window(_WINDOW_S)
        # the ring begins with zeros
        for index in range(int(_WINDOW_S / self.interval)):
            self._active.add((index + 1) * self.interval - _WINDOW_S, 0.0)
        self._fewer = 0

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the number, fewer only when it was so three times in a row."""
        self._active.add(now, seen.in_flight)
        number = math.ceil(self._active.mean / self._target)
        self._fewer = self._fewer + 1 if number < wanted else 0
        patient = self._fewer < math.ceil(_SCALE_DOWN_DELAY_S / self.interval)
        return wanted if number < wanted and patient else number
