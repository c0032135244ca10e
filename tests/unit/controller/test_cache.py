"""The cache: the newest view of each object, what a watch has lost, and whose an object is."""

from __future__ import annotations

from typing import Any

import pytest

from freehold.controller.cache import Cache, Snapshot
from freehold.controller.queue import Key
from freehold.kube.resources import (
    MODEL_DEPLOYMENTS,
    NODES,
    PODS,
    RAY_CLUSTERS,
    RAY_SERVICES,
    SERVICES,
    Resource,
)
from freehold.plan.node import read_node

LLAMA = Key("models", "llama")


def an_object(name: str, version: int, uid: str = "u1", **more: Any) -> dict[str, Any]:
    """Return a Service of the model llama."""
    metadata = {
        "name": name,
        "namespace": "models",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"freehold.dev/model": "llama"},
    }
    return {"kind": "Service", "metadata": metadata | more.pop("metadata", {}), **more}


class Changes:
    """Notes what the cache tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, resource: Resource, old: Snapshot | None, new: Snapshot | None) -> None:
        what = "new" if old is None else "gone" if new is None else "changed"
        self.told.append((resource.kind, what))


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def cache(changes: Changes) -> Cache:
    return Cache(changes)


def test_an_older_view_does_not_replace_a_newer_one(cache: Cache, changes: Changes) -> None:
    cache.seen(SERVICES, an_object("a", 7, spec={"x": 1}))
    cache.seen(SERVICES, an_object("a", 5, spec={"x": 0}))
    found = cache.get(SERVICES, ("models", "a"))
    assert found is not None
    assert found["spec"] == {"x": 1}
    assert changes.told == [("Service", "new")]


def test_nobody_is_told_of_a_new_version_that_says_the_same(cache: Cache, changes: Changes) -> None:
    cache.seen(SERVICES, an_object("a", 5, status={"lastUpdateTime": "1"}))
    cache.seen(SERVICES, an_object("a", 6, status={"lastUpdateTime": "2"}))
    assert changes.told == [("Service", "new")]
    assert cache.version(SERVICES, ("models", "a")) == 6


def test_a_late_word_of_a_deletion_leaves_the_object_that_came_after(cache: Cache) -> None:
    cache.seen(SERVICES, an_object("a", 9, uid="second"))
    cache.gone(SERVICES, an_object("a", 8, uid="first")["metadata"])
    assert cache.get(SERVICES, ("models", "a")) is not None


def test_a_list_that_was_read_before_a_deletion_brings_nothing_back(
    cache: Cache, changes: Changes
) -> None:
    cache.seen(SERVICES, an_object("a", 5))
    cache.gone(SERVICES, an_object("a", 8)["metadata"])
    cache.relist(SERVICES, None, [an_object("a", 5)], "6")
    assert cache.get(SERVICES, ("models", "a")) is None
    assert changes.told == [("Service", "new"), ("Service", "gone")]
    cache.seen(SERVICES, an_object("a", 9, uid="another"))
    assert cache.get(SERVICES, ("models", "a")) is not None


def test_a_list_finds_what_a_watch_has_lost(cache: Cache, changes: Changes) -> None:
    for name in ("stays", "went", "comes later"):
        cache.seen(SERVICES, an_object(name, 20 if name == "comes later" else 5))
    cache.relist(SERVICES, None, [an_object("stays", 5), an_object("unseen", 6)], "10")
    names = [body["metadata"]["name"] for body in cache.all(SERVICES)]
    assert names == ["comes later", "stays", "unseen"]
    assert changes.told[-2:] == [("Service", "new"), ("Service", "gone")]


def test_a_list_of_one_namespace_says_nothing_of_another(cache: Cache) -> None:
    cache.seen(SERVICES, an_object("here", 1))
    cache.seen(SERVICES, an_object("there", 1, metadata={"namespace": "others"}))
    cache.relist(SERVICES, "models", [], "10")
    assert [body["metadata"]["name"] for body in cache.all(SERVICES)] == ["there"]


def test_an_object_is_its_model_s_by_label_and_a_cluster_by_kuberay_s(cache: Cache) -> None:
    cache.seen(RAY_SERVICES, an_object("llama", 1))
    labels = {"ray.io/originated-from-cr-name": "llama"}
    cache.seen(RAY_CLUSTERS, an_object("llama-x", 1, metadata={"labels": labels}))
    cache.seen(PODS, an_object("stray", 1, metadata={"labels": {}}))
    assert len(cache.of_model(RAY_SERVICES, LLAMA)) == 1
    assert len(cache.of_model(RAY_CLUSTERS, LLAMA)) == 1
    assert cache.of_model(PODS, LLAMA) == []
    assert cache.keys() == [LLAMA]


def test_an_object_that_changes_hands_leaves_its_former_model(cache: Cache) -> None:
    cache.seen(SERVICES, an_object("a", 1))
    other = {"labels": {"freehold.dev/model": "other"}}
    cache.seen(SERVICES, an_object("a", 2, metadata=other))
    assert cache.of_model(SERVICES, LLAMA) == []
    assert len(cache.of_model(SERVICES, Key("models", "other"))) == 1


def test_of_field_owners_only_who_they_are_is_kept(cache: Cache) -> None:
    owner = {"manager": "freehold", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
    cache.seen(SERVICES, an_object("a", 1, metadata={"managedFields": [owner]}))
    found = cache.get(SERVICES, ("models", "a"))
    assert found is not None
    assert found["metadata"]["managedFields"] == [["freehold", "Apply", ""]]


def test_the_heartbeat_of_a_node_is_no_change(cache: Cache, changes: Changes) -> None:
    def node(version: int, beat: str, gpus: str) -> dict[str, Any]:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": beat}
        status = {"conditions": [ready], "allocatable": {"nvidia.com/gpu": gpus}, "images": [beat]}
        metadata = {"name": "n", "uid": "u", "resourceVersion": str(version)}
        return {"kind": "Node", "metadata": metadata, "spec": {"podCIDR": "x"}, "status": status}

    cache.seen(NODES, node(1, "12:00", "8"))
    cache.seen(NODES, node(2, "12:05", "8"))
    assert changes.told == [("Node", "new")]
    cache.seen(NODES, node(3, "12:10", "7"))
    assert changes.told == [("Node", "new"), ("Node", "changed")]


def a_node(version: int, **metadata: Any) -> dict[str, Any]:
    known = {"name": "n", "uid": "u", "labels": {"zone": "a"}, "resourceVersion": str(version)}
    return {"kind": "Node", "metadata": known | metadata, "spec": {}, "status": {}}


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"csi.volume.kubernetes.io/nodeid": "{}"}},
        {"managedFields": [{"manager": "an-agent", "operation": "Update"}]},
        {"finalizers": ["example.com/held"]},
        {"deletionTimestamp": "2026-11-23T00:00:00Z"},
    ],
    ids=lambda it: next(iter(it)),
)
def test_what_places_no_model_is_no_change_of_a_node(
    cache: Cache, changes: Changes, metadata: dict[str, Any]
) -> None:
    cache.seen(NODES, a_node(1))
    cache.seen(NODES, a_node(2, **metadata))
    assert changes.told == [("Node", "new")]


def test_a_label_is_a_change_of_a_node_and_so_is_another_node_of_the_name(
    cache: Cache, changes: Changes
) -> None:
    cache.seen(NODES, a_node(1))
    cache.seen(NODES, a_node(2, labels={"zone": "b"}))
    cache.seen(NODES, a_node(3, labels={"zone": "b"}, uid="v"))
    assert changes.told[1:] == [("Node", "changed")] * 2
    assert [read_node(raw).labels for raw in cache.all(NODES)] == [{"zone": "b"}]


@pytest.mark.parametrize(
    ("changed", "asks"),
    [
        ({"generation": 2}, True),
        ({"annotations": {"freehold.dev/paused": "true"}}, True),
        ({"deletionTimestamp": "2026-11-23T00:00:00Z"}, True),
        ({"managedFields": []}, False),
    ],
    ids=["a new spec", "an annotation", "a deletion", "who wrote the status"],
)
def test_what_a_user_asks_is_told_from_what_we_wrote(changed: dict[str, Any], asks: bool) -> None:
    seen: list[tuple[Snapshot | None, Snapshot | None]] = []
    cache = Cache(lambda resource, old, new: seen.append((old, new)))
    metadata = {"name": "llama", "namespace": "models", "uid": "u", "generation": 1}
    body = {"kind": "ModelDeployment", "metadata": metadata | {"resourceVersion": "1"}}
    cache.seen(MODEL_DEPLOYMENTS, body | {"status": {"replicas": 1}})
    later = metadata | {"resourceVersion": "2"} | changed
    cache.seen(MODEL_DEPLOYMENTS, {"kind": "ModelDeployment", "metadata": later, "status": {}})
    old, new = seen[-1]
    assert old is not None
    assert new is not None
    assert (old.asks != new.asks) is asks
