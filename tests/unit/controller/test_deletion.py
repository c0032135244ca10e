"""What KubeRay guards by a finalizer is freed when it must be gone, and not before."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from freehold.controller.deletion import GUARDED, PATIENCE_S, REDIS_PATIENCE_S, Deletions
from freehold.controller.queue import Key
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import Invalid, NotFound
from freehold.kube.resources import RAY_CLUSTERS, RAY_SERVICES, Resource

CHAT = Key("models", "chat")
# As an API server writes it whose clock is behind ours; and one whose clock is ahead.
LONG_AGO, TO_COME = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
FINALIZERS = {
    RAY_SERVICES: ("ray.io/rayservice-finalizer", PATIENCE_S),
    RAY_CLUSTERS: ("ray.io/gcs-ft-redis-cleanup-finalizer", REDIS_PATIENCE_S),
}


class World:
    """An API server that keeps what it is sent, no real one; and a clock."""

    def __init__(self, answer: Exception | None = None) -> None:
        self.now = 1000.0
        self.answer = answer
        self.sent: list[Any] = []
        self.deletions = Deletions(cast(KubeClient, self), lambda: self.now)

    async def patch_json(self, resource: Resource, *place: Any) -> Object:
        self.sent.append((resource, *place))
        if self.answer is not None:
            raise self.answer
        return {}

    def look(self, *guarded: tuple[Resource, Object]) -> float | None:
        return asyncio.run(self.deletions.see_to(CHAT, guarded))


def item(finalizers: list[str], uid: str = "1", deleted: str = LONG_AGO) -> Object:
    metadata = {"namespace": "models", "name": "chat", "uid": uid, "finalizers": finalizers}
    return {"metadata": metadata | ({"deletionTimestamp": deleted} if deleted else {})}


def test_both_kinds_are_guarded() -> None:
    assert set(GUARDED) == set(FINALIZERS)


def test_kuberay_s_own_patience_with_a_redis_ends_first() -> None:
    assert REDIS_PATIENCE_S > 300


@pytest.mark.parametrize("deleted", [LONG_AGO, TO_COME])
@pytest.mark.parametrize("resource", FINALIZERS)
def test_kuberay_is_waited_for_from_when_the_deletion_was_first_seen(
    resource: Resource, deleted: str
) -> None:
    name, patience = FINALIZERS[resource]
    world, stuck = World(), item([name], deleted=deleted)
    assert world.look((resource, stuck)) == patience
    world.now += patience - 10
    assert world.look((resource, stuck)) == 10
    assert world.sent == []
    world.now += 10
    assert world.look((resource, stuck)) is None
    assert len(world.sent) == 1


@pytest.mark.parametrize("resource", FINALIZERS)
def test_it_is_freed_of_kuberay_s_finalizer_alone(resource: Resource) -> None:
    name, patience = FINALIZERS[resource]
    world, stuck = World(), item(["example.com/held", name])
    world.look((resource, stuck))
    world.now += patience
    assert world.look((resource, stuck)) is None
    ((kind, namespace, called, operations),) = world.sent
    assert (kind, namespace, called) == (resource, "models", "chat")
    assert operations[-1]["value"] == ["example.com/held"]
    assert [it["value"] for it in operations[:-1]] == ["1", ["example.com/held", name]]


@pytest.mark.parametrize("resource", FINALIZERS)
def test_what_stays_or_is_held_by_others_is_left_alone(resource: Resource) -> None:
    world, ours = World(), FINALIZERS[resource][0]
    for _ in range(2):
        assert world.look((resource, item([ours], deleted=""))) is None
        assert world.look((resource, item(["example.com/held"]))) is None
        world.now += 3600
    assert world.sent == []


def test_each_object_has_a_time_of_its_own_and_the_first_that_is_due_counts() -> None:
    world = World()
    service = RAY_SERVICES, item([FINALIZERS[RAY_SERVICES][0]], "service")
    cluster = RAY_CLUSTERS, item([FINALIZERS[RAY_CLUSTERS][0]], "cluster")
    assert world.look(cluster) == REDIS_PATIENCE_S
    world.now += 10
    assert world.look(cluster, service) == PATIENCE_S
    world.now += PATIENCE_S
    assert world.look(cluster, service) == REDIS_PATIENCE_S - PATIENCE_S - 10
    assert [sent[0] for sent in world.sent] == [RAY_SERVICES]


def test_another_object_of_the_name_is_waited_for_anew_and_none_is_remembered_for_good() -> None:
    world, name = World(), FINALIZERS[RAY_SERVICES][0]
    world.look((RAY_SERVICES, item([name], "first")))
    world.now += PATIENCE_S
    assert world.look((RAY_SERVICES, item([name], "second"))) == PATIENCE_S
    assert world.look() is None
    assert world.deletions == Deletions(world.deletions.client, world.deletions.clock)


@pytest.mark.parametrize("answer", [NotFound("gone"), Invalid("another uid")])
def test_what_changed_meanwhile_is_looked_at_again(answer: Exception) -> None:
    world, stuck = World(answer), item([FINALIZERS[RAY_CLUSTERS][0]])
    world.look((RAY_CLUSTERS, stuck))
    world.now += REDIS_PATIENCE_S
    assert world.look((RAY_CLUSTERS, stuck)) == 1.0
