"""The decisions of a scaling policy, as its log on a model's head has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from freehold.status.raw import count, mapping, text

# As ``freehold.serving.autoscaling.decision_log`` names it, inside Ray.
SCALING_LOG = "freehold_scaling_{}.log"


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, and the numbers that it was made of.

    Attributes:
        time: Seconds since 1970.
        queued: Requests that waited.
        running: Requests that engines ran.
        load: Replicas that the load kept busy.
        ready: Replicas that answered.
        starting: Replicas that started.
        desired: Replicas that were decided on.
        reason: Why, in a word.
        message: Why, in a sentence.
    """

    time: float
    queued: int
    running: int
    load: float
    ready: int
    starting: int
    desired: int
    reason: str
    message: str


def read_decisions(log: str) -> tuple[Decided, ...]:
    """Return the decisions of a log; a line that is none, cut at its end perhaps, is left out."""
    return tuple(_decisions(log))


def _decisions(log: str) -> Iterator[Decided]:
    for line in log.splitlines():
        raw = read_line(line)
        time, load = (_number(raw.get(name)) for name in ("time", "load"))
        names = ("queued", "running", "ready", "starting", "desired")
        queued, running, ready, starting, desired = (count(raw.get(name)) or 0 for name in names)
        reason, message = text(raw.get("reason")), text(raw.get("message"))
        if time and reason:
            yield Decided(time, queued, running, load, ready, starting, desired, reason, message)


def read_line(line: str) -> Mapping[str, Any]:
    """Return what a line of the log has; {} where it is none, or was cut while it was written."""
    try:
        return mapping(json.loads(line))
    except ValueError:
        return {}


def _number(raw: object) -> float:
    return float(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else 0.0


def telling(decisions: tuple[Decided, ...], seconds: float) -> tuple[Decided, ...]:
    """Return the decisions that differ from the one before, and one in each so many seconds."""
    found: list[Decided] = []
    for it in decisions:
        last = found[-1] if found else None
        if last is None or _differs(last, it) or it.time - last.time >= seconds:
            found.append(it)
    return tuple(found)


def _differs(one: Decided, other: Decided) -> bool:
    mine = (one.desired, one.ready, one.starting, one.reason)
    return mine != (other.desired, other.ready, other.starting, other.reason)
