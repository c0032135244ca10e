"""How many replicas a model wants, decided inside Serve's controller, and told line by line.

The number is Ray Serve's own rule: requests, running and waiting, over the target of a replica.
What is added is that somebody learns of it: Serve keeps its reasons to itself. Each new decision,
and new figures now and then, become a line of JSON in a log of Ray's head, which Ray's dashboard
serves as any other.

Ray takes this module by value into a process that may not have it: it imports nothing of Freehold.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from typing import Any

from ray.serve._private.logging_utils import get_serve_logs_dir
from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy

# Seconds between two lines: of new decisions, of figures that changed no decision, and where one
# could not be written.
_BETWEEN_DECISIONS, _BETWEEN_FIGURES, _BETWEEN_TRIES = 1.0, 5.0, 60.0
# A file and the one before it: hours of a busy model, days of another.
_LOG_BYTES = 2_000_000
_log = logging.getLogger("ray.serve")


class FollowQueue:
    """A policy of Serve's: called ten times a second with what is known of a deployment."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._told: dict[str, Any] = {}
        self._told_at = 0.0

    def __call__(self, ctx: Any) -> tuple[float, dict[str, Any]]:
        """Return the replicas that are wanted, before Serve's bounds and delays, and no state."""
        wanted, state = replica_queue_length_autoscaling_policy(ctx)
        now = time.time()
        try:
            self._tell(ctx, math.ceil(wanted), now)
        except Exception:
            # a model scales, whatever becomes of a line about it
            _log.exception("the scaling of %s could not be told", ctx.deployment_name)
            self._told_at = now + _BETWEEN_TRIES
        return wanted, state

    def _tell(self, ctx: Any, wanted: int, now: float) -> None:
        """Write a line where the decision is another one, or figures are and the last is old."""
        decision = {
            "running": ctx.current_num_replicas,
            "target": ctx.target_num_replicas,
            "wanted": wanted,
        }
        decided = decision != self._told.get("replicas")
        if now - self._told_at < (_BETWEEN_DECISIONS if decided else _BETWEEN_FIGURES):
            return
        line = {"replicas": decision, **told(ctx, decision)}
        if line != self._told:
            _write(ctx.app_name, {"time": round(now, 1), **line})
        self._told, self._told_at = line, now


def _write(application: str, line: Mapping[str, Any]) -> None:
    """Add a line; the file is not kept open, since each change of a setting makes a new policy."""
    path = os.path.join(get_serve_logs_dir(), log_name(application))
    record = logging.LogRecord("", logging.INFO, "", 0, json.dumps(line), None, None)
    with contextlib.closing(RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)) as log:
        log.emit(record)


def log_name(application: str) -> str:
    """Return the name of the log in Serve's folder of logs."""
    return f"freehold_scaling_{application}.log"


def told(ctx: Any, decision: Mapping[str, int]) -> dict[str, Any]:
    """Return requests running and queued, and the decision in a word and a sentence.

    Args:
        ctx: What Serve knows.
        decision: Replicas that run, that are Serve's target, and that are wanted.
    """
    running, queued = requests(ctx)
    reason, consequence = _verdict(ctx, decision)
    there = f"{_counted(running, 'request')} {_verb(running, 'runs', 'run')} and {queued} "
    there += f"{_verb(queued, 'waits', 'wait')} at {_counted(decision['running'], 'replica')}"
    share = f"of {ctx.config.get_target_ongoing_requests():g} a replica"
    message = f"{there}; at a target {share}, {consequence}."
    return {"queued": queued, "running": running, "reason": reason, "message": message}


def requests(ctx: Any) -> tuple[int, int]:
    """Return the requests that engines run, and those that wait in them or before them.

    Engines tell both every second. One that has not yet is taken to run what it was given.
    """
    engines = ctx.raw_metrics or {}
    running = sum(_last(it) for it in (engines.get("running") or {}).values())
    waiting = sum(_last(it) for it in (engines.get("waiting") or {}).values())
    if not engines.get("running"):
        running = ctx.total_running_requests
    return round(running), round(waiting + (ctx.total_queued_requests or 0.0))


def _last(series: Any) -> float:
    return float(series[-1].value) if series else 0.0


def _verdict(ctx: Any, decision: Mapping[str, int]) -> tuple[str, str]:
    """Return the decision in a word, and what follows from it."""
    running, target, wanted = decision["running"], decision["target"], decision["wanted"]
    least, most = ctx.capacity_adjusted_min_replicas, ctx.capacity_adjusted_max_replicas
    bounded = max(least, min(most, wanted))
    if bounded > target:
        return "ScalingUp", f"{_replicas(bounded)} wanted once {_held(ctx.config.upscale_delay_s)}"
    if bounded < target:
        return "ScalingDown", f"{_replicas(bounded)} enough once {_held(_patience(ctx, target))}"
    reason = "Holding" if running >= target else "ScalingUp"
    if wanted > most:
        return reason, f"{_replicas(wanted)} wanted, and at most {most} allowed"
    if wanted < least:
        return reason, f"{_replicas(wanted)} enough, and at least {least} kept"
    return reason, f"{_replicas(target)} wanted"


def _replicas(number: int) -> str:
    return f"{_counted(number, 'replica')} {_verb(number, 'is', 'are')}"


def _held(seconds: float) -> str:
    return f"that has held for {seconds:g} s"


def _patience(ctx: Any, target: int) -> float:
    """Return how long fewer must be enough, in seconds; for the last replica it is another time."""
    if target == 1 and ctx.config.downscale_to_zero_delay_s is not None:
        return float(ctx.config.downscale_to_zero_delay_s)
    return float(ctx.config.downscale_delay_s)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _verb(number: int, one: str, many: str) -> str:
    return one if number == 1 else many
