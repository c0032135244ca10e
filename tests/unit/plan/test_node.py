"""A node as the API server shows it, and what placing a model reads of it."""

from __future__ import annotations

from typing import Any

import pytest

from freehold.plan.node import Node, Taint, read_node

RAW: dict[str, Any] = {
    "metadata": {"name": "n", "labels": {"a": "b"}},
    "spec": {
        "unschedulable": True,
        "taints": [
            {"key": "k", "value": "v", "effect": "NoSchedule"},
            {"key": "bare", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"},
        ],
    },
    "status": {
        "allocatable": {"cpu": "15890m", "memory": "57Gi", "nvidia.com/gpu": "8"},
        "conditions": [
            {"type": "DiskPressure", "status": "False"},
            {"type": "Ready", "status": "True"},
        ],
    },
}


def test_everything_is_read() -> None:
    assert read_node(RAW) == Node(
        name="n",
        labels={"a": "b"},
        taints=(Taint("k", "v", "NoSchedule"), Taint("bare", "", "NoExecute")),
        allocatable={"cpu": 15_890, "memory": 57 << 30, "nvidia.com/gpu": 8},
        ready=True,
        cordoned=True,
    )
    assert [str(it) for it in read_node(RAW).taints] == ["k=v:NoSchedule", "bare:NoExecute"]


def test_a_node_that_just_came_has_nothing_and_is_not_ready() -> None:
    node = read_node({"metadata": {"name": "new"}})
    assert (node.labels, node.taints, node.allocatable) == ({}, (), {})
    assert not node.ready
    assert not node.usable


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_only_a_kubelet_that_says_so_is_ready(status: str) -> None:
    conditions = [{"type": "Ready", "status": status}]
    assert not read_node({"metadata": {"name": "n"}, "status": {"conditions": conditions}}).ready


@pytest.mark.parametrize(
    ("ready", "cordoned", "usable"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_a_usable_node_is_ready_and_not_cordoned(ready: bool, cordoned: bool, usable: bool) -> None:
    assert Node("n", {}, (), {}, ready=ready, cordoned=cordoned).usable is usable
