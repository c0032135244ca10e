"""A cluster's node, as far as placing a model depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Node:
    """A node that exists.

    Attributes:
        name: Its name.
        labels: Its labels, all of them.
        taints: Its taints.
        allocatable: What its pods may ask for, by resource name: cores and devices as numbers,
            memory in bytes.
        usable: Whether it is Ready and not cordoned.
    """

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Mapping[str, float]
    usable: bool
