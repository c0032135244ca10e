"""The policy inside Ray Serve: asked ten times a second with what is known of a deployment.

Ray takes this module by value into a process that may not have it, the controller, and of all that
it imports nothing. So the package with the policy asks to be taken by value, too.
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any

from ray import cloudpickle
from ray.serve._private.logging_utils import get_serve_logs_dir

from freehold.serving import autoscaling
from freehold.serving.autoscaling import decision_log, memory
from freehold.serving.autoscaling.engine_totals import replica
from freehold.serving.autoscaling.policy import (
    Decision,
    Observation,
    Settings,
    State,
    begun,
    decide,
    woken,
)
from freehold.serving.autoscaling.policy_words import NO_METRICS

_cloudpickle: Any = cloudpickle
_cloudpickle.register_pickle_by_value(autoscaling)

# What a replica told longer ago says nothing of the present, in seconds.
_OLDEST_S = 15.0
# Seconds between two decisions where replicas tell nothing new.
_EVERY_UNTOLD = 8.0
# Seconds between two decisions, between two times at which what was learned is written down, and
# until a log or file that could not be written is tried again.
_EVERY, _BETWEEN_SAVES, _BETWEEN_TRIES = 2.0, 10.0, 60.0
# From zero on Serve starts a replica without asking. Who was not asked for so long was asleep.
_UNASKED_S = 5.0
_log = logging.getLogger("ray.serve")


class FollowQueue:
    """As many replicas as answer in time."""

    def __init__(self, seats: int) -> None:
        """Begin with nothing known.

        Args:
            seats: Requests that a replica runs at once.
        """
        self._seats = seats
        self._state: State | None = None
        self._remembers = True
        self._wanted, self._newest = 0, 0.0
        self._decided_at = self._saved_at = self._quiet_until = -math.inf

    def __call__(self, ctx: Any) -> tuple[float, dict[str, Any]]:
        """Return the replicas that are wanted, and nothing for Serve to keep."""
        now = time.time()
        if self._is_due(ctx, now):
            try:
                self._wanted = self._decide(ctx, now)
            except Exception:
                # what there is stays: a model answers, whatever becomes of its scaling
                _log.exception("no decision about the scaling of %s", ctx.deployment_name)
                self._wanted = ctx.target_num_replicas
                self._state, self._remembers = None, False
            self._decided_at = now
        return self._wanted, {}

    def _is_due(self, ctx: Any, now: float) -> bool:
        """Return whether it is time, and a replica has told something since the last decision.

        Figures that are looked at twice would look like a time without requests.
        """
        age = now - self._decided_at
        if age < _EVERY or age >= _EVERY_UNTOLD:
            return age >= _EVERY
        newest = _newest(ctx.raw_metrics or {})
        return newest != self._newest or not newest

    def _decide(self, ctx: Any, now: float) -> int:
        """Decide, tell it, and return what Serve is to be told."""
        settings = settings_of(ctx, self._seats)
        seen = observation(ctx, now, settings.time_to_first_token)
        self._newest = _newest(ctx.raw_metrics or {})
        if self._state is None and self._remembers:
            self._state = memory.load(_memory(ctx.app_name), begun(seen))
        elif self._state is not None and now - self._decided_at > _UNASKED_S:
            self._state = woken(self._state, self._decided_at)
        first = self._state is None
        decision = decide(seen, self._state, settings)
        self._state = decision.state
        if now >= self._quiet_until:
            self._tell(ctx.app_name, decision_log.line(seen, decision, settings, first=first), now)
        return _for_serve(decision, settings)

    def _tell(self, application: str, line: str, now: float) -> None:
        """Write the decision down, and now and then what was learned."""
        try:
            decision_log.write(get_serve_logs_dir(), application, line)
            if now - self._saved_at >= _BETWEEN_SAVES and self._state is not None:
                memory.save(_memory(application), self._state)
                self._saved_at = now
        except Exception:
            # a model scales, whatever becomes of a line about it
            _log.exception("the scaling of %s could not be told", application)
            self._quiet_until = now + _BETWEEN_TRIES


def settings_of(ctx: Any, seats: int) -> Settings:
    """Return the settings as ``freehold.render.scaling`` hides them among Serve's own."""
    return Settings(
        ctx.capacity_adjusted_min_replicas,
        ctx.capacity_adjusted_max_replicas,
        seats,
        time_to_first_token=ctx.config.target_ongoing_requests,
        idle_to_zero=ctx.config.downscale_to_zero_delay_s,
    )


def _for_serve(decision: Decision, settings: Settings) -> int:
    """Return the number for Serve, which waits for itself before it takes the last replica away.

    It counts that time from the moment at which nothing is asked any more.
    """
    quiet = decision.state.busy_at < decision.state.time and decision.reason != NO_METRICS
    return 0 if quiet and settings.least == 0 and decision.replicas <= 1 else decision.replicas


def observation(ctx: Any, now: float, bound: float) -> Observation:
    """Return what is seen of a deployment.

    Args:
        ctx: What Serve knows.
        now: Seconds.
        bound: Seconds that a request may wait for its first token.
    """
    ready = len(ctx.running_replicas)
    told = _told(ctx.raw_metrics or {}, now)
    names = (it.unique_id for it in ctx.running_replicas)
    replicas = (replica(name, told[name], bound) for name in names if name in told)
    return Observation(
        time=now,
        queued=float(ctx.total_queued_requests or 0.0),
        replicas=tuple(it for it in replicas if it is not None),
        ready=ready,
        starting=max(0, ctx.target_num_replicas - ready),
    )


def _told(metrics: Any, now: float) -> dict[str, dict[str, float]]:
    """Return the last numbers of each replica, by its name."""
    found: dict[str, dict[str, float]] = {}
    for name, of_replicas in metrics.items():
        for each, series in of_replicas.items():
            if series and now - series[-1].timestamp < _OLDEST_S:
                found.setdefault(each.unique_id, {})[name] = float(series[-1].value)
    return found


def _newest(metrics: Any) -> float:
    """Return when a replica told something last; 0 where none did."""
    series = (it[-1].timestamp for each in metrics.values() for it in each.values() if it)
    return max(series, default=0.0)


def _memory(application: str) -> str:
    return os.path.join(get_serve_logs_dir(), f"freehold_scaling_{application}.json")
