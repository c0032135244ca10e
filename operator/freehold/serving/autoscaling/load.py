"""What was asked of a model since the last look, in replicas that it keeps busy.

The unit is work: prompt tokens and generated tokens, each times what it costs a full replica.
Prompts are counted where they are prefilled, and those that wait by their number and the mean
prompt. What will be generated is not known beforehand: requests times the mean of generated tokens,
spread over the time for which a request runs.

Differences are taken of replicas that told something both times. One that is new, that was silent
or that is gone changes nothing by that alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from freehold.serving.autoscaling.rates import Rates, StepCost, Work, full_batch

# The mix of requests is that of about so many seconds.
_MIX_S = 600.0
# A request is taken to run for no longer, in seconds.
_LONGEST_RUN_S = 300.0
# What is thought of an answer before any ended, in tokens, and how many that counts for.
_OUTPUT, _OUTPUT_COUNTS = 200.0, 1.0


@dataclass(frozen=True, slots=True)
class Replica:
    """What a replica told last.

    Attributes:
        name: Of its own, and of no later one's.
        running: Requests in the engine's steps.
        waiting: Requests in the engine's queue.
        kv: Share of the KV cache that is in use.
        finished: Requests that ended since it started.
        late: Requests whose first token came later than it should, since then.
        work: What it did since it started.
    """

    name: str
    running: float
    waiting: float
    kv: float
    finished: float
    late: float
    work: Work


class Seen(NamedTuple):
    """Sums over replicas.

    Attributes:
        pending: Requests that wait, in Serve and in engines.
        running: Requests that run.
        kv: KV caches that they fill.
    """

    pending: float
    running: float
    kv: float


class Totals(NamedTuple):
    """What one replica had told at the last look."""

    running: float
    waiting: float
    finished: float
    late: float
    work: Work


class Mix(NamedTuple):
    """Sums over about ten minutes, from which means follow.

    Attributes:
        requests: That began.
        finished: That ended.
        prompt: Tokens prefilled.
        generated: Tokens generated.
        running: Request-seconds in engines.
        kv: Seconds of full KV caches.
    """

    requests: float = 0.0
    finished: float = 0.0
    prompt: float = 0.0
    generated: float = 0.0
    running: float = 0.0
    kv: float = 0.0

    @property
    def mean_prompt(self) -> float:
        """Return the prompt tokens of a request."""
        return self.prompt / self.requests if self.requests > 0 else 0.0

    @property
    def mean_output(self) -> float:
        """Return the tokens that a request generates.

        Tokens for each request that ended: the likeliest mean where some have not ended yet. It
        rises at once where answers become longer, long before one of those has ended.
        """
        tokens = self.generated + _OUTPUT * _OUTPUT_COUNTS
        return tokens / (self.finished + _OUTPUT_COUNTS)

    @property
    def run_seconds(self) -> float:
        """Return the time for which a request runs."""
        return self.running / max(self.finished, 1.0)

    @property
    def kv_of_one(self) -> float:
        """Return the share of a KV cache that a request holds."""
        return min(1.0, self.kv / self.running) if self.running > 0 else 0.0


class Measured(NamedTuple):
    """What is known of the load.

    Attributes:
        queued: Requests that waited in Serve at the last look.
        seen: All that waited and ran then.
        totals: Of each replica, by name.
        mix: Of requests.
        rates: What was learned of the time that steps take.
        decode: Replicas kept busy by generating.
        of_one: Replica-seconds of a mean request; 0 while nothing is known of any.
        batch: Sequences that a full replica runs.
    """

    queued: float
    seen: Seen
    totals: dict[str, Totals]
    mix: Mix = Mix()
    rates: Rates = Rates()
    decode: float = 0.0
    of_one: float = 0.0
    batch: float = 1.0


class Came(NamedTuple):
    """What came between two looks.

    Attributes:
        requests: How many.
        work: Replicas that it keeps busy.
        late: Requests that had their first token too late.
    """

    requests: float
    work: float
    late: float


def sums(queued: float, replicas: tuple[Replica, ...]) -> Seen:
    """Return what waits and runs, with those that are queued in Serve."""
    return Seen(
        queued + sum(it.waiting for it in replicas),
        sum(it.running for it in replicas),
        sum(it.kv for it in replicas),
    )


def first_look(queued: float, replicas: tuple[Replica, ...]) -> Measured:
    """Return what is known from one look alone."""
    return Measured(queued, sums(queued, replicas), _totals(replicas))


def measure(
    before: Measured,
    queued: float,
    replicas: tuple[Replica, ...],
    span: float,
    seats: float,
    prior: StepCost,
) -> tuple[Measured, Came]:
    """Return what is known after another look, and what came since the last one.

    Args:
        before: What was known.
        queued: Requests that wait in Serve.
        replicas: What each told last.
        span: Seconds since the last look.
        seats: Sequences that a replica runs at once.
        prior: Costs of a step while nothing is learned.
    """
    seen = sums(queued, replicas)
    change = _changes(before.totals, replicas)
    work = change.work
    waits = change.waiting + queued - before.queued
    requests = max(0.0, change.finished + change.running + waits)
    rates = before.rates.after(work)
    mix = _mixed(
        before.mix, max(0.0, requests - waits), max(0.0, change.finished), work, seen, span
    )
    batch = full_batch(seats, mix.kv_of_one)
    per_prompt, per_token = rates.cost(prior).token_costs(batch, mix.kv_of_one)
    prefill = max(0.0, work.prompt + waits * mix.mean_prompt) * per_prompt / span
    runs = min(_LONGEST_RUN_S, max(span, mix.run_seconds))
    asked = requests / span * mix.mean_output * per_token
    decode = before.decode + (asked - before.decode) * min(1.0, span / runs)
    of_one = mix.mean_prompt * per_prompt + mix.mean_output * per_token
    found = Measured(queued, seen, _totals(replicas), mix, rates, decode, of_one, batch)
    return found, Came(requests, max(0.0, prefill + decode), max(0.0, change.late))


def _totals(replicas: tuple[Replica, ...]) -> dict[str, Totals]:
    return {
        it.name: Totals(it.running, it.waiting, it.finished, it.late, it.work) for it in replicas
    }


def _changes(totals: dict[str, Totals], replicas: tuple[Replica, ...]) -> Totals:
    """Return how much more runs, waits, has ended and was done than at the last look."""
    running = waiting = finished = late = 0.0
    done = [0.0] * len(Work())
    for replica in replicas:
        former = totals.get(replica.name)
        if former is None or any(
            now < was for now, was in zip(replica.work, former.work, strict=True)
        ):
            continue  # a new one, or one that has begun again
        running += replica.running - former.running
        waiting += replica.waiting - former.waiting
        finished += replica.finished - former.finished
        late += replica.late - former.late
        for index, (now, was) in enumerate(zip(replica.work, former.work, strict=True)):
            done[index] += now - was
    return Totals(running, waiting, finished, late, Work(*done))


def _mixed(mix: Mix, began: float, finished: float, work: Work, seen: Seen, span: float) -> Mix:
    if began == finished == seen.running == 0:
        return mix  # a model that sleeps forgets nothing
    kept = math.exp(-span / _MIX_S)
    new = (began, finished, work.prompt, work.generated, seen.running * span, seen.kv * span)
    return Mix(*(old * kept + it for old, it in zip(mix, new, strict=True)))
