"""What the policy says of a decision: a word, and a sentence with the numbers that decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from freehold.serving.autoscaling.headroom import SMOOTHINGS
from freehold.serving.autoscaling.paper import Rule

if TYPE_CHECKING:
    from freehold.serving.autoscaling.policy import Observation, Settings, State


NO_METRICS = "NoMetrics"


class Grounds(NamedTuple):
    """Why a number is wanted.

    Attributes:
        base: Replicas for the load.
        seats: Replicas for the seats and KV caches that are taken.
        backlog: Replicas that work off what waits.
        level: Replicas that the load keeps busy.
        rule: By which ``base`` follows from it.
        waits: Replica-seconds of work that wait.
        silent: Whether no replica tells anything.
        idle: Whether nothing was asked for long enough.
        overdue: Whether replicas that were asked for do not come.
    """

    base: int = 0
    seats: int = 0
    backlog: int = 0
    level: float = 0.0
    rule: Rule | None = None
    waits: float = 0.0
    silent: bool = False
    idle: bool = False
    overdue: bool = False


def message(
    grounds: Grounds, seen: Observation, state: State, settings: Settings, number: int
) -> tuple[str, str]:
    """Return the decision in a word and in a sentence."""
    there = seen.ready + seen.starting
    sentence = f"{_situation(seen, state)}; {_why(grounds, seen, state)}"
    return _reason(
        grounds, seen, number
    ), f"{sentence}{_bounded(grounds, settings, number, there)}."


def _reason(grounds: Grounds, seen: Observation, number: int) -> str:
    there = seen.ready + seen.starting
    if grounds.silent:
        return NO_METRICS
    if grounds.overdue:
        return "StartsOverdue"
    if number == 0:
        return "Idle"
    if seen.ready == 0:
        return "Waking"
    if number > there:
        return "ScalingUp"
    return "ScalingDown" if number < there else "Holding"


def _situation(seen: Observation, state: State) -> str:
    now = state.measured.seen
    runs = f"{_counted(now.running, 'request')} {_verb(now.running, 'runs', 'run')}"
    waits = f"{now.pending:.0f} {_verb(now.pending, 'waits', 'wait')}"
    at = f"{runs} and {waits} at {_counted(seen.ready, 'replica')}"
    if seen.starting:
        at += f", {seen.starting} {_verb(seen.starting, 'starts', 'start')}"
    return at


def _why(grounds: Grounds, seen: Observation, state: State) -> str:
    if grounds.silent:
        return "no replica tells anything, so nothing is taken away"
    if grounds.overdue:
        waited = seen.time - state.starts.asked[0]
        return (
            f"what was asked for {waited:.0f} s ago does not answer, where a start took "
            f"{state.starts.seconds:.0f} s, so no more is asked for until it does"
        )
    if grounds.idle:
        return f"nothing was asked for {seen.time - state.busy_at:.0f} s"
    if grounds.rule is None:
        return "nothing new is known"
    load = f"the load keeps {grounds.level:.1f} replicas busy"
    if grounds.backlog > max(grounds.base, grounds.seats):
        return (
            f"{load} and what waits is {grounds.waits:.0f} replica-seconds of work, "
            f"for which {grounds.backlog} {_verb(grounds.backlog, 'is', 'are')} needed"
        )
    if grounds.seats > grounds.base:
        are = _verb(grounds.seats, "is", "are")
        return f"{load} and {grounds.seats} {are} needed for the seats and KV caches that are taken"
    are = _verb(grounds.base, "is", "are")
    return f"{load}, for which {grounds.base} {are} {_kept(grounds.rule, grounds.level, state)}"


def _kept(rule: Rule, level: float, state: State) -> str:
    held = rule.hold * state.starts.seconds
    # a load next to nothing has the one replica that is kept anyway
    headroom = rule.headroom + rule.restless / math.sqrt(max(level, 1.0))
    return (
        f"kept with a headroom of {headroom:.2f} over {SMOOTHINGS[rule.smoothing]:.0f} s, "
        f"the most of the last {held:.0f} s"
    )


def _bounded(grounds: Grounds, settings: Settings, number: int, there: int) -> str:
    free = max(grounds.base, grounds.seats, grounds.backlog)
    if free > number == settings.most:
        return f", and at most {settings.most} {_verb(settings.most, 'is', 'are')} allowed"
    if not grounds.idle and free < number == settings.least:
        return f", and at least {settings.least} {_verb(settings.least, 'is', 'are')} kept"
    if free < number <= there and not grounds.silent:
        return f", and {number} {_verb(number, 'stays', 'stay')} until more is known"
    return ""


def _counted(number: float, noun: str) -> str:
    return f"{number:.0f} {noun}" if round(number) == 1 else f"{number:.0f} {noun}s"


def _verb(number: float, one: str, many: str) -> str:
    return one if round(number) == 1 else many
