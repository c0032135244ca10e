"""What nobody can do better than who learns of a step when it happens.

Where load steps up unannounced, requests wait for a cold start at least. The limit is found by
replaying a policy that knows the load of the present second exactly and nothing of the next, with
ever more replicas for the backlog: what it attains with the best of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.autoscaling.clairvoyant import needed, work
from benchmarks.autoscaling.fleet import Seen, Setting, run
from benchmarks.autoscaling.traffic import Requests

# of a replica, where none is to be late
_UTILISATION, _WINDOW_S = 0.7, 60.0
_SURPLUS = (1, 2, 4, 8, 16)


@dataclass(slots=True)
class Reactive:
    """Replicas for the load of this minute, and a surplus of them while requests wait."""

    need: Any
    surplus: int
    interval: float = 2.0
    age: float = 0.0

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return them."""
        need = int(self.need[min(int(now // _WINDOW_S), len(self.need) - 1)])
        return need * self.surplus if seen.queued + seen.waiting.sum() > 0 else need


def limit(requests: Requests, setting: Setting, seed: int) -> float:
    """Return the share of requests that can be answered in time, at whatever cost."""
    need = needed(requests.arrival, work(requests, setting.hardware), _WINDOW_S, _UTILISATION)
    return max(run(requests, setting, Reactive(need, it), seed).attainment for it in _SURPLUS)
