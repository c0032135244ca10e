"""The simulated hardware of the development cluster: node pools as GKE labels and taints them.

Enough for all of examples/ at once in any order: Llama 3.1 405B takes two nodes of eight H100
whole, and the scheduler spreads two replicas of 70B over up to two more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.control_plane.nodes import SimulatedNode, Taint

_GKE = "cloud.google.com"
_GPU, _SPOT = Taint("nvidia.com/gpu", "present"), Taint(f"{_GKE}/gke-spot", "true")


@dataclass(frozen=True)
class Pool:
    """Nodes that are alike.

    Attributes:
        name: Begins their names.
        nodes: How many.
        machine: The machine type.
        allocatable: What each has.
        accelerator: GKE's name of its accelerators; "" for none.
        spot: Whether they may be taken away.
    """

    name: str
    nodes: int
    machine: str
    allocatable: Mapping[str, str]
    accelerator: str = ""
    spot: bool = False

    def __str__(self) -> str:
        """Return the pool in words."""
        devices = self.allocatable.get(_GPU.key, "0")
        carries = f"{devices} x {self.accelerator}" if self.accelerator else "cores"
        return f"{self.nodes} of {carries}{' (spot)' if self.spot else ''}"

    def simulated(self) -> Iterator[SimulatedNode]:
        """Yield its nodes."""
        labels = {
            "node.kubernetes.io/instance-type": self.machine,
            f"{_GKE}/gke-nodepool": self.name,
            f"{_GKE}/gke-provisioning": "spot" if self.spot else "standard",
        }
        if self.accelerator:
            labels[f"{_GKE}/gke-accelerator"] = self.accelerator
            labels[f"{_GKE}/gke-accelerator-count"] = self.allocatable[_GPU.key]
        if self.spot:
            labels[f"{_GKE}/gke-spot"] = "true"
        taints = [*([_GPU] if self.accelerator else []), *([_SPOT] if self.spot else [])]
        for number in range(self.nodes):
            yield SimulatedNode(f"{self.name}-{number}", labels, taints, self.allocatable)


def _allocatable(cpu: str, memory: str, devices: int) -> dict[str, str]:
    return {"cpu": cpu, "memory": memory, _GPU.key: str(devices)}


POOLS = (
    Pool("h100", 4, "a3-highgpu-8g", _allocatable("206", "1853Gi", 8), "nvidia-h100-80gb"),
    Pool("h200", 1, "a3-ultragpu-8g", _allocatable("222", "2900Gi", 8), "nvidia-h200-141gb"),
    Pool("l4", 2, "g2-standard-8", _allocatable("7910m", "28Gi", 1), "nvidia-l4"),
    Pool("l4-spot", 2, "g2-standard-8", _allocatable("7910m", "28Gi", 1), "nvidia-l4", spot=True),
    Pool("cores", 2, "e2-standard-32", {"cpu": "31850m", "memory": "120Gi"}),
)


def nodes(pools: Iterable[Pool] = POOLS) -> list[SimulatedNode]:
    """Return the nodes of all pools."""
    return [node for pool in pools for node in pool.simulated()]
