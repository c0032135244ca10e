"""AIBrix's APA (e3e10f9e, August 2026): ``pkg/controller/podautoscaler/algorithm/apa.go``."""

from __future__ import annotations

import math

from benchmarks.autoscaling.fleet import Seen
from benchmarks.autoscaling.rivals.window import Stabilization, Window

_WINDOW_S, _DOWN_COOLDOWN_S = 180.0, 300.0
_FLUCTUATION = 0.1
_MAX_RATE = 2.0


class AIBrix:
    """The mean over pods of the KV cache's use, over its target."""

    interval = 10.0
    age = 0.0

    def __init__(self, target: float) -> None:
        """Take the share of the KV cache."""
        self._target = target
        self._metric = Window(_WINDOW_S)
        self._recommended = Stabilization(_DOWN_COOLDOWN_S)

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the number, at most twice or half of what there is."""
        ready = seen.ready
        self._metric.add(now, float(seen.kv[ready].mean()) if len(ready) else 0.0)
        ratio = self._metric.mean / self._target
        number = wanted
        if ratio > 1 + _FLUCTUATION:
            number = min(math.ceil(_MAX_RATE * wanted), math.ceil(wanted * ratio))
        elif ratio < 1 - _FLUCTUATION:
            number = max(math.floor(wanted / _MAX_RATE), math.ceil(wanted * ratio))
        return self._recommended.settled(now, number, wanted)
