"""One run: requests, replicas that come and go as a policy says, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from benchmarks.autoscaling import kernel
from benchmarks.autoscaling.replica import Hardware
from benchmarks.autoscaling.traffic import Requests

Array = Any
# Rows for replicas: those that are wanted at the most, and as many that still drain.
MOST = 40
# Cold starts differ by as much.
JITTER = 0.15


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be measured at a moment.

    Attributes:
        time: Seconds from the beginning.
        queued: Requests that no replica has yet.
        state: Of each row, as in ``kernel``.
        born: When each was asked for, in seconds.
        ready_at: When each was or will be ready; of one that starts nobody knows it.
        running: Requests in the engine's steps.
        waiting: Requests in the engine's own queue.
        kv: Share of the KV cache that is in use.
        counters: Of each row, as in ``kernel``; since its replica started.
        totals: The same of all replicas that there ever were.
        arrived: Requests that have come so far.
    """

    time: float
    queued: int
    state: Array
    born: Array
    ready_at: Array
    running: Array
    waiting: Array
    kv: Array
    counters: Array
    totals: Array
    arrived: int

    @property
    def ready(self) -> Array:
        """Return the rows of the replicas that answer."""
        return np.flatnonzero(self.state == kernel.READY)

    @property
    def starting(self) -> Array:
        """Return the rows of the replicas that start."""
        return np.flatnonzero(self.state == kernel.STARTING)

    @property
    def in_flight(self) -> int:
        """Return the requests that have come and have not ended."""
        return int(self.queued + self.running.sum() + self.waiting.sum())


class Policy(Protocol):
    """What decides.

    Attributes:
        interval: Seconds between two decisions.
        age: Seconds that its figures are old.
    """

    interval: float
    age: float

    def decide(self, seen: Seen, now: float, wanted: int) -> int:
        """Return the replicas that there are to be, starting ones included.

        Args:
            seen: What was measured ``age`` seconds ago.
            now: Seconds from the beginning.
            wanted: What it said last.
        """


@dataclass(frozen=True, slots=True)
class Setting:
    """Where requests are served.

    Attributes:
        hardware: Of each replica.
        cold_start: Seconds until a replica answers.
        bound: Seconds to the first token at the most.
        first: Replicas at the beginning.
        least: Replicas at least.
        most: Replicas at the most.
        max_ongoing: Requests that a replica takes; None for as many as run at once.
    """

    hardware: Hardware
    cold_start: float
    bound: float
    first: int
    least: int = 1
    most: int = MOST
    max_ongoing: int | None = None


@dataclass(slots=True)
class Course:
    """Replicas and queue over time; one entry for each decision."""

    time: list[float] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    there: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave.

    Attributes:
        attainment: Share of all requests that had their first token in time.
        gpu_hours: Of all replicas, from their being asked for to their end.
        starts: Replicas that were started.
        course: How it went.
        wait: Seconds to each request's first token.
    """

    attainment: float
    gpu_hours: float
    starts: int
    course: Course
    wait: Array


# Something that befalls a run: called with it after each decision.
Fault = Callable[["Run", float], None]


class Run:
    """A simulation under way."""

    def __init__(self, requests: Requests, setting: Setting, seed: int) -> None:
        """Begin with the first replicas ready."""
        self.requests, self.setting = requests, setting
        self.world = kernel.world(
            requests.arrival,
            requests.prompt,
            requests.output,
            physics(setting),
            2 * setting.most,
            seed,
        )
        self.rng = np.random.default_rng([seed, 3])
        self.starts_fail = False
        self.starts = 0
        for _ in range(setting.first):
            kernel.start(self.world, 0.0, 0.0)
        kernel.advance(self.world, np.nextafter(0.0, 1.0))

    def see(self, time: float) -> Seen:
        """Return what is measured now."""
        w = self.world
        kernel.settle(w, time)
        rows = int(w.scalars[kernel.ROWS])
        return Seen(
            time=time,
            queued=kernel.queued(w),
            state=w.state[:rows].copy(),
            born=w.born[:rows].copy(),
            ready_at=w.ready_at[:rows].copy(),
            running=w.prefill_n[:rows] + w.decode_n[:rows],
            waiting=w.wait_n[:rows].copy(),
            kv=w.kv[:rows] / w.physics[6],
            counters=w.counters[:rows].copy(),
            totals=w.gone + w.counters.sum(0),
            arrived=int(w.scalars[kernel.NEXT]),
        )

    def scale(self, wanted: int, now: float) -> None:
        """Start or stop replicas until there are as many as wanted, those that drain aside."""
        state = self.world.state
        there = int(((state == kernel.READY) | (state == kernel.STARTING)).sum())
        for _ in range(there, wanted):
            jitter = 1 + self.rng.uniform(-JITTER, JITTER)
            ready = now + self.setting.cold_start * jitter
            kernel.start(self.world, now, kernel.NEVER if self.starts_fail else ready)
            self.starts += 1
        for _ in range(wanted, there):
            kernel.stop_one(self.world)


def physics(setting: Setting) -> Array:
    """Return ``World.physics``: seconds and tokens."""
    it, hardware = setting.hardware.step, setting.hardware
    step = np.array([it.p0, it.p1, it.p2, it.d0, it.d1, it.d2 / 1e3]) / 1e3
    ongoing = setting.max_ongoing or hardware.max_num_seqs
    rest = [
        hardware.kv_tokens,
        hardware.max_num_seqs,
        hardware.token_budget,
        ongoing,
        setting.bound,
        hardware.ahead,
    ]
    return np.concatenate([step, rest])


def run(
    requests: Requests,
    setting: Setting,
    policy: Policy,
    seed: int,
    fault: Fault | None = None,
) -> Outcome:
    """Serve requests with as many replicas as a policy wants.

    Args:
        requests: What is asked.
        setting: Where.
        policy: What decides.
        seed: Of cold starts and the router.
        fault: What goes wrong meanwhile.
    """
    it, course = Run(requests, setting, seed), Course()
    wanted, used, before = setting.first, 0.0, 0.0
    for now in _ticks(requests, setting, policy.interval):
        kernel.advance(it.world, max(now - policy.age, before))
        seen = it.see(now - policy.age)
        kernel.advance(it.world, now)
        used += (now - before) * int((it.world.state != kernel.ABSENT).sum())
        before = now
        wanted = min(setting.most, max(setting.least, policy.decide(seen, now, wanted)))
        it.scale(wanted, now)
        if fault is not None:
            fault(it, now)
        _note(course, it, seen, now, wanted)
    wait = it.world.first - requests.arrival
    return Outcome(
        attainment=float((wait <= setting.bound).mean()),
        gpu_hours=used * setting.hardware.devices / 3600,
        starts=it.starts,
        course=course,
        wait=wait,
    )


def _ticks(requests: Requests, setting: Setting, interval: float) -> Iterator[float]:
    """Return the times of decisions, until whoever came last should have had an answer."""
    end = float(requests.arrival[-1]) + setting.bound
    for index in range(1, int(end // interval) + 2):
        yield index * interval


def _note(course: Course, it: Run, seen: Seen, now: float, wanted: int) -> None:
    state = it.world.state
    course.time.append(now)
    course.ready.append(int((state == kernel.READY).sum()))
    course.wanted.append(wanted)
    course.there.append(int((state != kernel.ABSENT).sum()))
    course.in_flight.append(seen.in_flight)
