"""What KubeRay guards by a finalizer is freed when it must be gone, and not before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from freehold.controller.deletion import (
    GUARDED,
    PATIENCE_S,
    REDIS_PATIENCE_S,
    free_if_stuck,
)
from freehold.kube.client import KubeClient, Object
from freehold.kube.errors import Invalid, NotFound
from freehold.kube.resources import RAY_CLUSTERS, RAY_SERVICES, Resource

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
FINALIZERS = {
    RAY_SERVICES: ("ray.io/rayservice-finalizer", PATIENCE_S),
    RAY_CLUSTERS: ("ray.io/gcs-ft-redis-cleanup-finalizer", REDIS_PATIENCE_S),
}


@dataclass
class FakeClient:
    """An API server that keeps what it is sent; no real one."""

    answer: Exception | None = None
    sent: list[Any] = field(default_factory=list)

    async def patch_json(self, resource: Resource, *place: Any) -> Object:
        self.sent.append((resource, *place))
        if self.answer is not None:
            raise self.answer
        return {}

    def free(self, resource: Resource, item: Object) -> float | None:
        return asyncio.run(free_if_stuck(cast(KubeClient, self), resource, item, NOW))


def item(finalizers: list[str], since: float | None) -> Object:
    metadata = {"namespace": "models", "name": "chat", "uid": "1", "finalizers": finalizers}
    if since is not None:
        began = NOW - timedelta(seconds=since)
        metadata["deletionTimestamp"] = began.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"metadata": metadata}


def test_both_kinds_are_guarded() -> None:
    assert set(GUARDED) == set(FINALIZERS)


def test_kuberay_s_own_patience_with_a_redis_ends_first() -> None:
    assert REDIS_PATIENCE_S > 300


@pytest.mark.parametrize("resource", FINALIZERS)
def test_it_is_freed_of_kuberay_s_finalizer_alone(resource: Resource) -> None:
    name, patience = FINALIZERS[resource]
    client, stuck = FakeClient(), item(["example.com/held", name], patience)
    assert client.free(resource, stuck) is None
    ((kind, namespace, called, operations),) = client.sent
    assert (kind, namespace, called) == (resource, "models", "chat")
    assert operations[-1]["value"] == ["example.com/held"]
    assert [it["value"] for it in operations[:-1]] == ["1", ["example.com/held", name]]


@pytest.mark.parametrize("resource", FINALIZERS)
def test_kuberay_is_waited_for(resource: Resource) -> None:
    name, patience = FINALIZERS[resource]
    client = FakeClient()
    assert client.free(resource, item([name], patience - 10)) == 10.0
    assert client.sent == []


@pytest.mark.parametrize("resource", FINALIZERS)
def test_what_stays_or_is_held_by_others_is_left_alone(resource: Resource) -> None:
    client = FakeClient()
    assert client.free(resource, item([FINALIZERS[resource][0]], None)) is None
    assert client.free(resource, item(["example.com/held"], 3600)) is None
    assert client.sent == []


@pytest.mark.parametrize("answer", [NotFound("gone"), Invalid("another uid")])
def test_what_changed_meanwhile_is_looked_at_again(answer: Exception) -> None:
    client = FakeClient(answer)
    stuck = item([FINALIZERS[RAY_CLUSTERS][0]], 3600)
    assert client.free(RAY_CLUSTERS, stuck) == 1.0
