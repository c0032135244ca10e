"""How long to wait before the next try of something that goes wrong again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from freehold.controller.queue import Key

_FIRST_S = 5.0
_LONGEST_S = 600.0


@dataclass(slots=True)
class _Tried:
    """What was tried of one model: of what, how often, and when it may be again."""

    what: str
    times: int
    due: float


@dataclass(slots=True)
class Backoff:
    """Paces tries: the first pause is 5 s, each further one twice as long, up to ten minutes.

    A new process begins with the first pause, which costs one try more.

    Attributes:
        clock: Seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic
    _models: dict[Key, _Tried] = field(default_factory=dict)

    def wait(self, key: Key, what: str) -> float:
        """Return the seconds until a try is due, 0 for now; another ``what`` begins anew."""
        tried = self._models.get(key)
        if tried is None or tried.what != what:
            tried = self._models[key] = _Tried(what, 0, self.clock() + _FIRST_S)
        return max(0.0, tried.due - self.clock())

    def tried(self, key: Key) -> None:
        """Count a try."""
        tried = self._models[key]
        tried.times += 1
        tried.due = self.clock() + min(_LONGEST_S, _FIRST_S * 2.0 ** min(tried.times, 10))

    def times(self, key: Key, what: str) -> int:
        """Return how often something was tried."""
        tried = self._models.get(key)
        return tried.times if tried is not None and tried.what == what else 0

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is well or gone."""
        self._models.pop(key, None)
