"""A log of decisions on Ray's head, a line of JSON each, which Ray's dashboard serves as any other.

A line has what was seen, in full, beside what was decided: whoever doubts a decision can have it
made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from logging.handlers import RotatingFileHandler
from typing import Any

from freehold.serving.autoscaling.load import Replica
from freehold.serving.autoscaling.policy import Decision, Learned, Observation, Settings, learned
from freehold.serving.autoscaling.rates import Work

# A file and the one before it: hours of a busy model, days of another.
_LOG_BYTES = 4_000_000


def log_name(application: str) -> str:
    """Return the name of the log in Serve's folder of logs."""
    return f"freehold_scaling_{application}.log"


def line(seen: Observation, decision: Decision, settings: Settings, *, first: bool) -> str:
    """Return a decision as a line.

    Args:
        seen: What it was made of.
        decision: What was decided.
        settings: Bounds, and how long a request may wait.
        first: Whether nothing was known before.
    """
    now, known = decision.state.measured.seen, learned(decision.state, settings)
    told: dict[str, Any] = {
        "time": round(seen.time, 1),
        "queued": round(now.pending),
        "running": round(now.running),
        "ready": seen.ready,
        "starting": seen.starting,
        "desired": decision.replicas,
        "reason": decision.reason,
        "message": decision.message,
        "load": round(known.load, 3),
        "learned": _learned(known),
        "seen": _seen_as_list(seen),
        "settings": list(astuple(settings))[:5],
    }
    return json.dumps(told | {"first": True} if first else told, separators=(",", ":"))


def _learned(known: Learned) -> dict[str, Any]:
    rates = {
        "promptTokensPerSecond": round(known.prompt_tokens),
        "generatedTokensPerSecond": round(known.generated_tokens),
    }
    took = known.cold_start
    return rates if took is None else rates | {"coldStart": f"{max(1, round(took))}s"}


def _seen_as_list(seen: Observation) -> list[Any]:
    replicas = [
        [it.name, it.running, it.waiting, it.kv, it.finished, it.late, list(it.work)]
        for it in seen.replicas
    ]
    return [seen.time, seen.queued, replicas, seen.ready, seen.starting]


def recorded(told: Mapping[str, Any]) -> tuple[Observation, Settings]:
    """Return what a line says was seen, and with which settings.

    Raises:
        KeyError, TypeError, ValueError: If the line is none of this log.
    """
    time, queued, replicas, ready, starting = told["seen"]
    least, most, seats, bound, idle = told["settings"]
    them = tuple(_replica(it) for it in replicas)
    return Observation(time, queued, them, ready, starting), Settings(
        least, most, seats, bound, idle
    )


def _replica(told: Sequence[Any]) -> Replica:
    name, running, waiting, kv, finished, late, work = told
    return Replica(name, running, waiting, kv, finished, late, Work(*work))


def write(folder: str, application: str, text: str) -> None:
    """Add a line; the file is not kept open, since each change of a setting makes a new policy."""
    path = os.path.join(folder, log_name(application))
    record = logging.LogRecord("", logging.INFO, "", 0, text, None, None)
    with contextlib.closing(RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)) as log:
        log.emit(record)
