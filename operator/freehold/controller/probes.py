"""One-token requests in the background: no pass waits for an engine that compiles or hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from freehold.controller.queue import Key
from freehold.status.outcome import Probe

# A request that failed is sent again after this long, and then twice as long each time.
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """A model's requests."""

    last: Probe | None = None
    failures: int = 0
    not_before: float = 0.0
    task: asyncio.Task[None] | None = None
    engines: frozenset[str] = frozenset()


@dataclass(slots=True)
class Probes:
    """Asks endpoints, one request at a time for each model.

    Attributes:
        ask: Sends one request to a base URL, for a served name and with a key; "" when it was
            answered.
        back: Is told of a model whose request came back, or may be sent again.
    """

    ask: Callable[[str, str, str], Awaitable[str]]
    back: Callable[[Key], None]
    _models: dict[Key, _Asked] = field(default_factory=dict)

    def last(self, key: Key) -> Probe | None:
        """Return the last request that came back."""
        asked = self._models.get(key)
        return asked.last if asked else None

    def send(
        self, key: Key, base_url: str, model: str, api_key: str, engines: frozenset[str]
    ) -> None:
        """Send a request, unless one is under way or the last failure was just now.

        One to engines of which none runs any more is given up: it may hang with them.
        """
        asked = self._models.setdefault(key, _Asked())
        if asked.task is not None and asked.engines and asked.engines.isdisjoint(engines):
            asked.task.cancel()
            asked.task, asked.not_before = None, 0.0
        now = asyncio.get_running_loop().time()
        if asked.task is None and now >= asked.not_before:
            ask = partial(self.ask, base_url, model, api_key)
            asked.engines = engines
            asked.task = asyncio.create_task(self._send(key, asked, ask, engines))

    def forget(self, key: Key) -> None:
        """Give up what is under way for a model that no longer serves."""
        asked = self._models.pop(key, None)
        if asked is not None and asked.task is not None:
            asked.task.cancel()

    async def _send(
        self, key: Key, asked: _Asked, ask: Callable[[], Awaitable[str]], engines: frozenset[str]
    ) -> None:
        try:
            error = await ask()
        except Exception as unforeseen:
            _log.exception("asking %s for a token", key)
            error = f"it could not be asked: {unforeseen!r}"
        asked.last = Probe(engines, error)
        asked.failures = asked.failures + 1 if error else 0
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(asked.failures - 1, 10))
        loop = asyncio.get_running_loop()
        asked.not_before = loop.time() + pause if error else 0.0
        asked.task = None
        self.back(key)
        if error:
            loop.call_later(pause, self.back, key)
