"""Simulated nodes: kwok answers for them and for their pods, the real scheduler places on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FAKE = {"kwok.x-k8s.io/node": "fake"}
ORDINARY = {"cpu": "32", "memory": "128Gi", "ephemeral-storage": "500Gi", "pods": "110"}


@dataclass(frozen=True)
class Taint:
    """A node's taint; the effect is ``NoSchedule`` unless told."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    def manifest(self) -> dict[str, str]:
        """Return the entry of ``spec.taints``."""
        entry = {"key": self.key, "effect": self.effect}
        return entry | ({"value": self.value} if self.value else {})


@dataclass(frozen=True)
class SimulatedNode:
    """A node that exists only in the API.

    Attributes:
        name: The node's name, which is its hostname label too.
        labels: Labels beyond hostname, operating system and architecture, which every node has.
        taints: What keeps pods off it.
        allocatable: Quantities beyond or instead of ``ORDINARY``, like ``{"nvidia.com/gpu": "8"}``.
        provider_id: The cloud's name for the machine, such as ``gce://project/zone/name``.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Taint] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    provider_id: str = ""

    def manifest(self) -> dict[str, Any]:
        """Return the Node object; its status is kept at creation, as for a kubelet's own."""
        ordinary = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        spec: dict[str, Any] = {"taints": [taint.manifest() for taint in self.taints]}
        if self.provider_id:
            spec["providerID"] = self.provider_id
        resources = {**ORDINARY, **self.allocatable}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {**ordinary, **self.labels},
                "annotations": {**FAKE, **self.annotations},
            },
            "spec": spec,
            "status": {"allocatable": resources, "capacity": resources},
        }
