"""Ways to lay a replica over devices and nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from freehold.plan.accelerator import Accelerator

# Published deployments span two nodes, rarely four; beyond that a replica is no unit to scale.
MAX_NODES = 4


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

    def __str__(self) -> str:
        """Return the layout in words."""
        nodes = f", {self.nodes} nodes" if self.nodes > 1 else ""
        return f"tensor {self.tensor}, pipeline {self.pipeline}{nodes}"


def pinned_layout(accelerator: Accelerator, tensor: int, pipeline: int) -> Layout | None:
    """Return the layout of a parallelism that the user chose; None if no nodes can carry it.

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


def planned_layouts(accelerator: Accelerator) -> Iterator[Layout]:
    """Yield the layouts worth trying, best first: fewest devices, then what the link likes.

    Over a fast link tensor parallelism is preferred, since it shortens every step; over PCIe its
    all-reduces cost more than a pipeline's hand-over. Across nodes it is always the pipeline, and
    only for classes with a fast link: machines with PCIe alone come without an RDMA network, so
    there a user must ask for more than a node by name.
    """
    found = set(_inside_a_node(accelerator))
    if accelerator.fast_link:
        found |= set(layouts_across_nodes(accelerator))

    def preference(layout: Layout) -> tuple[int, int, int]:
        wanted = layout.pipeline if accelerator.fast_link else layout.tensor
        return layout.devices, layout.nodes, wanted

    yield from sorted(found, key=preference)


def _inside_a_node(accelerator: Accelerator) -> Iterator[Layout]:
    for size in accelerator.node_sizes:
        for devices in _divisors(size):
            for tensor in _divisors(devices):
                yield Layout(tensor, devices // tensor)


def layouts_across_nodes(accelerator: Accelerator) -> Iterator[Layout]:
    """Yield the layouts over several whole nodes of the largest kind, fewest nodes first."""
    largest = accelerator.node_sizes[-1]
    for nodes in range(2, MAX_NODES + 1):
        for tensor in _divisors(largest):
            yield Layout(tensor, nodes * largest // tensor, nodes)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
