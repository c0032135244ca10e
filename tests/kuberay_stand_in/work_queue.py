"""A queue of objects to look at: each once, and never two passes over one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tests.kuberay_stand_in.api import Key

_LOG = logging.getLogger(__name__)


class WorkQueue:
    """Runs ``handle`` for objects that were added.

    Args:
        name: For the log.
        handle: One pass; returns after how many seconds it wants another one, if at all.
        retry: Seconds before another pass after one that failed.
    """

    def __init__(
        self, name: str, handle: Callable[[Key], Awaitable[float | None]], retry: float
    ) -> None:
        self._name, self._handle, self._retry = name, handle, retry
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        """Look at an object soon."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at an object after some seconds, or sooner if that was asked for before."""
        loop = asyncio.get_running_loop()
        old = self._timers.get(key)
        if old is not None and not old.cancelled() and old.when() <= loop.time() + seconds:
            return
        if old is not None:
            old.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    async def work(self) -> None:
        """Handle objects for good; several of these may run."""
        while True:
            key = await self._ready.get()
            self._queued.discard(key)
            self._busy.add(key)
            after: float | None = self._retry
            try:
                after = await self._handle(key)
            except Exception as error:
                _LOG.warning("%s %s/%s: %s: %s", self._name, *key, type(error).__name__, error)
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            if after is not None:
                self.add_after(key, after)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
