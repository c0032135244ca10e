"""How many more replicas than the load keeps busy, learned by trying it on the load that came.

Each rule has a headroom, a time over which it averages the load, and a time for which it keeps a
replica that is not needed. On paper, a fleet follows every rule through the load of the model as it
came, with replicas that come a cold start after they were asked for. It counts the requests that
it would have let wait beyond the bound and the replicas that it would have had. The rule decides of
which both together cost least: a late request has a price.

The price is what makes few enough late: it rises with the share that was late in truth over about a
day. What every rule would have been late for, as where load steps up after calm hours, is the same
for all and decides nothing.

On paper a fleet is one queue. In truth requests are spread unevenly over replicas, and engines take
up more than they work off: an answer slows down before a first token is late. So replicas on paper
have a strength: the one at which the replicas that there really were would have been as late on
paper as they were in truth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from freehold.serving.autoscaling.paper import (
    Fleet,
    Load,
    Mirror,
    Rule,
    Strength,
    followed,
    mirrored,
)

# Of the requests, those that may wait beyond the bound.
LATE = 0.018
# Where so many do, one late request of a hundred weighs as much as so many replicas of a hundred;
# in proportion where more or fewer do, at least and at the most.
_PRICE, _LEAST_PRICE, _MOST_PRICE = 8.0, 6.0, 12.0
# A rule stays in command until another is better by this share of the replicas.
_CONSTANCY = 0.01
# What lies further back counts less than 1/e, in seconds.
_MEMORY_S = 86_400.0
# A rule of headroom h is first thought to be late with e^(-4.5 (h - 1.15)) times this share, and to
# have h replicas, as if that had been seen for three hours: traffic changes by the hour, and one
# that brought a burst, or none, says little of the next.
_DOUBT, _DOUBT_FALLS, _DOUBT_S = 0.05, 4.5, 10_800.0
_USUAL_HEADROOM = 1.15
# Until so many seconds have been seen, little speaks against the usual strength.
_STRENGTH_S = 3600.0

# From the weakest on. Which is true cannot be told apart by one number of late requests: replicas
# that are late too soon are slow, those that are late too seldom have patience.
STRENGTHS = (
    *(Strength(pace, 1.0) for pace in (0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
    *(Strength(1.0, patience) for patience in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
)
_USUAL_STRENGTH = STRENGTHS.index(Strength(1.0, 1.0))
# in seconds
SMOOTHINGS = (20.0, 60.0, 180.0)
# of the load that a backlog is judged by
_FAST_S = 15.0
_HEADROOMS = {
    0.0: (1.0, 1.1, 1.2, 1.3),
    0.3: (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0),
    0.6: (0.7, 0.8, 0.9, 1.0),
}
RULES = tuple(
    Rule(headroom, restless, smoothing, hold)
    for restless, headrooms in _HEADROOMS.items()
    for headroom in headrooms
    for smoothing in range(len(SMOOTHINGS))
    for hold in (1.0, 2.0)
)
# what is believed of each before anything is seen: replicas, and the share that is late, where the
# load keeps four replicas busy
_BELIEVED = tuple(
    (h / _USUAL_HEADROOM, _DOUBT * math.exp(-_DOUBT_FALLS * (h - _USUAL_HEADROOM)))
    for h in (it.headroom + it.restless / 2 for it in RULES)
)


class Trials(NamedTuple):
    """All fleets, and the load that they followed.

    Attributes:
        fleets: One for each of ``RULES``.
        levels: The load over each of ``SMOOTHINGS``, and over the time for backlogs.
        seconds: How long there was a load.
        requests: How many there were; as all sums, of about a day.
        late: How many of them waited beyond the bound in truth.
        evidence: Seconds in which a replica was kept busy.
        mirrors: One for each of ``STRENGTHS``.
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
    mirrors = (Mirror(),) * len(STRENGTHS)
    return Trials((fleet,) * len(RULES), levels, 0.0, 0.0, 0.0, 0.0, mirrors)


def after(trials: Trials, load: Load) -> Trials:
    """Return the trials after some more load."""
    seconds = trials.seconds + load.span
    levels = tuple(
        level + (load.work - level) * max(1 - math.exp(-load.span / over), load.span / seconds)
        for level, over in zip(trials.levels, (*SMOOTHINGS, _FAST_S), strict=True)
    )
    kept = 1 - load.span / _MEMORY_S
    strength = STRENGTHS[_strength(trials)]
    found = Trials(
        tuple(
            followed(fleet, rule, levels, load, strength, kept)
            for fleet, rule in zip(trials.fleets, RULES, strict=True)
        ),
        levels,
        seconds,
        trials.requests * kept + load.requests,
        trials.late * kept + load.late,
        trials.evidence * kept + load.span * min(1.0, load.work),
        tuple(
            mirrored(mirror, strength, load, kept)
            for mirror, strength in zip(trials.mirrors, STRENGTHS, strict=True)
        ),
        trials.chosen,
    )
    return found._replace(chosen=best(found))


def best(trials: Trials) -> int:
    """Return the rule of which replicas and late requests together cost least."""
    seen = trials.evidence / (trials.evidence + _DOUBT_S)
    requests = max(trials.requests, 1e-9)
    price = _price(trials.late / requests * seen + LATE * (1 - seen))
    of_replicas = seen / min(it.cost for it in trials.fleets)
    of_late = price * seen / requests
    found, least = trials.chosen, math.inf
    for index, fleet in enumerate(trials.fleets):
        replicas, late = _BELIEVED[index]
        believed = (1 - seen) * (replicas + price * late)
        cost = believed + of_replicas * fleet.cost + of_late * fleet.late
        if index == trials.chosen:
            cost -= _CONSTANCY
        if cost < least:
            found, least = index, cost
    return found


def _price(late: float) -> float:
    """Return what a late request costs where such a share of all is late."""
    return min(_MOST_PRICE, max(_LEAST_PRICE, _PRICE * late / LATE))


def _strength(trials: Trials) -> int:
    """Return the strength with which replicas would have been as late on paper as they were."""
    usual = LATE * (trials.requests + 1.0) * _STRENGTH_S / max(trials.evidence, _STRENGTH_S)
    truth = math.log(trials.late + usual)

    def apart(index: int) -> tuple[float, int]:
        paper = math.log(trials.mirrors[index].late + usual)
        return abs(paper - truth), abs(index - _USUAL_STRENGTH)

    return min(range(len(STRENGTHS)), key=apart)
