"""The Horizontal Pod Autoscaler, and KEDA on top of it.

``pkg/controller/podautoscaler/replica_calculator.go`` and ``horizontal.go`` of Kubernetes 1.36 with
the defaults of ``autoscaling/v2``; KEDA 2.18 hands its metric to an HPA of the same defaults.
"""

from __future__ import annotations

import math

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.rivals.window import Stabilization

_TOLERANCE = 0.1
_STABILIZATION_S = 300.0
# Prometheus asks as seldom
_SCRAPE_S = 15.0


class HorizontalPodAutoscaler:
    """An external metric's AverageValue: requests in flight, or those that wait."""

    interval = 15.0
    age = _SCRAPE_S / 2

    def __init__(self, target: float, *, waiting: bool = False) -> None:
        """Take a target of each replica."""
        self._target, self._waiting = target, waiting
        self._recommended = Stabilization(_STABILIZATION_S)

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the recommendation, up at once, down to the most of five minutes."""
        metric = seen.queued + seen.waiting.sum() if self._waiting else seen.in_flight
        ratio = metric / (self._target * max(wanted, 1))
        number = math.ceil(metric / self._target) if abs(1 - ratio) > _TOLERANCE else wanted
        settled = self._recommended.settled(now, number, wanted)
        return min(settled, max(wanted + 4, 2 * wanted))
