"""The class that runs a model's engine inside Ray Serve.

It is named in every application from the first release on, since naming another one later would
restart every model and rename its deployment.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from ray._common.usage.usage_lib import usage_stats_enabled
from ray.llm._internal.serve.core.server.llm_server import LLMServer, _add_middleware_to_built_app

from freehold.serving.api_keys import keys_of
from freehold.serving.autoscaling.engine_totals import EngineTotals, Queue, Tokens
from freehold.serving.engine_death import AliveOnly, end_with
from freehold.serving.guard import Guard


class EngineGauge:
    """A stat logger of vLLM's that sums up what the engine's steps did."""

    def __init__(self) -> None:
        """Begin with nothing known, which counts as nothing to do."""
        self.totals = EngineTotals()

    def record(
        self, scheduler_stats: Any = None, iteration_stats: Any = None, *_: Any, **__: Any
    ) -> None:
        """Take the counts of one engine step; one in which no request got a token has one only."""
        if scheduler_stats is None:
            return
        queue = Queue(
            scheduler_stats.num_running_reqs,
            scheduler_stats.num_waiting_reqs,
            scheduler_stats.kv_cache_usage,
        )
        self.totals.add(time.time(), queue, _tokens(iteration_stats))

    def log(self) -> None:
        """Print nothing: the figures go to Serve."""

    def log_engine_initialized(self) -> None:
        """Print nothing."""

    def record_sleep_state(self, *_: Any, **__: Any) -> None:
        """Take nothing: engines are stopped, not put to sleep."""


def _tokens(stats: Any) -> Tokens:
    if stats is None:
        return Tokens()
    return Tokens(
        stats.prompt_token_stats.computed,
        stats.num_generation_tokens,
        len(stats.finished_requests),
        tuple(stats.time_to_first_tokens_iter),
    )


# Ray's own code is only partly typed, so its objects are taken as they come.
_Server: Any = LLMServer


class FreeholdServer(_Server):  # type: ignore[misc]
    """LLMServer with the guard in front and the engine's queue in sight of the autoscaler."""

    async def start(self) -> None:
        """Start the engine, listen to its scheduler, and watch for its end."""
        await super().start()
        self._gauge = EngineGauge()
        client = self.engine._engine_client
        manager = getattr(client, "logger_manager", None)
        if manager is not None:
            manager.stat_loggers.append(self._gauge)
        # kept, or nothing would hold the task
        self._end = asyncio.create_task(end_with(client))

    async def __del__(self) -> None:
        """Stop as Serve asks for it: an engine that is shut down has not died."""
        if (end := getattr(self, "_end", None)) is not None:
            end.cancel()
        await super().__del__()

    async def _start_engine(self) -> None:
        """Start the engine; without the actor that reports on it where reports are off.

        Ray starts that actor on the head all the same, a process that then has nothing to do.
        """
        if usage_stats_enabled():
            await super()._start_engine()
        else:
            await self.engine.start()

    async def __serve_build_asgi_app__(self) -> Any:
        """Return the engine's own app behind the guard; only direct streaming asks for it."""
        app = await super().__serve_build_asgi_app__()
        _add_middleware_to_built_app(app, Guard, keys=keys_of(os.environ))
        _add_middleware_to_built_app(app, AliveOnly, engine=self.engine._engine_client)
        return app

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what is inside the engine and what it did, for the autoscaling policy."""
        return self._gauge.totals.told()
