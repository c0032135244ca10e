"""The nodes of tests/data/environments: what each cloud's and labeller's nodes really bear.

Each file names its sources: [S] read there, [T] seen in third parties' configuration. A node that
carries something says what; one that does not is a decoy for whatever it is labelled like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from freehold.plan.node import Node, read_node

FOLDER = Path(__file__).parent / "data" / "environments"


@dataclass(frozen=True)
class Carried:
    """What a node is good for: its class, how many devices, and how it was purchased."""

    accelerator: str
    devices: int
    purchase: str


@dataclass(frozen=True)
class EnvironmentNode:
    """A node of an environment.

    Attributes:
        manifest: The Node object as its API server would show it.
        carries: What it is good for; None for a decoy.
    """

    manifest: Mapping[str, Any]
    carries: Carried | None

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def ready(self) -> bool:
        return self.node.ready

    @property
    def node(self) -> Node:
        return read_node(self.manifest)

    def suits(self, accelerator: str, devices: int, purchase: str) -> bool:
        """Say whether so many devices of a class may be had here, as purchased."""
        has = self.carries
        return (
            has is not None
            and (has.accelerator, has.purchase) == (accelerator, purchase)
            and has.devices >= devices
        )


@dataclass(frozen=True)
class Environment:
    """An environment with its nodes."""

    name: str
    nodes: tuple[EnvironmentNode, ...]


def environments() -> tuple[Environment, ...]:
    """Return all environments, by name."""
    return tuple(_environment(path) for path in sorted(FOLDER.glob("*.yaml")))


def _environment(path: Path) -> Environment:
    data = yaml.safe_load(path.read_text("utf-8"))
    return Environment(path.stem, tuple(_node(item) for item in data["nodes"]))


def _node(item: Mapping[str, Any]) -> EnvironmentNode:
    known = {"name", "carries", "labels", "taints", "allocatable", "ready", "cordoned"}
    assert item.keys() <= known, item.keys() - known
    ordinary = {
        "kubernetes.io/hostname": item["name"],
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    taints = list(item.get("taints", ()))
    spec: dict[str, Any] = {"taints": taints}
    if item.get("cordoned"):
        spec["unschedulable"] = True
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    resources = {"pods": "110", **item["allocatable"]}
    ready = "True" if item.get("ready", True) else "False"
    manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": item["name"], "labels": {**ordinary, **item["labels"]}},
        "spec": spec,
        "status": {
            "allocatable": resources,
            "capacity": resources,
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }
    carries = item.get("carries")
    return EnvironmentNode(manifest, Carried(**carries) if carries else None)
