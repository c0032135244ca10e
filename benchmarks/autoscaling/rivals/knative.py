"""Knative Serving 1.20: ``pkg/autoscaler/scaling/autoscaler.go`` with ``config-autoscaler``."""

from __future__ import annotations

import math

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.rivals.window import Window

_STABLE_S, _PANIC_S = 60.0, 6.0
_UTILISATION = 0.7
_PANIC_THRESHOLD = 2.0
_MAX_UP, _MAX_DOWN = 1000.0, 2.0


class Knative:
    """Concurrency over a stable window and a panic window."""

    interval = 2.0
    age = 1.0

    def __init__(self, target: float) -> None:
        """Take the concurrency of a replica, of which 70 % are used."""
        self._target = target * _UTILISATION
        self._stable, self._panic = Window(_STABLE_S), Window(_PANIC_S)
        self._panics_since: float | None = None
        self._most = 0

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the stable number, or in panic the greatest of all so far."""
        self._stable.add(now, seen.in_flight)
        self._panic.add(now, seen.in_flight)
        ready = max(1, len(seen.ready))
        stable, panic = (
            max(
                min(math.ceil(it.mean / self._target), math.ceil(_MAX_UP * ready)),
                math.floor(ready / _MAX_DOWN),
            )
            for it in (self._stable, self._panic)
        )
        if math.ceil(self._panic.mean / self._target) / ready >= _PANIC_THRESHOLD:
            self._panics_since = now
        elif self._panics_since is not None and now - self._panics_since > _STABLE_S:
            self._panics_since, self._most = None, 0
        if self._panics_since is None:
            return stable
        self._most = max(self._most, stable, panic)
        return self._most
