"""How many more replicas than the load keeps busy, learned by trying it on the load that came.

Each rule has a headroom, a time over which it averages the load, and a time for which it keeps a
replica that is not needed. On paper, a fleet follows every rule through the load of the model as it
came, with replicas that come a cold start after they were asked for. It counts the requests that
it would have let wait beyond the bound and the replicas that it would have had. The cheapest rule
that would have kept enough requests within the bound decides.

On paper a fleet is one queue. In truth requests are spread unevenly over replicas, and engines have
room for more than they work off. So replicas on paper have a pace: the one at which the replicas
that there really were would have been as late on paper as they were in truth.

Of the requests of a day, a share may be late. What of it is left decides how much a rule may use:
after a day that went well a leaner rule is taken, after a bad hour a more careful one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# Of the requests, those that may wait beyond the bound.
LATE = 0.018
# What a rule may use of it, at least and at the most, whatever became of the requests so far.
_ALLOWED = (LATE / 4, 2 * LATE)
# Work that a replica may do on paper in a second.
PACES = (0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.45, 1.6)
_USUAL_PACE = PACES.index(1.0)
# Until so many seconds have been seen, little speaks against the usual pace.
_PACE_S = 3600.0
# What lies further back counts less than 1/e, in seconds.
_MEMORY_S = 86_400.0
# A rule of headroom h is first thought to be late with e^(-6 (h - 1.15)) times this share, as if
# that had been seen for so many cold starts: what happens within one counts as one observation.
_DOUBT, _DOUBT_FALLS, _DOUBT_STARTS = 0.1, 6.0, 8.0
_USUAL_HEADROOM = 1.15
# An hour is the least of which anything can be told: traffic changes by the hour.
_LEAST_DOUBT_S = 3600.0
# A backlog is worked off in this share of a cold start, once replicas for it are there.
_DRAIN, _LEAST_DRAIN_S = 1 / 10, 20.0

Coming = tuple[tuple[float, int], ...]


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


# in seconds
SMOOTHINGS = (20.0, 60.0, 180.0)
# of the load that a backlog is judged by
_FAST_S = 15.0
_HEADROOMS = {
    0.0: (0.9, 1.0, 1.1, 1.2, 1.3),
    0.3: (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.4),
}
RULES = tuple(
    Rule(headroom, restless, smoothing, hold)
    for restless, headrooms in _HEADROOMS.items()
    for headroom in headrooms
    for smoothing in range(len(SMOOTHINGS))
    for hold in (1.0, 2.0)
)
# where the load keeps four replicas busy, and of them what a rule leaves to the square root
_PRIOR = tuple(
    _DOUBT * math.exp(-_DOUBT_FALLS * (it.headroom + it.restless / 2 - _USUAL_HEADROOM))
    for it in RULES
)
_LEAST_HOLD_S = 30.0


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
    """The replicas that there really are, at some pace on paper.

    Attributes:
        backlog: Replica-seconds of work that wait.
        late: Requests that would have waited beyond the bound.
    """

    backlog: float = 0.0
    late: float = 0.0


class Trials(NamedTuple):
    """All fleets, and the load that they followed.

    Attributes:
        fleets: One for each of ``RULES``.
        levels: The load over each of ``SMOOTHINGS``, and over the time for backlogs.
        seconds: How long there was a load.
        requests: How many there were; as all sums, of about a day.
        late: How many of them waited beyond the bound in truth.
        evidence: Seconds in which a replica was kept busy.
        mirrors: One for each of ``PACES``.
        chosen: Index of the rule that is in command.
    """

    fleets: tuple[Fleet, ...]
    levels: tuple[float, ...]
    seconds: float
    requests: float
    late: float
    evidence: float
    mirrors: tuple[Mirror, ...]
    chosen: int = 0


def begin(now: float, replicas: int) -> Trials:
    """Return trials of which each begins with what is there."""
    fleet = Fleet(replicas, (), ((now, replicas),), 0.0, 0.0, 0.0)
    levels = (0.0,) * (len(SMOOTHINGS) + 1)
    return Trials((fleet,) * len(RULES), levels, 0.0, 0.0, 0.0, 0.0, (Mirror(),) * len(PACES))


def after(trials: Trials, load: Load) -> Trials:
    """Return the trials after some more load."""
    seconds = trials.seconds + load.span
    levels = tuple(
        level + (load.work - level) * max(1 - math.exp(-load.span / over), load.span / seconds)
        for level, over in zip(trials.levels, (*SMOOTHINGS, _FAST_S), strict=True)
    )
    kept = 1 - load.span / _MEMORY_S
    pace = PACES[_pace(trials)]
    found = Trials(
        tuple(
            _followed(fleet, rule, levels, load, pace, kept)
            for fleet, rule in zip(trials.fleets, RULES, strict=True)
        ),
        levels,
        seconds,
        trials.requests * kept + load.requests,
        trials.late * kept + load.late,
        trials.evidence * kept + load.span * min(1.0, load.work),
        tuple(
            _mirrored(mirror, pace, load, kept)
            for mirror, pace in zip(trials.mirrors, PACES, strict=True)
        ),
    )
    return found._replace(chosen=best(found, load.cold_start))


def best(trials: Trials, cold_start: float) -> int:
    """Return the cheapest rule that would have kept its word; the most careful one if none."""
    doubt = max(_LEAST_DOUBT_S, _DOUBT_STARTS * cold_start)
    weight = trials.evidence + doubt
    requests = max(trials.requests, 1e-9)
    truth = (trials.late / requests * trials.evidence + LATE * doubt) / weight
    least_allowed, most_allowed = _ALLOWED
    allowed = min(most_allowed, max(least_allowed, 2 * LATE - truth))
    found, least = -1, math.inf
    surest, lowest = -1, math.inf
    for index, fleet in enumerate(trials.fleets):
        late = (fleet.late / requests * trials.evidence + _PRIOR[index] * doubt) / weight
        if late <= allowed and fleet.cost < least:
            found, least = index, fleet.cost
        if late < lowest:
            surest, lowest = index, late
    return found if found >= 0 else surest


def _pace(trials: Trials) -> int:
    """Return the pace at which replicas would have been as late on paper as they were."""
    usual = LATE * (trials.requests + 1.0) * _PACE_S / max(trials.evidence, _PACE_S)
    truth = math.log(trials.late + usual)

    def apart(index: int) -> tuple[float, int]:
        paper = math.log(trials.mirrors[index].late + usual)
        return abs(paper - truth), abs(index - _USUAL_PACE)

    return min(range(len(PACES)), key=apart)


def _mirrored(mirror: Mirror, pace: float, load: Load, kept: float) -> Mirror:
    done = load.ready * pace
    backlog = max(0.0, mirror.backlog + (load.work - done) * load.span)
    late = load.requests if backlog > load.bound * done else 0.0
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


def _followed(
    fleet: Fleet, rule: Rule, levels: tuple[float, ...], load: Load, pace: float, kept: float
) -> Fleet:
    """Return a fleet after some more load."""
    ready, coming, peaks, backlog, late, cost = fleet
    now = load.now
    while coming and coming[0][0] <= now:
        ready, coming = ready + coming[0][1], coming[1:]
    done = ready * pace
    backlog = max(0.0, backlog + (load.work - done) * load.span)
    number = min(load.most, max(load.least, wanted(rule, levels)))
    peaks = held(peaks, now, number, hold(rule, load.cold_start))
    number = peaks[0][1]
    there = ready
    for _, count in coming:
        there += count
    if backlog > load.bound * done:
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
