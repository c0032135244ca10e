"""The scaling policy: what holds whatever is seen, and what it does when something is amiss.

A model here has replicas of known physics in a world without time of its own: requests come at a
rate, each costs a replica so many seconds, and what the replicas do not get done waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.serving.autoscaling.load import Replica
from freehold.serving.autoscaling.policy import (
    Decision,
    Observation,
    Settings,
    State,
    decide,
    woken,
)
from freehold.serving.autoscaling.rates import StepCost, Work

SETTINGS = Settings(least=1, most=20, seats=64)
COST = StepCost(step=0.02, prompt=1e-4, sequence=1e-4, kv=0.01)
PROMPT, OUTPUT = 1000.0, 100.0
# of a full replica
OF_ONE = PROMPT * COST.prompt + OUTPUT * (COST.step / 64 + COST.sequence + COST.kv * 0.01)
SPAN = 2.0


@dataclass
class Server:
    """One replica of the world."""

    name: str
    running: float = 0.0
    waiting: float = 0.0
    finished: float = 0.0
    did: list[float] = field(default_factory=lambda: [0.0] * 5)

    @property
    def told(self) -> Replica:
        kv = min(1.0, self.running * 0.01)
        return Replica(
            self.name, self.running, self.waiting, kv, self.finished, 0.0, Work(*self.did)
        )


class World:
    """Requests and replicas, and the policy that decides how many there are."""

    def __init__(
        self, settings: Settings = SETTINGS, replicas: int = 1, cold_start: float = 60.0
    ) -> None:
        self.settings, self.cold_start = settings, cold_start
        self.now = 1000.0
        self.servers = [Server(f"r{i}") for i in range(replicas)]
        self.coming: list[float] = []
        self.queued = 0.0
        self.made = replicas
        self.state: State | None = None
        self.decisions: list[Decision] = []
        self.tells = True
        self.starts = True

    @property
    def wanted(self) -> int:
        return self.decisions[-1].replicas

    @property
    def last(self) -> Decision:
        return self.decisions[-1]

    def see(self) -> Observation:
        told = tuple(it.told for it in self.servers) if self.tells else ()
        return Observation(self.now, self.queued, told, len(self.servers), len(self.coming))

    def run(self, seconds: float, requests: float = 0.0, *, scale: bool = True) -> None:
        """Let time pass with so many requests a second."""
        for _ in range(round(seconds / SPAN)):
            self.now += SPAN
            self._come()
            self._serve(requests * SPAN)
            decision = decide(self.see(), self.state, self.settings)
            self.state = decision.state
            self.decisions.append(decision)
            if scale:
                self._scale(decision.replicas)

    def _come(self) -> None:
        ready = [it for it in self.coming if it <= self.now]
        self.coming = [it for it in self.coming if it > self.now]
        for _ in ready:
            self.made += 1
            self.servers.append(Server(f"r{self.made}"))

    def _serve(self, requests: float) -> None:
        self.queued += requests
        for server in self.servers:
            done = min(self.queued, SPAN / OF_ONE)
            self.queued -= done
            # as many run as it takes to do that much
            busy = done * OF_ONE / SPAN
            server.running = 64 * busy
            server.finished += done
            steps = 0.0 if not done else done * OUTPUT / max(1.0, server.running)
            work = (steps, done * PROMPT, done * OUTPUT, steps * server.running * 0.01)
            took = sum(cost * it for cost, it in zip(COST.terms, work, strict=True))
            for index, it in enumerate((took, *work)):
                server.did[index] += it

    def _scale(self, number: int) -> None:
        there = len(self.servers) + len(self.coming)
        for _ in range(there, number):
            self.coming.append(self.now + self.cold_start if self.starts else math.inf)
        for _ in range(number, there):
            if self.coming:
                self.coming.pop()
            else:
                self.servers.pop()


def rate_for(replicas: float) -> float:
    """Return the requests a second that keep so many replicas busy."""
    return replicas / OF_ONE


def test_replicas_follow_the_load_up_and_down() -> None:
    world = World()
    world.run(1800, rate_for(0.5))
    assert world.wanted <= 2
    world.run(1800, rate_for(5))
    # right after a step that nobody foresaw it is careful
    assert 6 <= world.wanted <= 14
    assert world.queued == 0
    world.run(1800, rate_for(1))
    assert world.wanted <= 3


def test_a_step_is_answered_at_once_with_what_it_takes() -> None:
    world = World()
    world.run(1800, rate_for(0.5))
    world.run(6, rate_for(8))
    assert world.wanted >= 8


def test_a_queue_worth_eight_replicas_is_answered_with_eight() -> None:
    world = World()
    world.run(1800, rate_for(0.5))
    before = world.wanted
    # what eight replicas do while another one starts
    world.queued += 8 * world.cold_start / OF_ONE
    world.run(4, rate_for(0.5))
    assert before <= 2
    assert world.wanted >= 8


def test_replicas_that_start_are_counted() -> None:
    world = World(cold_start=300.0)
    world.run(1800, rate_for(0.5))
    world.run(280, rate_for(4))
    assert max(it.replicas for it in world.decisions[-60:]) <= SETTINGS.most
    asked = {it.replicas for it in world.decisions[-60:]}
    # the backlog grows meanwhile, and with it what works it off; nothing is asked for twice
    assert max(asked) - min(asked) <= 6


def test_a_constant_load_is_answered_with_a_constant_number() -> None:
    world = World()
    world.run(3600, rate_for(3.3))
    assert len({it.replicas for it in world.decisions[-900:]}) <= 2


def test_a_short_pause_takes_nothing_away() -> None:
    world = World()
    world.run(2400, rate_for(4))
    before = world.wanted
    world.run(50, 0.0)
    assert world.wanted == before


@pytest.mark.parametrize("times", [0.1, 10.0])
def test_when_lengths_change_tenfold_the_work_is_followed_not_the_requests(
    monkeypatch: pytest.MonkeyPatch, times: float
) -> None:
    world = World(replace(SETTINGS, most=40))
    world.run(1800, rate_for(2))
    rate = rate_for(2)
    monkeypatch.setitem(globals(), "OUTPUT", OUTPUT * times)
    monkeypatch.setitem(globals(), "PROMPT", PROMPT * times)
    monkeypatch.setitem(globals(), "OF_ONE", OF_ONE * times)
    world.run(2400, rate)
    busy = 2 * times
    assert busy <= world.wanted <= max(2, 2 * busy)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e4), st.integers(0, 30), st.integers(0, 10), st.floats(0, 500),
            st.booleans(),
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(0, 5),
    st.integers(0, 10),
)  # fmt: skip
def test_bounds_hold_whatever_is_seen(
    seen: list[tuple[float, int, int, float, bool]], least: int, more: int
) -> None:
    bounds = replace(SETTINGS, least=least, most=max(1, least + more))
    state, now = None, 0.0
    for queued, ready, starting, running, tells in seen:
        now += SPAN
        work = Work(now, now * 50, now * 100, now * running, now)
        replicas = tuple(
            Replica(f"r{i}", running, queued / 10, 0.5, now, now / 9, work) for i in range(ready)
        )
        observation = Observation(now, queued, replicas if tells else (), ready, starting)
        decision = decide(observation, state, bounds)
        assert bounds.least <= decision.replicas <= bounds.most
        assert decision.message.endswith(".")
        state = decision.state


@settings(max_examples=25)
@given(st.floats(0, 300), st.floats(0, 5000), st.floats(0, 5000))
def test_more_that_waits_never_means_fewer_replicas(
    seconds: float, one: float, other: float
) -> None:
    world = World()
    world.run(200 + seconds, rate_for(1.5))
    seen = world.see()
    few, many = (
        decide(replace(seen, time=seen.time + SPAN, queued=it), world.state, SETTINGS)
        for it in sorted((one, other))
    )
    assert few.replicas <= many.replicas


def test_nothing_is_taken_away_while_nobody_tells_anything() -> None:
    world = World()
    world.run(2400, rate_for(5))
    before = world.wanted
    world.tells = False
    world.run(900, rate_for(0.2))
    assert world.wanted == before
    assert world.last.reason == "NoMetrics"
    assert "no replica tells anything" in world.last.message
    world.tells = True
    world.run(1200, rate_for(0.2))
    assert world.wanted < before


def test_what_is_queued_in_serve_is_answered_even_then() -> None:
    world = World()
    world.run(1800, rate_for(1))
    world.tells = False
    before = world.wanted
    world.queued += 8 * world.cold_start / OF_ONE
    world.run(4, 0.0)
    assert world.wanted > before


def test_one_that_was_silent_brings_back_no_requests_that_were_answered_long_ago() -> None:
    world = World()
    world.run(2400, rate_for(3))
    before = world.wanted
    hidden = world.servers.pop()
    world.run(60, rate_for(3), scale=False)
    world.servers.append(hidden)
    world.run(10, rate_for(3), scale=False)
    assert world.wanted <= before + 2


def test_where_replicas_do_not_start_no_further_ones_are_asked_for() -> None:
    world = World(replace(SETTINGS, most=100))
    world.run(1800, rate_for(1))
    world.starts = False
    world.run(1800, rate_for(6))
    overdue = [it for it in world.decisions if it.reason == "StartsOverdue"]
    assert len({it.replicas for it in overdue}) == 1
    assert overdue[0].replicas < 60
    assert "does not answer" in overdue[-1].message


def test_replicas_that_die_are_made_up_for() -> None:
    world = World()
    world.run(2400, rate_for(5))
    before = world.wanted
    del world.servers[: len(world.servers) // 2]
    world.run(4, rate_for(5))
    assert world.wanted >= before


def test_a_controller_that_lost_its_memory_takes_nothing_away_at_first() -> None:
    world = World()
    world.run(2400, rate_for(5))
    before = world.wanted
    world.state = None
    world.run(600, rate_for(1))
    assert world.wanted >= before
    world.run(1800, rate_for(1))
    assert world.wanted < before


def test_edited_bounds_hold_at_once_and_nothing_is_forgotten() -> None:
    world = World()
    world.run(2400, rate_for(5))
    free = world.wanted
    world.settings = replace(SETTINGS, most=3)
    world.run(4, rate_for(5))
    assert world.wanted == 3
    assert "at most 3 are allowed" in world.last.message
    world.settings = SETTINGS
    world.run(4, rate_for(5))
    assert world.wanted >= free


def test_where_least_is_most_there_is_nothing_to_decide() -> None:
    world = World(replace(SETTINGS, least=4, most=4), replicas=4)
    world.run(600, rate_for(9))
    world.run(600, 0.0)
    assert {it.replicas for it in world.decisions} == {4}


def test_to_zero_after_idling_and_from_zero_at_the_first_request() -> None:
    world = World(replace(SETTINGS, least=0, idle_to_zero=120.0))
    world.run(1800, rate_for(1))
    world.run(100, 0.0)
    assert world.wanted >= 1
    world.run(1200, 0.0)
    assert world.wanted == 0
    assert world.last.reason == "Idle"
    world.queued += 1
    world.run(SPAN)
    assert world.wanted == 1
    assert world.last.reason == "Waking"


def test_the_time_that_starts_take_is_learned() -> None:
    world = World(cold_start=240.0)
    for load in (1, 3, 5, 7):
        world.run(1200, rate_for(load))
    assert world.state is not None
    assert world.state.starts.seconds == pytest.approx(240, abs=10)


def test_the_sentence_has_the_numbers_that_decided() -> None:
    world = World()
    world.run(2400, rate_for(3))
    assert "the load keeps 3.0 replicas busy" in world.last.message
    assert f"for which {world.wanted} are kept with a headroom of" in world.last.message


def test_a_decision_takes_less_than_a_millisecond() -> None:
    world = World(replicas=20)
    world.run(600, rate_for(10))
    took = []
    for _ in range(200):
        seen = replace(world.see(), time=world.now + SPAN)
        begin = perf_counter()
        decide(seen, world.state, SETTINGS)
        took.append(perf_counter() - begin)
    assert median(took) < 1e-3


def test_none_goes_while_requests_wait_too_long() -> None:
    world = World(cold_start=120.0)
    world.run(1200, rate_for(1.0))
    world.run(60, rate_for(8.0))
    most = 0

    def late() -> bool:
        waits = world.queued + sum(it.waiting for it in world.servers)
        return waits * OF_ONE > 2 * world.settings.time_to_first_token * len(world.servers)

    while late():
        world.run(SPAN, rate_for(0.5))
        most = max(most, world.wanted)
        assert world.wanted == most
    assert most > 8


def test_what_seats_needed_is_kept_as_long_as_what_the_load_needed() -> None:
    world = World(replicas=4)
    world.run(1200, rate_for(1.0))
    before = world.wanted
    for it in world.servers:
        it.running = 64.0
    seen = world.see()
    up = decide(replace(seen, time=seen.time + SPAN), world.state, world.settings)
    for it in world.servers:
        it.running = 1.0
    later = decide(replace(world.see(), time=seen.time + 2 * SPAN), up.state, world.settings)
    assert up.replicas == later.replicas > before


def test_nobody_goes_to_sleep_on_no_data() -> None:
    world = World(replace(SETTINGS, least=0, idle_to_zero=60.0))
    world.run(300, rate_for(0.5))
    world.run(30)
    world.tells = False
    world.run(600)
    assert world.wanted >= 1
    assert world.last.reason == "NoMetrics"


def test_who_was_woken_for_longer_than_it_may_idle_does_not_go_to_sleep_at_once() -> None:
    world = World(replace(SETTINGS, least=0, idle_to_zero=60.0), replicas=0)
    world.run(20)
    assert world.wanted == 0
    assert world.state is not None
    # Serve starts one without asking, and all is answered before anybody looks
    state, now = woken(world.state, world.now), world.now + 300
    told = (Server("r0").told,)
    for later, wanted in ((0, 1), (40, 1), (80, 0)):
        seen = Observation(now + later, 0.0, told, ready=1, starting=0)
        decision = decide(seen, state, world.settings)
        state = decision.state
        assert decision.replicas == wanted
    assert decision.reason == "Idle"
