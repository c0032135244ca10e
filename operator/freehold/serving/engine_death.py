"""A replica ends when its engine does, as a server of vLLM's own would.

In Serve the process goes on, and answers every request with an error until health checks have
failed three times in a row, half a minute. Here the process ends a moment after the engine: with it
goes what the engine had, and what comes within that moment. HAProxy finds nobody at the port then,
and asks another replica, or Serve's own proxy, in which requests wait for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Protocol

from freehold.serving.guard import App, Receive, Scope, Send

_LOOK_SECONDS = 0.1
_LAST_WORDS_SECONDS = 0.3
_log = logging.getLogger("ray.serve")


class Engine(Protocol):
    """What is asked of an engine's client (vLLM's ``EngineClient``)."""

    @property
    def errored(self) -> bool:
        """Whether it is dead."""

    @property
    def dead_error(self) -> BaseException:
        """What it says of that."""


class AliveOnly:
    """ASGI middleware that keeps requests which come to a dead engine without an answer.

    Clients that are refused at once would ask again at once, hundreds of times.
    """

    def __init__(self, app: App, engine: Engine) -> None:
        """Stand before ``app``, which is the engine's."""
        self._app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or wait for the end of the process."""
        if self._engine.errored:
            await asyncio.Event().wait()
        await self._app(scope, receive, send)


async def end_with(engine: Engine, end: Callable[[int], object] = os._exit) -> None:
    """Wait until an engine is dead and end this process; without cleaning up, as after a crash.

    Args:
        engine: The engine's client.
        end: Ends the process with an exit code.
    """
    while not engine.errored:
        await asyncio.sleep(_LOOK_SECONDS)
    _log.error("The engine is dead, and this replica ends with it: %s", engine.dead_error)
    # whose requests it had are told so first
    await asyncio.sleep(_LAST_WORDS_SECONDS)
    end(1)
