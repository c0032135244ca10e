"""Pods that failed: KubeRay deletes them within a second, and the reason goes with them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from freehold.controller.queue import Key
from freehold.status.pod_state import PodState

# Longer than a pod takes from its start to such an end: the kubelet looks every ten seconds for
# what takes too much disk. So what happens again and again is told all the while.
_REMEMBERED = timedelta(minutes=2)


@dataclass(slots=True)
class FailedPods:
    """The last pod of each RayCluster that failed, by model; a new process knows of none."""

    _last: dict[Key, dict[str, tuple[datetime, PodState]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def seen(self, key: Key, pod: PodState, now: datetime) -> None:
        """Take down a pod of a model, if it failed; called with each state, since none stays."""
        if pod.failed:
            self._last[key][pod.cluster] = (now, pod)

    def lately(self, key: Key, now: datetime) -> tuple[PodState, ...]:
        """Return a model's pods that failed in the last two minutes."""
        known = self._last.get(key, {}).values()
        return tuple(pod for at, pod in known if now - at < _REMEMBERED)

    def forget(self, key: Key) -> None:
        """Forget a model that is gone."""
        self._last.pop(key, None)
