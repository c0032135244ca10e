"""Fleets on paper: what replicas would have done with the load that came.

A fleet is one queue, of work instead of requests: what comes beyond what its replicas do waits, and
requests are late where more waits than they may wait for. It has the replicas that a rule wants,
each a cold start after it was asked for, and more of them for a backlog.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# A backlog is worked off in this share of a cold start, once replicas for it are there.
_DRAIN, _LEAST_DRAIN_S = 1 / 10, 20.0
_LEAST_HOLD_S = 30.0

Coming = tuple[tuple[float, int], ...]


class Strength(NamedTuple):
    """What a replica on paper stands.

    Attributes:
        pace: Work that it does in a second.
        patience: How many times the bound as much work may wait before requests are late.
    """

    pace: float
    patience: float


class Rule(NamedTuple):
    """What a trial is about.

    Attributes:
        headroom: Replicas for each that the load keeps busy.
        restless: Replicas for the square root of that: a small load is relatively more restless.
        smoothing: Index of the time over which the load is averaged.
        hold: Cold starts for which a replica is kept that is not needed.
    """

    headroom: float
    restless: float
    smoothing: int
    hold: float


class Load(NamedTuple):
    """What came since the last look.

    Attributes:
        now: Seconds.
        span: Seconds since the last look.
        work: Replicas that it would keep busy.
        requests: How many.
        late: How many had to wait beyond the bound in truth, while there were fewer replicas than
            are allowed.
        ready: Replicas that answer in truth.
        cold_start: Seconds until a replica that is asked for answers.
        bound: Seconds that a request may wait.
        least: Replicas at least.
        most: Replicas at the most.
    """

    now: float
    span: float
    work: float
    requests: float
    late: float
    ready: int
    cold_start: float
    bound: float
    least: int
    most: int


class Fleet(NamedTuple):
    """Replicas on paper.

    Attributes:
        ready: Those that answer.
        coming: When how many more will, in order.
        peaks: When how many were wanted, each less than the one before.
        backlog: Replica-seconds of work that wait.
        late: Requests that would have waited beyond the bound.
        cost: Replica-seconds.
    """

    ready: int
    coming: Coming
    peaks: Coming
    backlog: float
    late: float
    cost: float


class Mirror(NamedTuple):
    """The replicas that there really are, with some strength on paper.

    Attributes:
        backlog: Replica-seconds of work that wait.
        late: Requests that would have waited beyond the bound.
    """

    backlog: float = 0.0
    late: float = 0.0


def mirrored(mirror: Mirror, strength: Strength, load: Load, kept: float) -> Mirror:
    """Return the replicas that there really are after some more load.

    Args:
        mirror: Before it.
        strength: Of them.
        load: What came.
        kept: Share of what lies further back that still counts.
    """
    done = load.ready * strength.pace
    backlog = max(0.0, mirror.backlog + (load.work - done) * load.span)
    late = load.requests if backlog > load.bound * strength.patience * done else 0.0
    return Mirror(backlog, mirror.late * kept + late)


def wanted(rule: Rule, levels: tuple[float, ...]) -> int:
    """Return the replicas that a rule wants for the present load."""
    level = levels[rule.smoothing]
    return math.ceil(rule.headroom * level + rule.restless * math.sqrt(level))


def for_backlog(backlog: float, level: float, ready: int, coming: Coming, load: Load) -> int:
    """Return the replicas that work a backlog off; 0 where those that there will be do.

    Args:
        backlog: Replica-seconds of work that wait.
        level: Replicas that the present load keeps busy.
        ready: Replicas that answer.
        coming: When how many more will.
        load: For how long a request may wait, and how long a replica takes to come.
    """
    if backlog <= load.bound * ready:
        return 0
    horizon = load.now + load.cold_start
    capacity = ready * load.cold_start
    for when, count in coming:
        capacity += count * max(0.0, horizon - when)
    left = backlog + level * load.cold_start - capacity
    drain = max(_LEAST_DRAIN_S, _DRAIN * load.cold_start)
    return math.ceil(level + left / drain) if left > 0 else 0


def hold(rule: Rule, cold_start: float) -> float:
    """Return the seconds for which a replica is kept that is not needed."""
    return max(_LEAST_HOLD_S, rule.hold * cold_start)


def held(peaks: Coming, now: float, number: int, seconds: float) -> Coming:
    """Return the peaks of the last ``seconds`` with another number; the first is the greatest."""
    end = len(peaks)
    while end and peaks[end - 1][1] <= number:
        end -= 1
    begin = 0
    while begin < end and peaks[begin][0] < now - seconds:
        begin += 1
    return (*peaks[begin:end], (now, number))


def followed(
    fleet: Fleet,
    rule: Rule,
    levels: tuple[float, ...],
    load: Load,
    strength: Strength,
    kept: float,
) -> Fleet:
    """Return a fleet after some more load.

    Args:
        fleet: Before it.
        rule: That it follows.
        levels: The load, averaged; the last of them is what a backlog is judged by.
        load: What came.
        strength: Of its replicas.
        kept: Share of what lies further back that still counts.
    """
    ready, coming, peaks, backlog, late, cost = fleet
    now = load.now
    while coming and coming[0][0] <= now:
        ready, coming = ready + coming[0][1], coming[1:]
    done = ready * strength.pace
    backlog = max(0.0, backlog + (load.work - done) * load.span)
    number = min(load.most, max(load.least, wanted(rule, levels)))
    peaks = held(peaks, now, number, hold(rule, load.cold_start))
    number = peaks[0][1]
    there = ready
    for _, count in coming:
        there += count
    if backlog > load.bound * strength.patience * done:
        # what as many as are allowed cannot answer in time speaks against no rule
        late += load.requests if there < load.most else 0.0
        extra = for_backlog(backlog, levels[-1], ready, coming, load)
        number = min(load.most, max(number, extra, there))  # none goes while requests are late
    if number > there:
        coming = (*coming, (now + load.cold_start, number - there))
    elif number < there:
        coming = _fewer(coming, there - number)
        ready = min(ready, number)
    return Fleet(ready, coming, peaks, backlog, late * kept, cost * kept + number * load.span)


def _fewer(coming: Coming, fewer: int) -> Coming:
    """Return what still comes when so many less are wanted, the last to come first."""
    while fewer > 0 and coming:
        when, count = coming[-1]
        taken = min(count, fewer)
        fewer -= taken
        coming = coming[:-1] if taken == count else (*coming[:-1], (when, count - taken))
    return coming
