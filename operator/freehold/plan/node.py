"""A cluster's node, as far as placing a model depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freehold.plan.quantity import counted_by_scheduler


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint on a node.

    Attributes:
        key: Its key.
        value: Its value, "" for none.
        effect: NoSchedule, PreferNoSchedule or NoExecute.
    """

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        """Return the taint as kubectl writes it."""
        return (
            f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A node that exists.

    Attributes:
        name: Its name.
        labels: Its labels, all of them.
        taints: Its taints.
        allocatable: What its pods may ask for, by resource name, as the scheduler counts it:
            thousandths of a core for cpu, bytes, devices or pieces for all others.
        ready: Whether its kubelet says that it is.
        cordoned: Whether new pods are kept off it (``spec.unschedulable``).
    """

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Mapping[str, int]
    ready: bool = True
    cordoned: bool = False

    @property
    def usable(self) -> bool:
        """Say whether it is Ready and not cordoned."""
        return self.ready and not self.cordoned


def read_node(raw: Mapping[str, Any]) -> Node:
    """Return a node from the object that the API server hands out.

    Raises:
        ValueError: An allocatable amount is no quantity.
    """
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    allocatable = status.get("allocatable") or {}
    return Node(
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        taints=tuple(
            Taint(taint["key"], taint.get("value") or "", taint["effect"])
            for taint in spec.get("taints") or ()
        ),
        allocatable={name: counted_by_scheduler(name, it) for name, it in allocatable.items()},
        ready=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or ()
        ),
        cordoned=bool(spec.get("unschedulable")),
    )
