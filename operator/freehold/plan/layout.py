"""Ways to lay a replica over devices and nodes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from freehold.plan.accelerator import Accelerator

# Published deployments span two nodes, rarely four; beyond that a replica is no unit to scale.
MAX_NODES = 4
# What a user may pin: the 18 nodes of an NVL72 rack, the widest group that a fast link joins.
MAX_PINNED_NODES = 18
# The most that is planned in one direction: as many as four nodes of eight have. Published
# deployments have at most 16. It bounds the time of a plan on nodes that are very wide.
MAX_SIZE = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """One replica on its devices.

    Attributes:
        tensor: Tensor parallel size.
        pipeline: Pipeline parallel size.
        nodes: Nodes that the replica spans.
    """

    tensor: int
    pipeline: int
    nodes: int = 1

    @property
    def devices(self) -> int:
        """Return the devices of the replica."""
        return self.tensor * self.pipeline

    @property
    def devices_per_node(self) -> int:
        """Return the devices that the replica takes of each node."""
        return self.devices // self.nodes

    @property
    def tensor_group(self) -> Layout:
        """Return one tensor parallel group alone, on as many of the nodes as it lies over."""
        return Layout(self.tensor, 1, -(-self.tensor // self.devices_per_node))

    def __str__(self) -> str:
        """Return the layout in words."""
        nodes = f", {self.nodes} nodes" if self.nodes > 1 else ""
        return f"tensor {self.tensor}, pipeline {self.pipeline}{nodes}"


def pinned_layout(accelerator: Accelerator, tensor: int, pipeline: int) -> Layout | None:
    """Return the layout of a parallelism that the user chose; None if no equal nodes can carry it.

    Tensor parallel groups stay inside a node where one is large enough, and every node takes the
    same number of devices, since the nodes of a replica are one group of equal pods.
    """
    largest = accelerator.node_sizes[-1]
    devices = tensor * pipeline
    if devices <= largest:
        return Layout(tensor, pipeline)
    if tensor > largest:
        return Layout(tensor, pipeline, devices // largest) if tensor % largest == 0 else None
    stages = max(n for n in range(1, largest // tensor + 1) if pipeline % n == 0)
    return Layout(tensor, pipeline, pipeline // stages)


def planned_layouts(accelerator: Accelerator) -> tuple[Layout, ...]:
    """Return the layouts worth trying, best first: fewest devices, then what the link likes.

    Over a fast link tensor parallelism is preferred, since it shortens every step; over PCIe its
    all-reduces cost more than a pipeline's hand-over. Across nodes it is always the pipeline, and
    only for classes with a fast link: machines with PCIe alone come without an RDMA network, so
    there a user must ask for more than a node by name.
    """
    return _planned(accelerator.node_sizes, accelerator.fast_link)


def layouts_across_nodes(accelerator: Accelerator) -> tuple[Layout, ...]:
    """Return the layouts over several whole nodes of the largest kind, fewest nodes first."""
    return _across_nodes(accelerator.node_sizes[-1])


# Both depend on few numbers, and the same classes are asked about again and again.
@functools.lru_cache(maxsize=256)
def _planned(node_sizes: tuple[int, ...], fast_link: bool) -> tuple[Layout, ...]:
    found = _inside_a_node(node_sizes)
    if fast_link:
        found += _across_nodes(node_sizes[-1])

    def preference(layout: Layout) -> tuple[int, int, int]:
        wanted = layout.pipeline if fast_link else layout.tensor
        return layout.devices, layout.nodes, wanted

    return tuple(sorted(found, key=preference))


def _inside_a_node(node_sizes: tuple[int, ...]) -> tuple[Layout, ...]:
    counts = {devices for size in node_sizes for devices in _divisors(size)}
    return tuple(
        Layout(tensor, devices // tensor)
        for devices in sorted(counts)
        for tensor in _divisors(devices)
        if max(tensor, devices // tensor) <= MAX_SIZE
    )


@functools.lru_cache(maxsize=256)
def _across_nodes(largest: int) -> tuple[Layout, ...]:
    return tuple(
        Layout(tensor, nodes * largest // tensor, nodes)
        for nodes in range(2, MAX_NODES + 1)
        for tensor in _divisors(largest)
        if max(tensor, nodes * largest // tensor) <= MAX_SIZE
    )


def _divisors(number: int) -> list[int]:
    """Return the divisors, ascending; each up to the root names the one beyond it."""
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return small + [number // n for n in reversed(small) if n * n != number]
