"""What KubeRay and Serve gave up for good is begun again, and nothing that serves is touched."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.status.situations import (
    ASLEEP,
    BROKEN,
    COMING,
    GIVEN_UP,
    application,
    beside,
    cluster,
    condition,
    service,
)

from freehold.controller.backoff import Backoff
from freehold.controller.engines import Observer
from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.controller.recovery import Recovery
from freehold.kube.client import KubeClient
from freehold.kube.errors import NotFound
from freehold.status.outcome import Engines, Outcome, Retry, Submission

CHAT = Key("models", "chat")
GAVE_UP = service(None, None, condition("Ready", "False", "InitializingTimeout", "after 30m"))


class World:
    """The API server and Serve, with what was done to them, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[Any] = []
        self.answer: Any = None
        self.taken = True
        client, observer = cast(KubeClient, self), cast(Observer, self)
        backoffs = Backoff(lambda: self.now), Backoff(lambda: self.now)
        self.recovery = Recovery(client, observer, *backoffs)

    async def delete(self, resource: Any, namespace: str, name: str, uid: str) -> None:
        self.done.append((resource.kind, namespace, name, uid))
        if self.answer is not None:
            raise self.answer

    async def declare_again(self, seen: Seen, cluster: str, *, emptied: bool) -> bool:
        self.done.append((cluster, emptied))
        return self.taken

    def look(self, outcome: Outcome) -> float | None:
        seen = Seen(CHAT, {}, 1, (), {}, {}, (), outcome.ray_service, (), ())
        return asyncio.run(self.recovery.look(seen, outcome))


def of_service(outcome: Outcome) -> Outcome:
    return replace(outcome, ray_service=GAVE_UP)


def test_a_ray_service_that_kuberay_gave_up_is_deleted_later_and_later() -> None:
    world, outcome = World(), of_service(COMING)
    waits = []
    for _ in range(3):
        wait = world.look(outcome)
        assert wait is not None
        waits.append(wait)
        world.now += wait
        world.look(outcome)
    assert waits == [5, 10, 20]
    assert world.done == [("RayService", "models", "chat", "u")] * 3


def test_one_that_is_gone_meanwhile_is_no_error() -> None:
    world, outcome = World(), of_service(COMING)
    world.answer = NotFound("gone", 404)
    world.now += world.look(outcome) or 0
    assert world.look(outcome) is None


def failed(outcome: Outcome, on: str = "chat-old") -> Outcome:
    said = Submission(on, "DEPLOY_FAILED", taken=True, words="KeyError: 'x'")
    return replace(outcome, submission=said)


GIVEN_AGAIN = {
    "its first cluster": (failed(COMING), ("chat-old", True)),
    "a cluster that is to take over": (
        failed(beside(application("DEPLOY_FAILED")), on="chat-new"),
        ("chat-new", True),
    ),
    "the cluster that serves, where replicas run": (failed(BROKEN), ("chat-old", False)),
    "the cluster that served, where none does": (
        failed(replace(BROKEN, engines=Engines(1))),
        ("chat-old", True),
    ),
    "the cluster that serves, whose replicas are not known": (
        failed(replace(BROKEN, engines=None)),
        ("chat-old", False),
    ),
}


@pytest.mark.parametrize(("outcome", "given"), GIVEN_AGAIN.values(), ids=GIVEN_AGAIN)
def test_serve_is_given_again_what_it_gave_up_on(outcome: Outcome, given: Any) -> None:
    world = World()
    assert world.look(outcome) == 5
    assert world.done == []
    world.now = 5
    assert world.look(outcome) == 10
    assert world.done == [given]


LEFT = {
    "all is well": replace(COMING, submission=Submission("chat-old", "RUNNING", taken=True)),
    "Serve does not answer": COMING,
    "Serve has the former config": replace(
        COMING, submission=Submission("chat-old", "DEPLOY_FAILED", taken=False)
    ),
    "it is suspended": replace(failed(COMING), suspended=True),
    "it is paused": replace(failed(COMING), paused=True),
    "it is deleted": replace(of_service(failed(COMING)), deleting=True),
    "its RayService ends already": replace(COMING, ray_service=replace(GAVE_UP, deleting=True)),
    "it sleeps": ASLEEP,
}


@pytest.mark.parametrize("outcome", LEFT.values(), ids=LEFT)
def test_nothing_is_begun_again_while(outcome: Outcome) -> None:
    world = World()
    for world.now in (0, 5, 1000):
        assert world.look(outcome) is None
    assert world.done == []


def test_what_is_given_again_is_told_until_something_else_is_applied() -> None:
    world, outcome = World(), failed(COMING)
    world.look(outcome)
    assert world.recovery.retry(CHAT, outcome) is None
    for tries in (1, 2):
        world.now += 100
        world.look(outcome)
        told = world.recovery.retry(CHAT, outcome)
        assert told == Retry("chat-old", "KeyError: 'x'", tries)
    edited = replace(outcome, update_revision="chat-9")
    assert world.recovery.retry(CHAT, edited) is None
    assert world.look(edited) == 5
    back = replace(outcome, **GIVEN_UP)
    assert world.look(back) == 5
    world.recovery.forget(CHAT)
    assert world.recovery.retry(CHAT, outcome) is None


def test_a_serve_that_does_not_take_it_is_asked_soon_again() -> None:
    world, outcome = World(), failed(COMING)
    world.taken = False
    world.look(outcome)
    world.now = 5
    assert world.look(outcome) == 5
    assert world.recovery.retry(CHAT, outcome) is None


def test_a_cluster_that_runs_is_left() -> None:
    running = replace(COMING, ray_service=service(cluster("chat-old", application())))
    world = World()
    assert world.look(running) is None
