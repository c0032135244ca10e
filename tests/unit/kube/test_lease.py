"""Leader election in virtual time, on a fake API server: who leads when, and never two at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.kube.fake_leases import NAME, NAMESPACE, Cluster, FakeOperator, now
from tests.unit.virtual_time import run

from freehold.kube.lease import LeaseTiming, new_identity

TIMING = LeaseTiming()


async def led_by(cluster: Cluster, *names: str, within: float = 60.0) -> float:
    """Wait until exactly these lead and return how long that took, to 10 ms."""
    start = now()
    while cluster.leading() != list(names):
        assert now() - start < within, f"{cluster.leading()} lead, not {names}"
        await asyncio.sleep(0.01)
    return now() - start


async def two(**second: Any) -> tuple[Cluster, FakeOperator, FakeOperator]:
    """Return a cluster with a leader "a" and "b", which waits."""
    cluster = Cluster()
    a = cluster.start("a")
    await led_by(cluster, "a", within=0.1)
    b = cluster.start("b", **second)
    await asyncio.sleep(5)
    return cluster, a, b


def test_the_first_to_come_leads_at_once_and_goes_on_leading() -> None:
    async def story() -> None:
        cluster, a, b = await two()
        await asyncio.sleep(3600)
        assert cluster.leading() == ["a"]
        assert b.elector.holder == "a"
        assert {write.by for write in cluster.writes} == {"a"}
        assert a.elector.remaining() > TIMING.renew_deadline - TIMING.retry_period - 0.1

    run(story())


def test_the_lease_tells_people_who_holds_it_and_since_when() -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        lease = cluster.leases.get()
        assert lease["metadata"]["namespace"] == NAMESPACE
        assert lease["metadata"]["name"] == NAME
        spec = lease["spec"]
        assert spec["holderIdentity"] == "a"
        assert spec["leaseDurationSeconds"] == 15
        assert spec["leaseTransitions"] == 0
        assert spec["acquireTime"] == "2026-11-23T00:00:00.000000Z"
        assert spec["renewTime"] > spec["acquireTime"]
        a.kill()
        await led_by(cluster, "b")
        assert cluster.leases.get()["spec"]["leaseTransitions"] == 1

    run(story())


def test_after_a_kill_another_leads_within_lease_duration_and_retry_period() -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        a.kill()
        took = await led_by(cluster, "b")
        shortest = TIMING.lease_duration - TIMING.retry_period
        assert shortest <= took <= TIMING.lease_duration + TIMING.retry_period + 0.01

    run(story())


def test_after_a_clean_end_another_leads_within_a_retry_period() -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        await a.stop()
        assert a.elector.remaining() == 0.0
        assert cluster.leases.holder == ""
        assert await led_by(cluster, "b") <= TIMING.retry_period + 0.01

    run(story())


def test_a_start_after_a_kill_waits_for_the_whole_lease_duration() -> None:
    async def story() -> None:
        cluster, a, b = await two()
        b.kill()
        a.kill()
        await asyncio.sleep(86_400)
        cluster.start("c")
        took = await led_by(cluster, "c")
        assert TIMING.lease_duration <= took <= TIMING.lease_duration + 0.01

    run(story())


@pytest.mark.parametrize("asleep", [11.0, 16.0, 120.0])
def test_a_stopped_leader_that_wakes_past_its_lease_never_writes_again(asleep: float) -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        a.pause()
        await asyncio.sleep(5)  # what was on its way has arrived
        before = len([write for write in cluster.writes if write.by == "a"])
        requests = a.network.requests
        await asyncio.sleep(asleep - 5)
        a.resume()
        await asyncio.sleep(60)
        after = len([write for write in cluster.writes if write.by == "a"])
        assert after == before
        assert a.network.requests == requests
        assert a.ended is not None
        assert cluster.leading() == ["b"]
        assert not cluster.overlaps()

    run(story())


def test_a_leader_that_was_stopped_for_less_than_its_deadline_goes_on() -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        a.pause()
        await asyncio.sleep(7)
        a.resume()
        await asyncio.sleep(60)
        assert cluster.leading() == ["a"]

    run(story())


@pytest.mark.parametrize("hours", [-1.0, 1.0])
def test_clocks_that_are_an_hour_apart_change_nothing(hours: float) -> None:
    async def story() -> None:
        cluster, a, _ = await two(skew=hours * 3600, wall_skew_hours=hours)
        await asyncio.sleep(600)
        assert cluster.leading() == ["a"]
        a.kill()
        took = await led_by(cluster, "b")
        assert 13 <= took <= 17.01
        cluster.start("c")
        await asyncio.sleep(600)
        assert cluster.leading() == ["b"]
        assert not cluster.overlaps()

    run(story())


def test_a_wall_clock_that_stands_still_does_not_make_a_live_leader_look_dead() -> None:
    async def story() -> None:
        cluster = Cluster()
        cluster.start("a", wall_pace=0.0)
        cluster.start("b")
        await asyncio.sleep(120)
        spec = cluster.leases.get()["spec"]
        assert spec["renewTime"] == spec["acquireTime"]
        assert cluster.leading() == ["a"]

    run(story())


def _down(process: FakeOperator, on: bool) -> None:
    process.network.down = on


def _hang(process: FakeOperator, on: bool) -> None:
    process.network.hangs = on


def _lose(process: FakeOperator, on: bool) -> None:
    process.network.loses_answers = on


TROUBLES = {"errors": _down, "requests that hang": _hang, "answers that are lost": _lose}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_a_leader_survives_trouble_that_is_shorter_than_its_deadline(
    trouble: Callable[[FakeOperator, bool], None],
) -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        trouble(a, True)
        await asyncio.sleep(4)
        trouble(a, False)
        await asyncio.sleep(60)
        assert cluster.leading() == ["a"]
        assert a.ended is None

    run(story())


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_a_leader_that_cannot_renew_stops_at_its_deadline_and_before_another_leads(
    trouble: Callable[[FakeOperator, bool], None],
) -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        trouble(a, True)
        assert await led_by(cluster, within=TIMING.renew_deadline + 0.01)
        assert "could not be renewed in time" in str(a.ended)
        await led_by(cluster, "b")
        assert not cluster.overlaps()

    run(story())


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    async def story() -> None:
        cluster = Cluster()
        a = cluster.start("a")
        a.network.latency = 1.0
        await led_by(cluster, "a")
        # read there and back, then written there and back: sent two seconds ago
        assert a.elector.remaining() == pytest.approx(TIMING.renew_deadline - 2.0, abs=0.05)

    run(story())


def test_one_who_waits_goes_on_trying_while_the_api_server_is_away() -> None:
    async def story() -> None:
        cluster = Cluster()
        a = cluster.start("a")
        a.network.down = True
        await asyncio.sleep(600)
        assert 250 <= a.network.requests <= 400
        a.network.down = False
        assert await led_by(cluster, "a") <= TIMING.retry_period + 0.01

    run(story())


def test_a_leader_whose_lease_another_took_by_force_stops_at_its_next_renewal() -> None:
    async def story() -> None:
        cluster, a, b = await two()
        b.kill()
        lease = cluster.leases.get()
        lease["spec"]["holderIdentity"] = "a person"
        cluster.leases.replace(lease)
        await led_by(cluster, within=TIMING.retry_period + 0.01)
        assert "a person holds it" in str(a.ended)

    run(story())


def test_a_deleted_lease_is_made_anew_by_its_holder_and_taken_by_nobody_else() -> None:
    async def story() -> None:
        cluster, _, _ = await two()
        cluster.leases.lease = None
        await asyncio.sleep(60)
        assert cluster.leading() == ["a"]
        assert cluster.leases.holder == "a"
        assert not cluster.overlaps()

    run(story())


def test_the_lease_of_a_dead_holder_is_free_after_its_time_also_when_it_was_deleted() -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        a.kill()
        cluster.leases.lease = None
        assert 15 <= await led_by(cluster, "b") <= 17.01

    run(story())


def test_giving_up_leaves_a_lease_that_another_holds_alone() -> None:
    async def story() -> None:
        cluster, a, _ = await two()
        a.pause()
        await led_by(cluster, "b")
        a.resume()
        await a.elector.release()
        assert cluster.leases.holder == "b"

    run(story())


def test_a_lease_that_ran_out_is_not_given_up_since_a_write_may_still_arrive() -> None:
    async def story() -> None:
        cluster, a, b = await two()
        b.kill()
        a.pause()
        await asyncio.sleep(TIMING.renew_deadline + 1)
        await a.elector.release()
        assert cluster.leases.holder == "a"
        a.resume()

    run(story())


def test_who_is_told_to_end_while_its_first_answer_is_lost_gives_the_lease_up() -> None:
    async def story() -> None:
        cluster = Cluster()
        a = cluster.start("a")
        a.network.latency = 1.0
        await asyncio.sleep(2.5)  # created there, and the answer on its way back
        assert cluster.leases.holder == "a"
        assert cluster.leading() == []
        a.kill()
        await a.elector.release()
        assert cluster.leases.holder == ""

    run(story())


def test_giving_up_does_not_wait_for_an_api_server_that_hangs() -> None:
    async def story() -> None:
        _, a, _ = await two()
        a.network.hangs = True
        start = now()
        await a.elector.release()
        assert now() - start <= TIMING.request_timeout + 0.01

    run(story())


def test_another_deployment_s_lease_duration_is_respected() -> None:
    async def story() -> None:
        cluster = Cluster()
        slow = LeaseTiming(lease_duration=60, renew_deadline=40.0, retry_period=8.0)
        a = cluster.start("a", timing=slow)
        await led_by(cluster, "a")
        cluster.start("b")
        await asyncio.sleep(30)
        assert cluster.leading() == ["a"]
        a.kill()
        assert 50 <= await led_by(cluster, "b", within=70) <= 62.01

    run(story())


@pytest.mark.parametrize(
    "faulty",
    [
        {"lease_duration": 10},
        {"lease_duration": 15, "renew_deadline": 15.0},
        {"renew_deadline": 3.0},
        {"retry_period": 0.0},
    ],
)
def test_timings_that_would_let_two_lead_or_leave_no_second_try_are_refused(
    faulty: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="must"):
        LeaseTiming(**faulty)


def test_a_restarted_container_is_another_candidate() -> None:
    assert new_identity("freehold-0").startswith("freehold-0_")
    assert new_identity("freehold-0") != new_identity("freehold-0")


def test_two_never_lead_at_once_in_a_thousand_random_stories_and_in_the_end_one_does() -> None:
    for seed in range(1000):
        run(_random_story(seed))


async def _random_story(seed: int) -> None:
    chance = random.Random(seed)
    cluster = Cluster()
    for name in ("a", "b"):
        _start(cluster, name, chance)
    for number in range(12):
        await asyncio.sleep(chance.expovariate(1 / 6))
        _disturb(cluster, chance, f"c{number}")
        _restart_ended(cluster, chance)
    for process in cluster.processes:
        _heal(process)
    await asyncio.sleep(12)
    _restart_ended(cluster, chance)
    await asyncio.sleep(40)
    assert not cluster.overlaps(), f"seed {seed}"
    assert len(cluster.leading()) == 1, f"seed {seed}"


def _restart_ended(cluster: Cluster, chance: random.Random) -> None:
    for process in [each for each in cluster.processes if each.lives and each.ended]:
        process.kill()
        _start(cluster, f"{process.identity}+", chance)


def _start(cluster: Cluster, name: str, chance: random.Random) -> None:
    cluster.start(
        name,
        skew=chance.uniform(-3600, 3600),
        pace=chance.uniform(0.9, 1.1),
        wall_skew_hours=chance.uniform(-1, 1),
        period=chance.uniform(1.0, 2.0),
        chance=random.Random(chance.random()),
    )


def _disturb(cluster: Cluster, chance: random.Random, name: str) -> None:
    """Do one thing to one process that lives; who dies or loses the lease is started anew."""
    process = chance.choice([each for each in cluster.processes if each.lives])
    what = chance.choice(
        ("pause", "heal", "down", "hangs", "loses_answers", "slow", "kill", "stop")
    )
    if what == "pause":
        process.pause()
    elif what == "heal":
        _heal(process)
    elif what == "slow":
        process.network.latency = chance.uniform(0, 3)
    elif what == "kill":
        process.kill()
        _start(cluster, name, chance)
    elif what == "stop" and not process.paused:
        process.ending = asyncio.create_task(process.stop())
        _start(cluster, name, chance)
    else:
        setattr(process.network, what, True)


def _heal(process: FakeOperator) -> None:
    process.network.latency = 0.0
    process.network.down = process.network.hangs = process.network.loses_answers = False
    process.resume()
