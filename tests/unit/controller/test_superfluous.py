"""Which pending cluster is wanted no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.status.situations import cluster, service

from freehold.controller.gather import Seen
from freehold.controller.queue import Key
from freehold.controller.superfluous import building_none, superfluous


def ray_service(image: str, revision: str = "chat-1", **spec: Any) -> Any:
    container = {"name": "ray", "image": image}
    group = {"groupName": "l4", "template": {"spec": {"containers": [container]}}}
    config = {"workerGroupSpecs": [group]}
    spec = {"upgradeStrategy": {"type": "NewCluster"}, "rayClusterConfig": config} | spec
    return {"metadata": {"annotations": {"freehold.dev/revision": revision}}, "spec": spec}


def ray_cluster(name: str, image: str, **metadata: Any) -> Any:
    spec = ray_service(image)["spec"]["rayClusterConfig"]
    return {"metadata": {"name": name, "uid": name, **metadata}, "spec": spec}


WANTED = ray_service("old")
OLD, NEW = ray_cluster("chat-old", "old"), ray_cluster("chat-new", "new")


def seen(*clusters: Any, live: Any = None, pending: bool = True) -> Seen:
    state = service(cluster("chat-old"), cluster("chat-new") if pending else None)
    children = {("RayService", "chat"): live or ray_service("new", "chat-2")}
    return Seen(Key("models", "chat"), {}, 1, (), {}, children, clusters, state, (), ())


STRUCK = {
    "made from another spec": seen(OLD, NEW),
    "made from another spec, and the RayService is as wanted": seen(OLD, NEW, live=WANTED),
    "named and not made yet": seen(OLD),
}


@pytest.mark.parametrize("found", STRUCK.values(), ids=STRUCK)
def test_a_pending_cluster_is_superfluous(found: Seen) -> None:
    assert superfluous(found, WANTED) == "chat-new"


LEFT = {
    "nothing is pending": (seen(OLD, pending=False), WANTED),
    "it is what is wanted": (seen(OLD, NEW), ray_service("new")),
    "it is as good as the active one": (seen(OLD, ray_cluster("chat-new", "old")), WANTED),
    "KubeRay names one though nothing was changed": (seen(OLD, live=WANTED), WANTED),
    "the active one is gone": (seen(NEW), WANTED),
    "the active one is going": (
        seen(ray_cluster("chat-old", "old", deletionTimestamp="2026-11-26T00:00:00Z"), NEW),
        WANTED,
    ),
    "it is suspended": (seen(OLD, NEW), ray_service("old", suspend=True)),
    "there is no RayService": (replace(seen(OLD, NEW), ray_service=None), WANTED),
}


@pytest.mark.parametrize(("found", "wanted"), LEFT.values(), ids=LEFT)
def test_a_pending_cluster_is_left_where(found: Seen, wanted: Any) -> None:
    assert superfluous(found, wanted) == ""


def test_meanwhile_kuberay_builds_none() -> None:
    assert building_none(WANTED)["spec"]["upgradeStrategy"] == {"type": "None"}
    assert WANTED["spec"]["upgradeStrategy"] == {"type": "NewCluster"}
