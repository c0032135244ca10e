"""How many replicas a model is to have: one decision, from what is seen and what was learned.

``decide`` is a pure function of what is seen, of its own former state and of settings; it runs
inside Serve's controller and in the simulator alike. The number is the greatest of three: what the
rule that proved best wants for the load (``headroom``), what the seats and KV caches need that are
taken, and what works off a backlog. It rises at once. It falls when the rule has wanted less for as
long as it keeps a replica, and never where nobody tells anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from freehold.serving.autoscaling import headroom
from freehold.serving.autoscaling.headroom import RULES, Trials
from freehold.serving.autoscaling.load import Measured, Replica, first_look, measure
from freehold.serving.autoscaling.paper import Coming, Load, Rule, for_backlog, held, hold
from freehold.serving.autoscaling.policy_words import Grounds, message
from freehold.serving.autoscaling.rates import StepCost

# Seats or KV caches for each that is taken, at least and at the most.
_SPARE = (1.05, 1.35)
# What is there when nothing is known stays for so many seconds.
_UNKNOWN_S = 900.0
# The cold starts that are remembered, and how long one is taken to be before any was seen.
_COLD_STARTS, _COLD_START_S = 8, 180.0
# A start that takes so many times as long does not come: no further one is asked for until it does.
_OVERDUE = 2.5


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen at a moment.

    Attributes:
        time: Seconds.
        queued: Requests that wait in Serve.
        replicas: What each replica that answers told lately.
        ready: Replicas that answer.
        starting: Replicas that were asked for and do not answer yet.
    """

    time: float
    queued: float
    replicas: tuple[Replica, ...]
    ready: int
    starting: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user said, and what the plan knows.

    Attributes:
        least: Replicas at least.
        most: Replicas at the most.
        seats: Requests that a replica runs at once.
        time_to_first_token: Seconds that a request may wait for its first token.
        idle_to_zero: Seconds without a request after which the last replica goes, where ``least``
            is 0.
        prior: What a step costs, while nothing is learned.
    """

    least: int
    most: int
    seats: float
    time_to_first_token: float = 2.0
    idle_to_zero: float = 600.0
    prior: StepCost = field(default_factory=StepCost)


class Starts(NamedTuple):
    """Replicas that were asked for.

    Attributes:
        ready: Replicas that answered at the last look.
        asked: When each was asked for that does not answer yet, in seconds.
        took: Seconds that the last ones took.
    """

    ready: int
    asked: tuple[float, ...] = ()
    took: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """Return the seconds that a start takes, as three of four of the last ones did."""
        if not self.took:
            return _COLD_START_S
        return sorted(self.took)[3 * len(self.took) // 4]

    def overdue(self, now: float) -> bool:
        """Return whether what was asked for does not come."""
        return bool(self.asked) and now - self.asked[0] > _OVERDUE * self.seconds


class State(NamedTuple):
    """What is kept from one decision to the next.

    Attributes:
        time: Of the last look at which anything was told, in seconds.
        began: Of the first look, in seconds.
        found: Replicas that were there then.
        measured: What is known of the load.
        trials: Headrooms that are tried.
        starts: Replicas that were asked for.
        busy_at: When there last was a request.
        wanted: What was decided last.
        seated: When how many were needed for the seats and KV caches that were taken, each less
            than the one before.
    """

    time: float
    began: float
    found: int
    measured: Measured
    trials: Trials
    starts: Starts
    busy_at: float
    wanted: int
    seated: Coming = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, and why.

    Attributes:
        replicas: That there are to be, starting ones included.
        reason: In a word.
        message: In a sentence, with the numbers that decided.
        state: For the next decision.
    """

    replicas: int
    reason: str
    message: str
    state: State


def decide(seen: Observation, state: State | None, settings: Settings) -> Decision:
    """Return how many replicas there are to be.

    Args:
        seen: What is seen now.
        state: What the last decision kept; None for the first one.
        settings: Bounds, and how long a request may wait.
    """
    if state is None:
        state = begun(seen)
    if seen.ready and not state.starts.ready:
        # who has just been woken is not idle, however long that took
        state = state._replace(busy_at=seen.time)
    state = state._replace(starts=_come(seen, state.starts))
    if _silent(seen):
        return _concluded(seen, state, settings, _grounds_of_silence(seen, state, settings))
    if seen.time <= state.time:
        return _concluded(seen, state, settings, Grounds(base=state.wanted))
    return _decided(seen, state, settings)


class Learned(NamedTuple):
    """What is known of a model by now.

    Attributes:
        load: Replicas that the load keeps busy.
        prompt_tokens: That a replica works off in a second, if it does nothing else.
        generated_tokens: The same of tokens that it generates, all its seats taken.
        cold_start: Seconds that a start takes; None before any was seen.
    """

    load: float
    prompt_tokens: float
    generated_tokens: float
    cold_start: float | None


def learned(state: State, settings: Settings) -> Learned:
    """Return what is known of a model by now."""
    measured = state.measured
    cost = measured.rates.cost(settings.prior)
    prompt, generated = cost.token_costs(measured.batch, measured.mix.kv_of_one)
    return Learned(
        state.trials.levels[-1],
        1 / prompt if prompt > 0 else 0.0,
        1 / generated if generated > 0 else 0.0,
        state.starts.seconds if state.starts.took else None,
    )


def woken(state: State, at: float) -> State:
    """Return the state where somebody else has started the first replica.

    Args:
        state: What was known then.
        at: When it was started, in seconds.
    """
    if state.starts.ready or state.starts.asked:
        return state
    return state._replace(starts=state.starts._replace(asked=(at,)), busy_at=at)


def begun(seen: Observation) -> State:
    """Return what is known after one look."""
    there = seen.ready + seen.starting
    trials = headroom.begin(seen.time, there)
    measured = first_look(seen.queued, seen.replicas)
    starts = Starts(seen.ready)
    return State(seen.time, seen.time, there, measured, trials, starts, seen.time, there)


def _silent(seen: Observation) -> bool:
    return seen.ready > 0 and not seen.replicas


def _decided(seen: Observation, state: State, settings: Settings) -> Decision:
    """Decide from what came since the last look."""
    span = seen.time - state.time
    measured, came = measure(
        state.measured, seen.queued, seen.replicas, span, settings.seats, settings.prior
    )
    busy = came.requests > 0 or measured.seen.pending + measured.seen.running > 0
    late = came.requests if _waits_too_long(seen, measured, settings) else came.late
    if seen.ready + seen.starting >= settings.most:
        late = 0.0
    load = Load(
        now=seen.time,
        span=span,
        work=came.work,
        requests=came.requests,
        late=late,
        ready=seen.ready,
        cold_start=state.starts.seconds,
        bound=settings.time_to_first_token,
        least=max(1, settings.least),
        most=settings.most,
    )
    state = state._replace(
        time=seen.time,
        measured=measured,
        trials=headroom.after(state.trials, load),
        busy_at=seen.time if busy else state.busy_at,
        seated=_seated(state, measured, seen.time),
    )
    return _concluded(seen, state, settings, _grounds(seen, state, load))


def _seated(state: State, measured: Measured, now: float) -> Coming:
    """Return how many replicas the seats and KV caches that are taken needed, and when.

    As long as a rule keeps a replica for the load, it is kept for them.
    """
    rule = RULES[state.trials.chosen]
    least, most = _SPARE
    spare = min(most, max(least, rule.headroom))
    number = math.ceil(spare * measured.seen.running / measured.batch)
    return held(state.seated, now, number, hold(rule, state.starts.seconds))


def _waits_too_long(seen: Observation, measured: Measured, settings: Settings) -> bool:
    """Return whether more is queued in Serve, of which no engine tells, than can be in time."""
    before_it = seen.queued * measured.of_one
    return before_it > settings.time_to_first_token * seen.ready


def _grounds(seen: Observation, state: State, load: Load) -> Grounds:
    """Return the three numbers of which the greatest counts."""
    measured, trials = state.measured, state.trials
    chosen = trials.chosen
    rule: Rule = RULES[chosen]
    backlog = measured.seen.pending * measured.of_one
    return Grounds(
        base=trials.fleets[chosen].peaks[0][1],
        seats=state.seated[0][1],
        backlog=max(
            for_backlog(backlog, trials.levels[-1], seen.ready, _coming(state.starts, load), load),
            # none goes while requests are late
            state.wanted if backlog > load.bound * seen.ready else 0,
        ),
        level=trials.levels[rule.smoothing],
        rule=rule,
        waits=backlog,
    )


def _grounds_of_silence(seen: Observation, state: State, settings: Settings) -> Grounds:
    """Return what is known where no replica tells anything: what is queued in Serve."""
    load = Load(
        seen.time, 0.0, 0.0, 0.0, 0.0, 0, state.starts.seconds, settings.time_to_first_token, 1, 1
    )
    backlog = seen.queued * state.measured.of_one
    more = for_backlog(
        backlog, state.trials.levels[-1], seen.ready, _coming(state.starts, load), load
    )
    return Grounds(base=max(state.wanted, seen.ready + seen.starting), backlog=more, silent=True)


def _coming(starts: Starts, load: Load) -> Coming:
    return tuple((max(load.now, when + load.cold_start), 1) for when in starts.asked)


def _concluded(seen: Observation, state: State, settings: Settings, grounds: Grounds) -> Decision:
    """Hold the number to what else is to be heeded, and say it."""
    number = max(grounds.base, grounds.seats, grounds.backlog, 1)
    overdue = state.starts.overdue(seen.time)
    idle = settings.least == 0 and not grounds.silent and _idle(seen, state, settings)
    if idle:
        number = 0
    elif seen.time - state.began < _UNKNOWN_S:
        number = max(number, state.found)
    if overdue:
        number = min(number, max(state.wanted, 1))
    number = min(settings.most, max(settings.least, number))
    reason, words = message(
        grounds._replace(idle=idle, overdue=overdue),
        seen,
        state,
        settings,
        number,
    )
    starts = state.starts._replace(asked=_asked(state.starts.asked, seen, number))
    return Decision(number, reason, words, state._replace(starts=starts, wanted=number))


def _idle(seen: Observation, state: State, settings: Settings) -> bool:
    """Return whether nothing was asked for long enough; who sleeps wakes for the first request."""
    if seen.queued > 0 or state.measured.seen.running + state.measured.seen.pending > 0:
        return False
    asleep = seen.ready + seen.starting == 0
    return asleep or seen.time - state.busy_at >= settings.idle_to_zero


def _come(seen: Observation, starts: Starts) -> Starts:
    """Return who still starts, and what starts took, those that ended now among them."""
    took = starts.took
    arrived = max(0, seen.ready - starts.ready)
    for when in starts.asked[:arrived]:
        # one that waited for hardware says little of the next one
        seconds = min(seen.time - when, _OVERDUE * starts.seconds)
        took = (*took, seconds)[-_COLD_STARTS:]
    return Starts(seen.ready, starts.asked[arrived:], took)


def _asked(asked: tuple[float, ...], seen: Observation, number: int) -> tuple[float, ...]:
    """Return when each replica was asked for that starts, as many as there will be."""
    starting = max(0, number - seen.ready)
    kept = asked[: min(starting, len(asked))]
    return (*kept, *([seen.time] * (starting - len(kept))))
