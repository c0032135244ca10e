"""Numbers that would keep the planner busy, or that no model and no machine has."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from freehold.api.manifest import parse_object

SHAPE: dict[str, Any] = {
    "layers": 32,
    "hiddenSize": 4096,
    "attentionHeads": 32,
    "keyValueHeads": 8,
    "headDim": 128,
    "intermediateSize": 14336,
    "vocabularySize": 128_256,
    "maxContextLength": 131_072,
    "latentAttention": {"kvLoraRank": 512, "ropeHeadDim": 64},
    "localAttention": {"window": 4096, "layers": 16},
    "experts": {"count": 8, "perToken": 2, "intermediateSize": 4096, "layers": 32, "shared": 1},
    "checkpoint": {"size": "16Gi", "precision": "bf16"},
}
CLASS: dict[str, Any] = {
    "vendor": "nvidia",
    "memory": "80Gi",
    "nodeShapes": [{"name": "n", "provider": "onprem", "devices": 8}],
}


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(data)
    *parents, last = path.split(".")
    place: Any = result
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    return result


def an_object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": "freehold.dev/v1alpha1", "kind": kind, "metadata": {"name": "m"}}
    return {**head, "spec": spec}


def a_model(shape: dict[str, Any]) -> dict[str, Any]:
    model = {"source": "hf://me/mine", "architecture": shape}
    return an_object("ModelDeployment", {"model": model})


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("hiddenSize", 1 << 20),
        ("attentionHeads", 4096),
        ("headDim", 4096),
        ("intermediateSize", 1 << 22),
        ("vocabularySize", 1 << 24),
        ("latentAttention.kvLoraRank", 1 << 16),
        ("latentAttention.ropeHeadDim", 4096),
        ("experts.count", 1 << 14),
        ("experts.perToken", 1 << 14),
        ("experts.shared", 1 << 14),
        ("experts.intermediateSize", 1 << 22),
        ("layers", 1024),
    ],
)
def test_a_number_of_a_stated_architecture_is_bounded(field: str, most: int) -> None:
    assert parse_object(a_model(changed(SHAPE, field, most)))[1] == ()
    (fault,) = parse_object(a_model(changed(SHAPE, field, most + 1)))[1]
    assert fault.path == f"spec.model.architecture.{field}"
    assert fault.found == str(most + 1)
    assert str(most) in fault.allowed


def test_an_architecture_without_the_optional_parts_has_no_fault() -> None:
    optional = {"latentAttention", "localAttention", "experts"}
    plain = {name: value for name, value in SHAPE.items() if name not in optional}
    assert parse_object(a_model(plain))[1] == ()


def test_the_devices_of_a_node_are_bounded() -> None:
    path = "nodeShapes.0.devices"
    assert parse_object(an_object("AcceleratorClass", changed(CLASS, path, 1024)))[1] == ()
    for devices in (1025, 2_000_000_000):
        (fault,) = parse_object(an_object("AcceleratorClass", changed(CLASS, path, devices)))[1]
        assert fault.path == "spec.nodeShapes[0].devices"
        assert "1024" in fault.allowed


@pytest.mark.parametrize("size", ["0", "0Gi", "0.0Ti"])
def test_neither_a_checkpoint_nor_a_device_is_empty(size: str) -> None:
    (fault,) = parse_object(a_model(changed(SHAPE, "checkpoint.size", size)))[1]
    assert fault.path == "spec.model.architecture.checkpoint.size"
    assert "above 0" in fault.allowed
    (fault,) = parse_object(an_object("AcceleratorClass", changed(CLASS, "memory", size)))[1]
    assert (fault.path, "above 0" in fault.allowed) == ("spec.memory", True)
