"""The queue of models to look at: each once, never twice at a time, the noisy ones slowly.

What the informers tell goes in as keys, as often as they like. A key that waits already is not
added again; one whose pass runs is looked at once more afterwards. A pass that failed comes back
later and later, with jitter, so that a thousand of them do not come back together. A key that
asks for pass after pass is held back by a pace of its own; the others do not wait for it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Key(NamedTuple):
    """A ModelDeployment's namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it the way kubectl does."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How the queue spaces the passes of one key, in seconds.

    Attributes:
        first_retry: Wait after the first failure; it doubles with each further one.
        longest_retry: What it doubles up to.
        jitter: Share by which a wait is lengthened at random, at most.
        burst: Passes that a key may have one right after the other.
        interval: What a key that used up its burst waits between two passes.
    """

    first_retry: float = 0.5
    longest_retry: float = 300.0
    jitter: float = 0.5
    burst: int = 10
    interval: float = 1.0

    def retry_after(self, failures: int, chance: float) -> float:
        """Return the wait after so many failures in a row; ``chance`` lies in [0, 1)."""
        wait = min(self.longest_retry, self.first_retry * 2.0 ** min(failures - 1, 30))
        return wait * (1 + self.jitter * chance)


@dataclass(slots=True)
class _Allowance:
    """What is left of a key's burst, filled up again by one for each interval."""

    left: float
    counted_at: float


@dataclass(slots=True)
class PassQueue:
    """Hands out keys, each to one worker at a time.

    Attributes:
        pace: How passes are spaced.
        clock: Seconds that only go forward.
        chance: A number in [0, 1) for jitter.
    """

    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = lambda: asyncio.get_running_loop().time()
    chance: Callable[[], float] = random.random
    _waiting: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    _later: list[tuple[float, int, Key]] = field(default_factory=list)
    _due: dict[Key, float] = field(default_factory=dict)
    _running: dict[Key, float] = field(default_factory=dict)
    _again: dict[Key, float] = field(default_factory=dict)
    _failures: dict[Key, int] = field(default_factory=dict)
    _allowances: dict[Key, _Allowance] = field(default_factory=dict)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: Key) -> None:
        """Ask for a pass as soon as the key's pace allows it."""
        now = self.clock()
        if key in self._running:
            self._again.setdefault(key, now)
        elif key not in self._waiting:
            if self._held_back(key, now) > 0:
                self.add_after(key, 0.0)
            else:
                self._enqueue(key, now)

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass after a while, and no sooner than the key's pace allows it.

        An earlier one that is due already stands.
        """
        now = self.clock()
        due = now + max(seconds, self._held_back(key, now))
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._order), key))
        self._changed.set()

    async def take(self) -> Key:
        """Return the key that waited longest, once there is one; ``done`` must follow."""
        while True:
            self._promote()
            if self._waiting:
                key, _ = self._waiting.popitem(last=False)
                self._start(key)
                return key
            await self._until_something_changes()

    def done(self, key: Key, *, failed: bool = False, after: float | None = None) -> None:
        """End the key's pass.

        Args:
            key: What ``take`` returned.
            failed: Whether it is to come back after a wait that grows with every failure.
            after: Seconds until the next pass in any case; for a failure, the least wait, which is
                a server's word and counts up to the longest retry.
        """
        del self._running[key]
        if failed:
            self._failures[key] = self._failures.get(key, 0) + 1
            wait = self.pace.retry_after(self._failures[key], self.chance())
            self.add_after(key, max(wait, min(after or 0.0, self.pace.longest_retry)))
        else:
            self._failures.pop(key, None)
            if after is not None:
                self.add_after(key, after)
        if self._again.pop(key, None) is not None:
            self.add(key)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a model that is gone."""
        self._failures.pop(key, None)
        self._allowances.pop(key, None)
        self._due.pop(key, None)

    @property
    def depth(self) -> int:
        """Return how many keys wait for a worker."""
        self._promote()
        return len(self._waiting)

    @property
    def age(self) -> float:
        """Return the seconds that the first of them has waited."""
        return self.clock() - next(iter(self._waiting.values())) if self._waiting else 0.0

    @property
    def longest_running(self) -> float:
        """Return the seconds that the oldest running pass has taken so far."""
        return self.clock() - min(self._running.values()) if self._running else 0.0

    def _enqueue(self, key: Key, now: float) -> None:
        self._waiting[key] = now
        self._due.pop(key, None)
        self._changed.set()

    def _start(self, key: Key) -> None:
        now = self.clock()
        self._running[key] = now
        allowance = self._allowance(key, now)
        allowance.left -= 1

    def _allowance(self, key: Key, now: float) -> _Allowance:
        found = self._allowances.setdefault(key, _Allowance(float(self.pace.burst), now))
        gained = (now - found.counted_at) / self.pace.interval
        found.left = min(float(self.pace.burst), found.left + gained)
        found.counted_at = now
        return found

    def _held_back(self, key: Key, now: float) -> float:
        """Return the seconds until the key's pace allows another pass."""
        missing = 1 - self._allowance(key, now).left
        return max(0.0, missing * self.pace.interval)

    def _promote(self) -> None:
        """Move the keys whose time has come to the waiting ones."""
        now = self.clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) != due:
                continue  # asked for earlier meanwhile, or forgotten
            del self._due[key]
            if key in self._running:
                self._again.setdefault(key, now)
            elif key not in self._waiting:
                self._enqueue(key, now)

    async def _until_something_changes(self) -> None:
        self._changed.clear()
        wait = self._later[0][0] - self.clock() if self._later else None
        try:
            await asyncio.wait_for(self._changed.wait(), wait)
        except TimeoutError:
            return
