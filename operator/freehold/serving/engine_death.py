"""A replica ends when its engine does, as a server of vLLM's own would.

In Serve the process goes on, and answers every request with an error until health checks have
failed three times in a row, half a minute. Here the process ends as soon as HAProxy has seen that
the replica takes no more. Streams that have begun end with the engine. A request of whose answer
nothing was sent yet gets none: when the process ends, HAProxy sends it to another replica, or to
Serve's own proxy, in which requests wait for the next one (``render/request_path.py``).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Protocol

from freehold.serving.guard import App, Message, Receive, Scope, Send

_LOOK_SECONDS = 0.1
# HAProxy looks every two seconds, and once more a quarter of a second after a look that failed.
_LAST_WORDS_SECONDS = 3.0
# One process has one engine; set once that is dead.
IS_DEAD = threading.Event()
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
    """ASGI middleware that keeps requests which a dead engine would refuse without an answer.

    Both those that it had and those that come after its death.
    """

    def __init__(self, app: App, engine: Engine) -> None:
        """Stand before ``app``, which is the engine's."""
        self._app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and its answer back; or wait for the end of the process."""

        async def unless_dead(message: Message) -> None:
            if self._engine.errored and message.get("status", 200) >= 500:
                await _end_of_process()
            await send(message)

        if self._engine.errored:
            await _end_of_process()
        await self._app(scope, receive, unless_dead)


async def _end_of_process() -> None:
    await asyncio.Event().wait()


async def end_with(engine: Engine, end: Callable[[int], object] = os._exit) -> None:
    """Wait until an engine is dead and end this process; without cleaning up, as after a crash.

    Args:
        engine: The engine's client.
        end: Ends the process with an exit code.
    """
    while not engine.errored:
        await asyncio.sleep(_LOOK_SECONDS)
    IS_DEAD.set()
    _log.error("The engine is dead, and this replica ends with it: %s", engine.dead_error)
    await asyncio.sleep(_LAST_WORDS_SECONDS)
    end(1)
