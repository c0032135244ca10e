"""Simulated nodes of one device each, and accelerator classes that only they carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.control_plane.nodes import SimulatedNode, Taint

CLASS_LABEL = "freehold.test/class"
_GPU = Taint("nvidia.com/gpu")
_ONE_DEVICE = {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}


def devices(name: str, labels: Mapping[str, str], count: int) -> list[SimulatedNode]:
    """Return nodes of one device each, named with their numbers."""
    return [SimulatedNode(f"{name}-{i}", labels, [_GPU], _ONE_DEVICE) for i in range(count)]


def of_class(name: str, count: int) -> list[SimulatedNode]:
    """Return nodes of one device of an ``accelerator_class``."""
    return devices(name, {CLASS_LABEL: name}, count)


def accelerator_class(name: str, amount: str, image: str = "") -> dict[str, Any]:
    """Return a class of L4 devices at a price, that the nodes of ``of_class`` alone carry.

    Args:
        name: Its name.
        amount: Price of a device, in USD an hour.
        image: Its image; "" for that of the built-in class.
    """
    term = {"matchExpressions": [{"key": CLASS_LABEL, "operator": "In", "values": [name]}]}
    shape = {
        "name": "rack",
        "provider": "onprem",
        "devices": 1,
        "nodeSelectorTerms": [term],
        "tolerations": [{"key": _GPU.key, "operator": "Exists", "effect": _GPU.effect}],
        "prices": [{"purchase": "OnDemand", "amount": amount, "currency": "USD"}],
    }
    images = [{"engine": "vllm", "rayVersion": "2.60.0", "image": image}]
    return {
        "apiVersion": "freehold.dev/v1alpha1",
        "kind": "AcceleratorClass",
        "metadata": {"name": name},
        "spec": {
            "extends": "l4-24gb",
            "nodeShapes": [shape],
            **({"images": images} if image else {}),
        },
    }
